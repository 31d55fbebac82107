"""All metrics against their definitions in float64, at any scale, by any split."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import regression
from ncjax.regression import METRICS, RegressionMoments, RegressionPass, conventions
from ncjax.regression.checks import check_spread, check_targets
from tests.regression import definitions

FEATURES, TARGETS, CLASSIFIER = definitions.problem()


@jax.jit
def everything(features, targets, classifier, bias):
    """All metrics, by moments of two parts."""
    outputs = features @ classifier.T + bias[None]
    cut, sizes = len(features) // 3, (targets.shape[1], features.shape[1])
    one, other = (
        RegressionMoments.empty(*sizes).update(features[part], targets[part])
        for part in (slice(0, cut), slice(cut, None))
    )
    moments = one.merge(other)
    state = RegressionPass.empty(moments, classifier)
    first = state.update(features[:cut], targets[:cut], outputs[:cut])
    rest = state.update(features[cut:], targets[cut:], outputs[cut:])
    seen = first.merge(rest).compute()
    alone = regression.measure(moments, classifier)
    found = regression.measure(moments, classifier, seen=seen)
    return found | {"r2": seen["r2"], "mse": seen["mse"]}, alone


def measured(features, targets, classifier, bias=None):
    bias = np.zeros(len(classifier)) if bias is None else bias
    given = (features, targets, classifier, bias)
    return everything(*(jnp.asarray(x, jnp.float32) for x in given))


def references(features, targets, classifier):
    t = len(classifier)
    spans = {
        "nrc1": definitions.basis(features, t),
        "nrc2": np.linalg.qr(classifier.T)[0].T,
    }
    want = {
        name + end: value
        for name, axes in spans.items()
        for end, value in definitions.of_span(features, axes).items()
    }
    want["unexplained"], want["outside_rows"] = want["nrc1"], want["nrc2"]
    want["explained_variance"] = 1 - want["nrc1"]
    want["nrc3"], root = definitions.least_nrc3(classifier, targets)
    want["nrc3_best"], want["gamma"] = want["nrc3"], root**2
    grid = np.linspace(0, definitions.root_of(targets)[1][0] ** 2, 1000)
    want["nrc3_grid"] = min(definitions.nrc3(classifier, targets, g) for g in grid)
    want["cka"] = definitions.cka(features, targets)
    want["alignment"] = definitions.alignment(features, classifier)
    want["least_squares"] = definitions.least_squares(features, targets)
    want["r2"] = definitions.r2(features @ classifier.T, targets)
    return want


@pytest.mark.parametrize("seed", [0, 1])
def test_every_metric_is_that_of_its_definition(seed):
    features, targets, classifier = definitions.problem(seed=seed)
    found, alone = measured(features, targets, classifier)
    want = references(features, targets, classifier)
    assert found.keys() == {*METRICS, "r2", "mse"}
    for key, value in want.items():
        assert found[key] == pytest.approx(value, rel=2e-4, abs=1e-7), key
    # One pass alone knows the variances, but nothing of single features.
    assert alone.keys() == {k for k in METRICS if not k[4:].startswith(("_raw", "_un"))}
    for key, value in alone.items():
        assert value == pytest.approx(want[key], rel=2e-4, abs=1e-6), key


@pytest.mark.parametrize(("scale", "size"), [(1e18, 1.0), (1e-18, 1e12), (1.0, 1e-12)])
def test_scale_changes_nothing_but_what_has_a_unit(scale, size):
    want, _ = measured(FEATURES, TARGETS, CLASSIFIER)
    found, _ = measured(scale * FEATURES, size * TARGETS, CLASSIFIER)
    for key, metric in METRICS.items():
        if "scale" not in metric.changes_with and key != "least_squares":
            assert found[key] == pytest.approx(float(want[key]), rel=1e-4), key


def test_small_deviations_beside_a_large_mean_are_not_rounded_away():
    """NRC1 of 1e-9 beside a mean of 1,000: single features, not their variances."""
    features, targets, classifier = definitions.problem(spread=1e-4, mean=0.0)
    features = np.float32(features).astype(np.float64)
    found, alone = measured(features, targets, classifier)
    want = references(features, targets, classifier)
    assert 1e-10 < want["nrc1"] < 1e-8
    assert found["nrc1"] == pytest.approx(want["nrc1"], rel=0.02)
    assert alone["nrc1"] == pytest.approx(12 * np.finfo(np.float32).eps)  # the floor
    moved = np.float32(features + 1000.0).astype(np.float64)
    found, _ = measured(moved, targets, classifier)
    want = definitions.of_span(moved, definitions.basis(moved, 3))
    assert found["nrc1"] == pytest.approx(want[""], rel=0.02)


def test_rotation_shift_and_order_of_the_targets_change_nothing():
    rng = np.random.default_rng(5)
    turn = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    want, _ = measured(FEATURES, TARGETS, CLASSIFIER)
    order = [2, 0, 1]
    turned, _ = measured(
        FEATURES @ turn, TARGETS[:, order] + 3, (CLASSIFIER @ turn)[order]
    )
    for key in METRICS:
        if key != "least_squares":  # without a bias, so not blind to a shift
            assert turned[key] == pytest.approx(float(want[key]), rel=2e-4), key


@pytest.mark.slow
def test_what_is_not_defined_is_nan():
    found, _ = measured(0 * FEATURES, TARGETS, CLASSIFIER)
    for key in ("nrc1", "nrc2", "nrc1_unit", "nrc1_unit_centred", "cka"):
        assert np.isnan(found[key]), key
    found, _ = measured(FEATURES, TARGETS, 0 * CLASSIFIER)
    for key in ("nrc2", "nrc2_unit", "nrc3", "gamma", "alignment"):
        assert np.isnan(found[key]), key
    # The span of three directions is all of a space with three or fewer dimensions.
    found, _ = measured(FEATURES[:, :3], TARGETS, CLASSIFIER[:, :3])
    for key in ("nrc1", "nrc2", "nrc1_unit", "alignment"):
        assert np.isnan(found[key]), key
    one = regression.regression_moments(FEATURES, TARGETS[:, :1])
    found = regression.measure(one, CLASSIFIER[:1], only=["nrc3", "unexplained"])
    assert np.isnan(found["nrc3"])  # numbers are proportional
    assert np.isfinite(found["unexplained"])


def test_dead_features_have_no_direction():
    """Half of them 0, as of dead units: the others are averaged."""
    features = np.concatenate([FEATURES[:200], 0 * FEATURES[200:]])
    found, _ = measured(features, TARGETS, CLASSIFIER)
    axes = definitions.basis(features, 3)
    want = definitions.of_span(FEATURES[:200], axes)["_unit"]
    assert found["nrc1_unit"] == pytest.approx(want, rel=1e-3)


@pytest.mark.slow
def test_presets_choose_what_nrc1_to_nrc3_are():
    found, _ = measured(FEATURES, TARGETS, CLASSIFIER)
    names = ("nrc1", "nrc2", "nrc3")
    for preset, keys in (
        ("default", ("unexplained", "outside_rows", "nrc3_best")),
        ("andriopoulos2024", ("nrc1_unit", "nrc2_unit", "nrc3_grid")),
        ("altay2026", ("unexplained", "cka", "alignment")),
    ):
        given = FEATURES, TARGETS, CLASSIFIER
        mine = regression.measure_features(*given, convention=preset)
        for name, key in zip(names, keys, strict=True):
            assert mine[name] == pytest.approx(float(found[key]), rel=1e-4)
    about = conventions.Convention(centre_pca=False)
    mine = regression.measure_features(*given, convention=about)
    axes = definitions.basis(FEATURES, 3, centred=False)
    want = definitions.of_span(FEATURES, axes)
    assert mine["nrc1_unit"] == pytest.approx(want["_unit"], rel=1e-4)
    assert conventions.get_convention("altay2026") is conventions.PRESETS["altay2026"]


def test_unknown_names_and_missing_inputs_are_refused():
    moments = regression.regression_moments(FEATURES, TARGETS)
    with pytest.raises(ValueError, match=r"Unknown metric of regression 'nc2'"):
        regression.measure(moments, CLASSIFIER, only=["nc2"])
    with pytest.raises(ValueError, match=r"nrc3 needs more .* 'classifier'"):
        regression.measure(moments, only=["nrc3"])
    with pytest.raises(ValueError, match=r"shape \(3, 5\); for 3 targets .* \[3, 12\]"):
        regression.measure(moments, CLASSIFIER[:, :5])
    with pytest.raises(ValueError, match=r"Unknown convention 'altay'"):
        regression.measure(moments, convention="altay")
    found = regression.measure(moments, jnp.asarray(CLASSIFIER), only=["nrc3", "cka"])
    assert list(found) == ["nrc3", "cka"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: y.astype(np.int32), "targets are int32, must be floating-point"),
        (
            lambda y: y[:, :2],
            r"shape \(400, 2\), must be \[n, 3\]: one number",
        ),
        (lambda y: np.where(y == y[7, 1], np.nan, y), "NaN .* in 1 of 400 .* row 7"),
        (lambda y: 1e20 * y, r"as large as .*e\+20, and the squares .* Divide them"),
        (lambda y: y * [1, 0, 1], r"constant in dimension\(s\) 1: .* deviation is 0"),
        (lambda y: y * [1, 1, 1e-9] + 5, r"dimension\(s\) 2: .* which rounding hides"),
    ],
)
def test_targets_that_cannot_be_used_are_refused(change, message):
    def check(targets):
        check_targets(targets, 3)
        check_spread(targets)

    check(TARGETS)
    with pytest.raises((TypeError, ValueError), match=message):
        check(change(TARGETS))
    with pytest.raises(ValueError, match="features have NaN"):
        regression.measure_features(FEATURES * np.nan, TARGETS)
