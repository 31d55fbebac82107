"""The row sum of the classifier: its recursion, its limits, and who keeps it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.hierarchy import BUILTIN
from ncjax.losses import LOSSES
from ncjax.optimizers import KEEP_ROW_SUMS, OPTIMIZERS
from ncjax.options import fill, options_of
from ncjax.ufm.theory.row_sum import (
    decay_time,
    row_sum_factors,
    signed_limit,
    signed_row_sum,
)


def test_three_steps_by_hand():
    got = row_sum_factors(np.array([0.1, 0.1, 0.2]), 0.5, momentum=0.9)
    # v = .5, .925, 1.2775; r = 1, .95, .8575, .602
    v2 = 0.9 * 0.5 + 0.5 * 0.95
    r2 = 0.95 - 0.1 * v2
    v3 = 0.9 * v2 + 0.5 * r2
    np.testing.assert_allclose(got, [1, 0.95, r2, r2 - 0.2 * v3], rtol=1e-15)
    got = row_sum_factors(np.array([0.1, 0.2]), 0.5, momentum=0.9, decoupled=1.0)
    np.testing.assert_allclose(got, [1, 0.95, 0.95 * 0.9], rtol=1e-15)
    got = row_sum_factors(np.array([0.1, 0.2]), np.array([0.5, 1.0]))
    np.testing.assert_allclose(got, [[1, 0.95, 0.855], [1, 0.9, 0.72]], rtol=1e-15)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decoupled", [0.0, 0.4, 1.0])
def test_many_small_steps_are_an_exponential(decoupled, nesterov):
    rates = np.full(20_000, 1e-3)
    rates[10_000:] = 1e-4
    how = {"momentum": 0.9, "decoupled": decoupled}
    got = row_sum_factors(rates, 0.005, **how, nesterov=nesterov)
    x = decay_time(rates, 0.005, **how)
    np.testing.assert_allclose(got, np.exp(-x), rtol=2e-3)
    whole = 0.005 * 11 * ((1 - decoupled) * 10 + decoupled)
    np.testing.assert_allclose(x[-1], whole)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_gradients_that_sum_to_0(name):
    """Optimizers of the list keep the law, the others do not."""
    tx = OPTIMIZERS[name](0.05, weight_decay=0.3)
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(6, 4, 5)).astype(np.float32)
    gradients -= gradients.mean(2, keepdims=True)  # a kernel [d, K]
    kernel = jnp.asarray(rng.normal(size=(4, 5)) + 1, jnp.float32)
    before, state = kernel.sum(1), tx.init(kernel)

    @jax.jit
    def step(kernel, state, gradient):
        how = {"grad_fn": lambda at, _: gradient} if name == "sam" else {}
        updates, state = tx.update(gradient, state, kernel, **how)
        return kernel + updates, state

    for gradient in gradients:
        kernel, state = step(kernel, state, gradient)
    how = {"decoupled": 1.0} if name in ("sgdw", "muon") else {"momentum": 0.9}
    want = row_sum_factors(np.full(6, 0.05), 0.3, **how)[-1]
    kept = np.allclose(kernel.sum(1), want * before, rtol=1e-4, atol=1e-5)
    assert kept == (name in KEEP_ROW_SUMS)


@pytest.mark.parametrize("name", ["cross_entropy", "soft_labels", "hxe", "mse"])
def test_which_losses_have_gradients_that_sum_to_0(name):
    values = options_of(LOSSES[name]) | {"label_smoothing": 0.2}
    loss = fill(LOSSES[name], values, hierarchy=BUILTIN["cifar10"]())
    logits = jnp.asarray(np.random.default_rng(1).normal(size=(10, 10)), jnp.float32)
    labels = jnp.arange(10)
    gradient = jax.jit(jax.grad(lambda z: loss(z, labels).mean()))(logits)
    assert np.allclose(gradient.sum(1), 0, atol=1e-7) == (name != "mse")


def test_signed_descent_by_hand():
    assert signed_limit(4, 0.1) == pytest.approx(1600)
    assert signed_limit(2, 0.1) == 0
    r, steps = 0.7, []
    for _ in range(3):
        r = (1 - 0.01 * 0.5) * r - 0.01 * (6 - 2)
        steps.append(r)
    got = signed_row_sum(np.arange(1, 4), 0.01, 0.5, 6, 0.7)
    np.testing.assert_allclose(got, steps, rtol=1e-14)
    end = signed_row_sum(10**6, 0.01, 0.5, 6, 0.7)
    assert 6 * end**2 == pytest.approx(signed_limit(6, 0.5))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1"),
        ({"decoupled": 2.0}, r"decoupled must be in \[0, 1\], got 2"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0, got -1"),
    ],
)
def test_bad_values(values, message):
    values = {"weight_decay": 0.1} | values
    for function in (row_sum_factors, decay_time):
        with pytest.raises(ValueError, match=message):
            function(np.ones(3), **values)
