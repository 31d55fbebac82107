"""The ordinal loss: cross-entropy of its own scores, and its gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import stats

from ncjax.losses import cross_entropy, losses_for, ordinal
from ncjax.losses.ordinal import ordinal_outputs
from ncjax.ordinal import LINKS

RNG = np.random.default_rng(0)
CUTS = np.array([-3.0, -1, 0.5, 4])
OUTPUTS = np.hstack([3 * RNG.normal(size=(40, 1)), np.tile(CUTS, (40, 1))])
LABELS = jnp.arange(40) % 5


PROBIT = pytest.param("probit", marks=pytest.mark.slow)  # it compiles for long


@pytest.mark.parametrize("link", ["logit", PROBIT])
def test_it_is_the_likelihood_of_the_level(link):
    g = {"logit": stats.logistic, "probit": stats.norm}[link].cdf
    ends = np.concatenate([[-np.inf], CUTS, [np.inf]])
    upper, lower = (ends[LABELS + i] - OUTPUTS[:, 0] for i in (1, 0))
    turn = lower > 0  # where both are near 1, their difference has no digits
    upper, lower = np.where(turn, -lower, upper), np.where(turn, -upper, lower)
    want = -np.log(g(upper) - g(lower))
    with jax.enable_x64(True):
        loss = jax.jit(lambda x: ordinal(jnp.asarray(x), LABELS, link=link))
        found = loss(jnp.asarray(OUTPUTS))
        np.testing.assert_allclose(found, want, rtol=1e-6)
        total = jax.jit(lambda x: loss(x).sum())
        check_grads(total, (jnp.asarray(OUTPUTS),), order=1)
    short = jnp.asarray(OUTPUTS, jnp.float32)
    each = loss(short)
    np.testing.assert_allclose(each, found, rtol=2e-5, atol=2e-6)
    scores = jax.jit(ordinal_outputs(num_classes=5, link=link).scores)(short)
    np.testing.assert_allclose(
        cross_entropy(scores, LABELS), each, rtol=2e-5, atol=2e-6
    )


@pytest.mark.parametrize("link", LINKS)
def test_gradients_are_finite_at_every_scale(link):
    slopes = jax.jit(jax.grad(lambda x: ordinal(x, LABELS, link=link).sum()))
    for scale in (1e-8, 1.0, 1e8):
        outputs = np.float32(OUTPUTS)
        outputs[:, 0] *= np.float32(scale)
        grad = slopes(jnp.asarray(outputs))
        assert np.isfinite(grad).all()
        outward = np.sign(outputs[:, 0]) * (LABELS - 2)  # the level lies on that side
        if scale > 1:
            assert (np.abs(grad[outward < 0, 0]) >= 0.99).all()


def test_bad_input_is_refused():
    assert losses_for("ordinal") == ["ordinal"]
    outputs = jnp.asarray(OUTPUTS, jnp.float32)
    with pytest.raises(ValueError, match=r"link 'loglog'\. Available: logit, probit"):
        ordinal(outputs, LABELS, link="loglog")
    with pytest.raises(ValueError, match="Unknown link"):
        ordinal_outputs(num_classes=3, link="cauchit")
    with pytest.raises(TypeError):
        ordinal(jnp.zeros((1, 3), jnp.int32), jnp.zeros(1, jnp.int32))
    with pytest.raises(ValueError, match=r"row 0 has 5, and 0\.\.4 are allowed"):
        ordinal(outputs[:1], jnp.array([5]))
    assert np.isnan(jax.jit(ordinal)(outputs[:1], jnp.array([-1]))).all()
