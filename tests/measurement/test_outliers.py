"""`measure` with outliers: the scores of `ncjax.ood`, whatever the batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ncjax
from ncjax import ood
from ncjax.moments import class_moments

RNG = np.random.default_rng(0)
K, D = 3, 6
CENTRES = 4 * RNG.normal(size=(K, D))
WEIGHTS, BIAS = np.float32(CENTRES), np.float32(RNG.normal(size=K))


def near(number, spread=1.0):
    labels = np.arange(number) % K
    features = CENTRES[labels] + spread * RNG.normal(size=(number, D))
    return features.astype(np.float32), labels


TRAIN, TEST = near(150), near(90)
FOREIGN = np.float32(4 * RNG.normal(size=(70, D)))
MODEL = {"classifier": WEIGHTS, "bias": BIAS}


def measured(batch_size=None, test=TEST, **given):
    about = {"test_features": test[0], "test_labels": test[1], "batch_size": batch_size}
    return ncjax.measure(*TRAIN, ood_features=FOREIGN, **about | given)


def test_each_score_is_that_of_the_library():
    found = measured(**MODEL)
    moments = class_moments(*TRAIN, K, scatter="pooled")
    known = ood.fit(moments, jnp.array(WEIGHTS), jnp.array(BIAS), jnp.array(TRAIN[0]))
    assert list(found.detection) == list(ood.SCORES)
    for name, score in ood.SCORES.items():
        of = jax.jit(lambda *x, f=score: ood.auroc(*(f(known, rows) for rows in x)))
        expected = float(of(TEST[0], FOREIGN))
        assert found.detection[name]["auroc"] == pytest.approx(expected, abs=2e-4), name


@pytest.mark.slow
def test_batches_do_not_matter():
    whole, parts = measured(**MODEL), measured(batch_size=32, **MODEL)
    for name, numbers in whole.detection.items():
        assert parts.detection[name] == pytest.approx(dict(numbers), abs=2e-3), name


def test_it_is_printed_and_stored():
    found = measured(**MODEL)
    text = str(found)
    assert "OOD score" in text
    assert "FPR95" in text
    assert found.to_dict()["ood"]["vim"]["auroc"] == found.detection["vim"]["auroc"]


def test_what_is_missing_is_said():
    found = measured()
    assert set(found.detection) == set(ood.OF_FEATURES)
    assert any("Without a classifier" in text for text in found.warnings)
    with_model = measured(**MODEL)
    assert found.detection == {n: with_model.detection[n] for n in found.detection}
    once = ncjax.measure(
        iter([TRAIN]), test_features=TEST[0], test_labels=TEST[1], ood_features=FOREIGN
    )
    assert not once.detection
    assert any("second reading" in text for text in once.warnings)
    assert not ncjax.measure(*TRAIN, ood_features=FOREIGN).detection


@pytest.mark.slow
def test_no_score_of_features_asks_the_classifier():
    moments = class_moments(*TRAIN, K, scatter="pooled")
    bank, rows = jnp.array(TRAIN[0]), jnp.array(FOREIGN)
    zeros = jnp.zeros((K, D)), jnp.zeros(K)
    known = ood.fit(moments, jnp.array(WEIGHTS), jnp.array(BIAS), bank)
    blind = ood.fit(moments, *zeros, bank)
    same = {
        name
        for name, score in ood.SCORES.items()
        if np.array_equal(score(known, rows), score(blind, rows), equal_nan=True)
    }
    assert same == set(ood.OF_FEATURES)
