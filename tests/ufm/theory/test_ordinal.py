"""The ordinal optimum by scalar equations: searches, the transition, and its limits."""

import numpy as np
import pytest
from scipy import optimize, stats

from ncjax.ufm.theory.ordinal import limit_latent, ordinal_optimum

CUTS = np.array([-3.0, -1.0, 0.5, 4.0])
SIZES = np.array([4.0, 1, 3, 2, 5])
CDF = {"logit": stats.logistic.cdf, "probit": stats.norm.cdf}


def objective(z, link, strength):
    """F(z) + mu |D^(1/2) z|, the convex form of the problem."""
    lower, upper = np.append(-np.inf, CUTS) - z, np.append(CUTS, np.inf) - z
    mass = CDF[link](upper) - CDF[link](lower)
    fit = -SIZES @ np.log(np.maximum(mass, 1e-300)) / SIZES.sum()
    return fit + strength * np.sqrt(SIZES @ z**2)


@pytest.mark.parametrize("link", CDF)
@pytest.mark.parametrize("strength", [1e-3, 3e-2])
def test_against_a_search(link, strength):
    found = ordinal_optimum(CUTS, SIZES, strength / 2, strength * 2, link=link)
    start = np.array([-4.0, -2, 0, 2, 5])
    options = {"xatol": 1e-10, "fatol": 1e-14, "maxfev": 20_000, "maxiter": 20_000}
    best = optimize.minimize(
        objective, start, (link, strength), method="Nelder-Mead", options=options
    )
    assert found.objective == pytest.approx(best.fun, abs=1e-9)
    assert found.objective <= best.fun + 1e-13
    np.testing.assert_allclose(found.latent, best.x, atol=1e-4)
    # W and H of that nuclear norm, with both penalties equal.
    radius = np.sqrt(SIZES @ found.latent**2)
    assert found.classifier_norm == pytest.approx(np.sqrt(2 * radius))
    assert (np.diff(found.latent) > 0).all()
    assert found.regime.startswith("levels apart, in order: lW lH < C = ")


@pytest.mark.parametrize("link", CDF)
def test_all_levels_are_one_point_from_c_on_and_not_before(link):
    c = ordinal_optimum(CUTS, SIZES, 1.0, 1.0, link=link).critical
    step = 1e-6  # C = (1/N^2) sum n l'(0)^2, with l' by differences
    slopes = [
        (objective_of(q, step, link) - objective_of(q, -step, link)) / (2 * step)
        for q in range(5)
    ]
    want = SIZES @ np.square(slopes) / SIZES.sum() ** 2
    assert c == pytest.approx(want, rel=1e-7)
    for share, apart in ((0.5, True), (0.999, True), (1.001, False), (40.0, False)):
        found = ordinal_optimum(CUTS, SIZES, share * c, 1.0, link=link)
        assert found.latent.any() == apart
        if not apart:
            assert found.classifier_norm == 0
            assert "one point: lW lH >= C" in found.regime
            assert found.objective == pytest.approx(objective(np.zeros(5), link, 0.0))


def objective_of(level, z, link):
    ends = np.concatenate([[-np.inf], CUTS, [np.inf]])
    return -np.log(CDF[link](ends[level + 1] - z) - CDF[link](ends[level] - z))


@pytest.mark.parametrize("link", CDF)
def test_inner_levels_go_to_the_middle_as_decay_vanishes(link):
    limit = limit_latent(CUTS)
    np.testing.assert_allclose(limit[1:-1], [-2, -0.25, 2.25])
    assert (limit[0], limit[-1]) == (-np.inf, np.inf)
    off = []
    for decay in (1e-2, 1e-4, 1e-6):
        z = ordinal_optimum(CUTS, SIZES, decay, decay, link=link).latent
        off.append(np.abs(z - limit)[1:-1].max())
    assert off[0] > 20 * off[1] > 400 * off[2]
    assert off[2] < 1e-3


def test_two_levels_are_logistic_regression():
    """The latent numbers are -s and s, of one equation with the logistic function."""
    found = ordinal_optimum([0.0], [3, 3], 0.02, 0.02)
    s = found.latent[1]
    assert found.latent[0] == pytest.approx(-s)
    # l'(s)/2 = -mu 3 s/r, r = s sqrt(6).
    assert stats.logistic.sf(s) / 2 == pytest.approx(0.02 * 3 / np.sqrt(6), rel=1e-9)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="5 levels have 4 thresholds"):
        ordinal_optimum([0.0], SIZES, 1.0, 1.0)
    with pytest.raises(ValueError, match="lambda_h must be finite and > 0"):
        ordinal_optimum(CUTS, SIZES, 1.0, 0.0)
    with pytest.raises(ValueError, match="positive numbers"):
        ordinal_optimum(CUTS, -SIZES, 1.0, 1.0)
