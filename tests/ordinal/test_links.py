"""Probabilities of levels: against SciPy in float64, far out, and their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import integrate, special, stats

from ncjax import ordinal
from ncjax.ordinal.links import LINKS, hazard, log_normal

LOGISTIC, NORMAL = stats.logistic, stats.norm
X = np.array([-30.0, -9, -8.2, -7.8, -5.2, -1, 0, 0.3, 2, 5.1, 8, 30])
GAPS = np.array([1e-6, 1e-3, 0.3, 0.99, 1.01, 4, 12])
AT = [np.ravel(x) for x in np.meshgrid(X, GAPS)]


def between(link, x, gap):
    """log(g(x) - g(x - gap)) by quadrature over the interval, its peak taken out."""
    log_density = {"logit": LOGISTIC, "probit": NORMAL}[link].logpdf
    peak = np.clip(0.0, x - gap, x)
    found, _ = integrate.quad(
        lambda t: np.exp(log_density(x - t) - log_density(peak)),
        *(0, gap),
        **{"epsabs": 0, "epsrel": 1e-13, "limit": 200, "points": [x - peak]},
    )
    return log_density(peak) + np.log(found)


@pytest.fixture(scope="module", params=LINKS)
def found(request):
    """Values and both derivatives at `AT`, in float64 and in float32."""
    both = jax.jit(jax.vmap(jax.value_and_grad(LINKS[request.param].between, (0, 1))))
    with jax.enable_x64(True):
        exact = jax.tree.map(np.asarray, both(*AT))
    return request.param, exact, both(*map(np.float32, AT))


def test_it_is_the_integral_of_the_density(found):
    link, (values, (slope, width)), (short, (short_slope, short_width)) = found
    # Far in the tail the density falls too fast for the quadrature, unless narrow.
    known = (np.abs(AT[0]) < 9) | (AT[1] < 1)
    wanted = [between(link, *at) for at in np.stack(AT, 1)[known]]
    np.testing.assert_allclose(values[known], wanted, rtol=3e-12, atol=1e-12)
    np.testing.assert_allclose(short, values, rtol=2e-6, atol=2e-6)
    # d/dx log P = (g'(x) - g'(x - gap))/P, and d/dgap log P = g'(x - gap)/P.
    density = {"logit": LOGISTIC, "probit": NORMAL}[link].logpdf
    lower = density(AT[0] - AT[1]) - values
    np.testing.assert_allclose(width, np.exp(lower), rtol=1e-8, atol=1e-12)
    want = np.exp(density(AT[0]) - values) - np.exp(lower)
    np.testing.assert_allclose(slope, want, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(short_slope, slope, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(short_width, width, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("link", LINKS)
def test_far_out_it_is_the_tail_and_its_gradient(link):
    """At 1e8 in float32: -|x| of the logit, -x^2/2 of the probit, and their slopes."""
    x = jnp.array([1e8, -1e8, 1e4, -1e4, 1e-8, 1e30])
    both = jax.jit(jax.vmap(jax.value_and_grad(LINKS[link].between, (0, 1))))
    value, (slope, width) = both(x, jnp.full(6, 4.0))
    end = np.where(x > 0, np.float64(x) - 4, -np.float64(x))[:4]
    size = end if link == "logit" else end**2 / 2
    np.testing.assert_allclose(value[:4], -size, rtol=1e-3)
    steep = np.ones(4) if link == "logit" else end
    np.testing.assert_allclose(slope[:4], -np.sign(x[:4]) * steep, rtol=1e-3)
    assert np.isfinite(slope[:5]).all()
    assert np.isfinite(width[:5]).all()


@pytest.mark.slow
def test_the_tail_of_the_normal_distribution():
    x = np.array([-1e8, -1e3, -37.0, -8.000001, -8.0, -6.0, -2.0, 0.0, 6.0])
    with jax.enable_x64(True):
        both = jax.jit(lambda x: (log_normal(x), hazard(x)))
        values, slopes = map(np.asarray, both(jnp.asarray(x)))
        grown = jax.jit(lambda x: log_normal(jnp.asarray(x)))
        check_grads(grown, (jnp.array([-9.0, -3.0, 1.0]),), order=2)
    np.testing.assert_allclose(values, special.log_ndtr(x), rtol=1e-11, atol=1e-16)
    # 1/(phi/Phi) is the Mills ratio, sqrt(pi/2) erfcx(-x/sqrt(2)).
    mills = np.sqrt(np.pi / 2) * special.erfcx(-x / np.sqrt(2))
    np.testing.assert_allclose(slopes, 1 / mills, rtol=1e-13)


@pytest.mark.parametrize("link", LINKS)
def test_levels_share_all_probability(link):
    rng = np.random.default_rng(0)
    z = 5 * rng.normal(size=30).astype(np.float32)
    thresholds = np.tile(np.float32([-4, -3.5, 0, 6]), (30, 1))
    logs_of = jax.jit(lambda z, b: ordinal.log_probabilities(z, b, link))
    logs = logs_of(jnp.asarray(z), jnp.asarray(thresholds))
    assert logs.shape == (30, 5)
    np.testing.assert_allclose(np.exp(logs).sum(1), 1, rtol=2e-6)
    g = {"logit": LOGISTIC, "probit": NORMAL}[link].cdf
    below = np.cumsum(np.exp(logs), 1)[:, :-1]
    np.testing.assert_allclose(below, g(thresholds - z[:, None]), atol=2e-6)
    # Of two levels it is a binary model.
    two = logs_of(jnp.asarray(z), jnp.ones((30, 1)))
    np.testing.assert_allclose(np.exp(two[:, 1]), g(z - 1), rtol=2e-5, atol=1e-7)


def test_bad_input_is_refused():
    assert ordinal.get_link("logit") is LINKS["logit"]
    with pytest.raises(ValueError, match=r"Unknown link 'cloglog'\. Available: logit"):
        ordinal.log_probability(jnp.zeros(1), jnp.zeros(1), jnp.ones(1), "cloglog")
