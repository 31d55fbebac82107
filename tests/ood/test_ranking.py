"""AUROC, FPR and AUPR against scikit-learn, with ties, gaps and infinities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from ncjax.ood import aupr, auroc, fpr_at_tpr


def scores(seed, values=0):
    """Known and outlying scores; of few values where there are to be ties."""
    rng = np.random.default_rng(seed)
    known, outliers = rng.normal(0.7, 1, 137), rng.normal(0, 1.3, 91)
    if values:
        known, outliers = (np.round(x * values) / values for x in (known, outliers))
    return jnp.float32(known), jnp.float32(outliers)


def both(known, outliers, positive):
    """Labels and scores as scikit-learn takes them."""
    all_scores = np.concatenate([known, outliers])
    truth = np.repeat([1, 0], [len(known), len(outliers)])
    return (truth, all_scores) if positive == "known" else (1 - truth, -all_scores)


@pytest.mark.parametrize("values", [0, 2, 1])
@pytest.mark.parametrize("positive", ["known", "outliers"])
def test_all_are_those_of_scikit_learn(values, positive):
    known, outliers = scores(3, values)
    truth, signed = both(known, outliers, positive)
    assert float(auroc(known, outliers)) == pytest.approx(
        roc_auc_score(truth, signed), abs=1e-6
    )
    found = aupr(known, outliers, positive=positive)
    expected = average_precision_score(truth, signed)
    assert float(found) == pytest.approx(expected, abs=1e-6)
    false, true, _ = roc_curve(truth, signed, drop_intermediate=False)
    for percent in (1, 50, 95, 100):
        found = fpr_at_tpr(known, outliers, percent=percent, positive=positive)
        expected = false[np.argmax(true >= percent / 100 - 1e-12)]
        assert float(found) == pytest.approx(expected, abs=1e-6), percent


def test_what_does_not_count_changes_nothing():
    """Also inside `jit`, and where the scores that count are infinite."""
    known, outliers = scores(5, 2)
    known, outliers = known.at[:3].set(jnp.inf), outliers.at[:2].set(-jnp.inf)
    filled = jnp.concatenate([known, jnp.full(9, jnp.inf)])
    there = jnp.arange(len(filled)) < len(known)
    order = np.random.default_rng(0).permutation(len(filled))
    for function in (auroc, aupr, fpr_at_tpr):
        whole = function(known, outliers)
        part = jax.jit(function)(filled[order], outliers, there[order])
        assert float(part) == pytest.approx(float(whole), rel=1e-6)
        other = jax.jit(function)(outliers, filled[order], None, there[order])
        whole = float(function(outliers, known))
        assert float(other) == pytest.approx(whole, rel=1e-6)


def test_chance_and_perfection():
    same = jnp.ones(7)
    assert float(auroc(same, same)) == 0.5
    assert float(fpr_at_tpr(same, same)) == 1
    assert float(auroc(same + 1, same)) == 1
    assert float(aupr(same + 1, same)) == 1
    assert float(fpr_at_tpr(same + 1, same)) == 0


def test_a_score_that_is_no_number_gives_none():
    known, outliers = scores(1)
    outliers = outliers.at[4].set(jnp.nan)
    for function in (auroc, aupr, fpr_at_tpr):
        assert np.isnan(float(function(known, outliers)))
        assert np.isnan(float(function(known, outliers[:0])))
        there = jnp.arange(len(outliers)) != 4
        assert np.isfinite(float(function(known, outliers, None, there)))


def test_other_conventions_are_refused():
    known, outliers = scores(1)
    with pytest.raises(ValueError, match=r"percent must be in 1\.\.100, got 0"):
        fpr_at_tpr(known, outliers, percent=0)
