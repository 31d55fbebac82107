"""`ncjax.measure`: the numbers against float64 NumPy, and from every kind of source."""

import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from ncjax import collapse
from ncjax.codes import one_vs_rest_distance
from ncjax.collapse import METRICS, PRESETS
from ncjax.measurement import MeasureError, measure
from ncjax.moments import class_moments
from tests.collapse.definitions import Definitions, references
from tests.measurement.features import (
    FEATURES,
    LABELS,
    B,
    D,
    K,
    N,
    W,
    assert_close,
    clusters,
    in_numpy,
)


def test_numbers_against_numpy(plain):
    expected = in_numpy(FEATURES, LABELS, W, B)
    assert 0 < expected["nc4"] < 0.5  # else nothing would be tested
    assert_close(plain, expected)


@pytest.mark.slow
def test_shares_are_exact_quotients_of_counts(few):
    """One of three features is nearest to another mean, and decided wrongly."""
    features = np.array([[0.0], [4.0], [1.0]], np.float32)
    result = measure(
        np.tile(features, (2, 1)),
        np.array([0, 1, 1, 0, 1, 1]),
        classifier=np.array([[-1.0], [1.0]], np.float32),
        bias=np.array([3.0, -3.0], np.float32),
        test_features=features,
        test_labels=np.array([0, 0, 1]),
    )
    assert result["accuracy"] == result["ncc_accuracy"] == 2 / 3
    assert result["test_accuracy"] == result["test_ncc_accuracy"] == 1 / 3
    shifted = measure(features, np.array([0, 1, 1]), logits=np.array([0, 1, 1]))
    assert shifted["nc4"] == 1 / 3


