"""Metrics of sets of labels beside their definitions, and at exact collapse."""

import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import collapse, multilabel
from ncjax.moments import class_moments
from ncjax.multilabel.conventions import get_convention
from tests.multilabel import definitions

FEATURES, LABELS, CLASSIFIER = definitions.problem()


OURS = tuple(multilabel.METRICS)


def measured(features=FEATURES, labels=LABELS, convention="default", only=OURS):
    classifier = np.float32(CLASSIFIER)
    options = {"convention": convention, "only": only}
    found = multilabel.measure_features(
        np.float32(features), labels, classifier, **options
    )
    return {key: float(value) for key, value in found.items()}


def rows(keep):
    """The chosen examples, again and again to the same number: nothing is compiled."""
    return np.resize(np.flatnonzero(keep), len(LABELS))


@pytest.mark.parametrize(
    ("convention", "options"),
    [("default", {}), ("li2024", {"centred": False, "wrong": "all"})],
)
def test_angles_are_those_of_their_definitions(convention, options):
    # A set that does not occur, and a label that never occurs alone.
    keep = ~(LABELS[:, 1] & LABELS[:, 2] & (LABELS.sum(1) == 2))
    keep = rows(keep & ~(LABELS[:, 4] & (LABELS.sum(1) == 1)))
    found = measured(FEATURES[keep], LABELS[keep], convention)
    right, wrong, _ = definitions.angles(FEATURES[keep], LABELS[keep], **options)
    assert found["set_angle"] == pytest.approx(right, rel=1e-4)
    assert found["set_angle_wrong"] == pytest.approx(wrong, rel=1e-5)
    assert found["set_angle_ratio"] == pytest.approx(right / wrong, rel=1e-4)


def test_all_other_metrics_are_those_of_their_definitions():
    found = measured()
    scale = definitions.angles(FEATURES, LABELS)[2]
    assert found["set_scale"] == pytest.approx(scale, rel=1e-4)
    wanted = definitions.unexplained(FEATURES, LABELS)
    assert found["sum_unexplained"] == pytest.approx(wanted, rel=1e-3)
    wanted = definitions.variability(FEATURES, LABELS)
    assert found["set_variability"] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.slow
def test_single_labels_are_measured_as_classes():
    one = LABELS.sum(1) == 1
    keys = "nc1", "nc2", "nc3"
    features = jnp.asarray(FEATURES[one], jnp.float32)
    moments = class_moments(features, LABELS[one].argmax(1), 5, largest_norm=True)
    wanted = collapse.measure(moments, jnp.asarray(CLASSIFIER, jnp.float32), only=keys)
    found = measured(only=keys)
    for key in keys:
        assert found[key] == pytest.approx(float(wanted[key]), rel=1e-4), key


def test_exact_sums_have_no_angle_at_any_scale_and_place():
    rng = np.random.default_rng(2)
    simplex = np.eye(5) - 0.2
    turn = np.linalg.qr(rng.normal(size=(12, 12)))[0][:5]
    sizes = LABELS.sum(1)[:, None]
    exact = LABELS @ simplex @ turn * np.where(sizes > 1, 0.7, 1)
    for scale in (1e-12, 1.0, 1e12):
        found = measured(scale * (exact + 3), only=(*OURS, "nc2"))
        assert found["set_angle"] < 1e-3
        assert found["set_scale"] == pytest.approx(0.7, rel=1e-5)
        assert found["sum_unexplained"] < 3e-6
        assert found["nc2"] < 1e-5
    # The simplex of 5: sums that share a label, or none.
    cosines = [(1 - 0.8) / 1.2] * 6 + [-0.8 / 1.2] * 3
    assert found["set_angle_wrong"] == pytest.approx(
        np.rad2deg(np.arccos(cosines)).mean(), rel=1e-4
    )


def test_what_cannot_be_said_is_nan():
    one, two = LABELS.sum(1) == 1, LABELS.sum(1) == 2
    names = ("set_angle", "set_angle_wrong", "set_scale", "sum_unexplained")
    for keep in (one, two):  # nothing to compare with
        found = measured(FEATURES[rows(keep)], LABELS[rows(keep)])
        assert all(np.isnan(found[name]) for name in names)
    alike = measured(np.where(two[:, None], 1.0, FEATURES))
    assert np.isnan(alike["set_angle"])
    assert alike["set_scale"] == pytest.approx(0, abs=1e-6)


def test_asked_for_metrics_and_bad_input():
    moments = multilabel.set_moments(np.float32(FEATURES), LABELS)
    found = multilabel.measure(moments, only=("set_angle", "nc2"))
    assert {*found} == {"set_angle", "nc2"}
    with pytest.raises(ValueError, match="sum_unexplained needs the second pass"):
        multilabel.measure(moments, only=("sum_unexplained",))
    with pytest.raises(ValueError, match="Unknown metric of sets 'angle'"):
        multilabel.measure(moments, only=("angle",))
    with pytest.raises(ValueError, match="Unknown convention 'x'"):
        get_convention("x")
    with pytest.raises(ValueError, match="NaN or infinite"):
        measured(FEATURES * np.where(LABELS[:, :1], np.nan, 1))
    about = get_convention(collapse.Convention(ddof=1))
    assert (about.classes.ddof, about.centred) == (1, True)