def test_numbers_are_those_of_collapse(plain):
    moments = class_moments(
        jnp.asarray(FEATURES), jnp.asarray(LABELS), K, largest_norm=True
    )
    compiled = jax.jit(collapse.measure, static_argnames="convention")
    direct = compiled(moments, jnp.asarray(W), jnp.asarray(B))
    assert set(direct) <= set(plain.values)
    for name, value in direct.items():
        np.testing.assert_allclose(plain[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch_size", [7, 128, 10_000])
def test_batches_do_not_matter(plain, batch_size):
    other = measure(FEATURES, LABELS, classifier=W, bias=B, batch_size=batch_size)
    assert other.values.keys() == plain.values.keys()
    for name, value in plain.values.items():
        np.testing.assert_allclose(other[name], value, rtol=2e-4, atol=2e-6)


def test_float64_is_measured_in_float64(few):
    x, y, w, b = clusters(std=1e-9, dtype=np.float64)
    result = measure(x, y, classifier=w, bias=b)
    assert result.measured["state_dtype"] == "float64"
    assert result["nc1"] == pytest.approx(in_numpy(x, y, w, b)["nc1"], rel=1e-4)
    assert not result.measured["nc1_below_floor"]
    assert jnp.zeros(1, float).dtype == jnp.float32  # x64 was on only inside


def test_below_the_precision_of_the_features(few):
    x, y, _, _ = clusters(std=1e-9)
    result = measure(x, y)
    assert result.measured["nc1_below_floor"]
    assert "below the precision of the features" in str(result)
    assert not measure(FEATURES, LABELS).measured["nc1_below_floor"]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision(dtype, few):
    half = FEATURES.astype(dtype)
    result = measure(half, LABELS, classifier=W, bias=B)
    assert_close(result, in_numpy(half.astype(np.float64), LABELS, W, B))
    assert result.measured["dtype"] == np.dtype(dtype).name
    floor = measure(FEATURES, LABELS)["nc1_floor"]
    ratio = float(ml_dtypes.finfo(dtype).eps) / np.finfo(np.float32).eps
    assert result["nc1_floor"] == pytest.approx(floor * ratio**2, rel=1e-2)


@pytest.mark.parametrize("source", ["list", "function", "pairs", "jax", "integers"])
def test_sources(plain, source):
    chunks = [slice(i, i + 70) for i in range(0, N, 70)]
    given, labels, expected = FEATURES, LABELS, plain
    if source == "list":
        given = [FEATURES[c] for c in chunks]
    elif source == "function":
        given = lambda: (FEATURES[c] for c in chunks)  # noqa: E731
    elif source == "pairs":
        given, labels = [(FEATURES[c], LABELS[c]) for c in chunks], None
    elif source == "jax":
        given = jnp.asarray(FEATURES)
    else:
        given = np.round(20 * FEATURES).astype(np.int8)
        expected = in_numpy(given, LABELS, W, B)
    result = measure(given, labels, classifier=W, bias=B)
    expected = expected if isinstance(expected, dict) else expected.values
    assert_close(result, expected)


def test_an_iterator_is_read_once(few):
    pairs = [(FEATURES[i : i + 70], LABELS[i : i + 70]) for i in range(0, N, 70)]
    once, twice = measure(iter(pairs)), measure(pairs)
    assert once["nc1"] == pytest.approx(twice["nc1"], rel=1e-5)
    assert once.measured["n"] == N
    assert "ncc_accuracy" in twice.values
    assert "ncc_accuracy" not in once.values
    assert any("read only once" in text for text in once.warnings)


def test_classes_found_on_the_way(few):
    """K is not known before the last chunk, and grows past a power of two."""
    x, y, _, _ = clusters(n=800, k=20)
    order = np.argsort(y, kind="stable")
    x, y = x[order], y[order]
    result = measure([(x[i : i + 100], y[i : i + 100]) for i in range(0, 800, 100)])
    assert result.measured["num_classes"] == 20
    assert result["nc1"] == pytest.approx(measure(x, y)["nc1"], rel=1e-4)


@pytest.mark.slow
def test_feature_maps(plain, few):
    maps = np.repeat(FEATURES[:, None, None], 2, axis=1)  # [n, 2, 1, d]
    result = measure(maps, LABELS, pool="mean")
    assert result["nc1"] == pytest.approx(plain["nc1"], rel=1e-4)
    first = np.moveaxis(maps, -1, 1)
    result = measure(first, LABELS, pool="mean_channels_first")
    assert result["nc1"] == pytest.approx(plain["nc1"], rel=1e-4)
    assert measure(maps, LABELS, pool="flatten").measured["d"] == 2 * D
    # What an average pool leaves needs no choice.
    result = measure(FEATURES[:, :, None, None], LABELS)
    assert result["nc1"] == pytest.approx(plain["nc1"], rel=1e-4)
    with pytest.raises(MeasureError, match="pool='mean_channels_first'"):
        measure(maps, LABELS)


def test_wide_features_take_a_second_pass_instead_of_a_scatter(plain, monkeypatch, few):
    readings = sys.modules["ncjax.measurement.readings"]
    monkeypatch.setattr(readings, "_WIDE", D - 1)
    result = measure(FEATURES, LABELS, classifier=W, bias=B, batch_size=250)
    assert result.moments.scatter is None
    assert_close(result, {k: plain[k] for k in result.values})
    once = measure(iter([(FEATURES, LABELS)]))
    assert "nc1" not in once.values
    assert any("second reading for NC1" in text for text in once.warnings)


def test_test_set_and_outliers(plain):
    rng = np.random.default_rng(3)
    x, y = FEATURES[:300] + 0.3 * rng.normal(size=(300, D)).astype("f"), LABELS[:300]
    ood = rng.normal(size=(200, D)).astype(np.float32) + 1
    result = measure(
        *(FEATURES, LABELS),
        classifier=W,
        bias=B,
        test_features=x,
        test_labels=y,
        ood_features=ood,
        batch_size=128,
    )
    x64, means = x.astype(np.float64), np.asarray(result.moments.means, np.float64)
    nearest = ((x64[:, None] - means) ** 2).sum(-1).argmin(1)
    decided = (x64 @ W.T + B).argmax(1)
    residual = x64 - means[y]
    centred = means - means.mean(0)
    pinv = np.linalg.pinv(centred.T @ centred / K, rcond=1e-9)
    assert_close(
        result,
        {
            "test_nc1": np.trace(residual.T @ residual / 300 @ pinv) / K,
            "test_nc4": np.mean(nearest != decided),
            "test_ncc_accuracy": np.mean(nearest == y),
            "test_accuracy": np.mean(decided == y),
            "nc1": plain["nc1"],
        },
    )
    mean = ood.astype(np.float64).mean(0)
    norms = np.linalg.norm(means, axis=1) * np.linalg.norm(mean)
    assert result["nc5"] == pytest.approx(np.abs(means @ mean / norms).mean(), rel=1e-4)
    directions = collapse.principal_directions(result.moments)
    scores = [collapse.neco(jnp.asarray(a), directions) for a in (x, ood)]
    assert result["neco_in"] == pytest.approx(float(scores[0].mean()), rel=1e-4)
    assert result["neco_ood"] == pytest.approx(float(scores[1].mean()), rel=1e-4)
    higher = np.asarray(scores[0])[:, None] > np.asarray(scores[1])
    assert result["neco_auroc"] == pytest.approx(higher.mean(), abs=2e-3)
    assert result.measured["test_n"] == 300
    assert result.measured["ood_n"] == 200


def test_logits_replace_the_classifier(plain):
    logits = FEATURES @ W.T + B
    for given in (logits, logits.argmax(1)):
        result = measure(FEATURES, LABELS, logits=given)
        assert result["nc4"] == plain["nc4"]
        assert result["accuracy"] == plain["accuracy"]
        assert "nc3" not in result.values
    with pytest.raises(MeasureError, match=r"logits have shape \(599, 5\)"):
        measure(FEATURES, LABELS, logits=logits[:-1])


# What they share with others is in other presets, which are quick.
COMPILE_ANEW = ("wu2024", "zhao2026")


@pytest.mark.parametrize(
    "preset",
    [
        pytest.param(name, marks=pytest.mark.slow if name in COMPILE_ANEW else ())
        for name in PRESETS
    ],
)
def test_presets(preset, plain):
    result = measure(FEATURES, LABELS, classifier=W, bias=B, preset=preset)
    convention = PRESETS[preset]
    second = {"nc4", "ncc_accuracy", "accuracy"}
    assert {*collapse.available(), *second} == set(result.values)
    assert result["nc2"] == result[convention.nc2]
    assert result["nc3"] == result[convention.nc3]
    factor = 1 if convention.divide_by_classes else K
    if convention.global_mean == "classes":
        assert result["nc1"] == pytest.approx(factor * plain["nc1"], rel=1e-4)
    assert result.to_dict()["measured"]["preset"] == preset


@pytest.mark.slow
def test_one_vs_rest_is_asked_for(plain):
    result = measure(FEATURES, LABELS, classifier=W, bias=B, one_vs_rest=True)
    more = {key for key, metric in METRICS.items() if not metric.unasked(K, D)}
    # GNC1 and GNC3 are those of K > d + 1 alone.
    assert set(result.values) - set(plain.values) == more - {"gnc1", "gnc3"}
    rows = W / np.linalg.norm(W, axis=1, keepdims=True)
    want = one_vs_rest_distance(rows)
    assert result["one_vs_rest_w"] == pytest.approx(want, abs=2e-6)


@pytest.mark.slow
def test_generalized_collapse_of_more_classes_than_dimensions():
    x, y, w, b = clusters(k=7, d=3)
    result = measure(x, y, classifier=w, bias=b, batch_size=300)
    problem, known = Definitions(x, y, w, b), references()
    for name in ("gnc1", "gnc3", "one_vs_rest_w", "nc2_excess", "max_cosine"):
        want = pytest.approx(known[name](problem), rel=1e-4)
        assert result[name] == want, name
    lines = str(result).splitlines()
    row = next(line for line in lines if line.startswith("gnc1"))
    assert row.split()[2] == "0"
    once = measure(iter([(x, y)]), classifier=w)
    assert "gnc1" not in once.values
    assert any("NC4, GNC1, GNC3 and the acc" in text for text in once.warnings)


def test_presets_of_the_classifier_need_one(few):
    result = measure(FEATURES, LABELS, preset="zhu2021")
    assert "nc2" not in result.values
    assert "NC2 of this preset (nc2_w) is that of the classifier" in result.warnings[0]


def test_torch_tensors(plain):
    torch = pytest.importorskip("torch")
    x = torch.tensor(FEATURES, requires_grad=True)
    layer = torch.nn.Linear(D, K)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(W))
        layer.bias.copy_(torch.from_numpy(B))
    head = {"classifier": layer.weight, "bias": layer.bias}
    result = measure(x, torch.from_numpy(LABELS), **head)
    assert_close(result, plain.values)
    half = measure(x.bfloat16(), torch.from_numpy(LABELS), **head)
    assert half.measured["dtype"] == "bfloat16"
