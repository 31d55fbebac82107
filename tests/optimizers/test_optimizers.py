"""Optimizers against their formulas, traced and not; schedules at their corners."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.optimizers import OPTIMIZERS, SCHEDULES, adam, adamw, sgd
from ncjax.options import options_of


def test_sgd_is_momentum_with_coupled_decay():
    tx = sgd(0.1, weight_decay=0.5, momentum=0.9)
    theta, velocity = np.array([1.0, -2.0]), np.zeros(2)
    params, state = jnp.asarray(theta), tx.init(jnp.asarray(theta))
    for grad in ([0.3, 0.1], [-0.2, 0.4], [0.0, 0.0]):
        updates, state = tx.update(jnp.asarray(grad), state, params)
        params = params + updates
        velocity = 0.9 * velocity + np.asarray(grad) + 0.5 * theta
        theta = theta - 0.1 * velocity
        np.testing.assert_allclose(params, theta, rtol=1e-6)


def test_step_schedule_of_papyan():
    rate = SCHEDULES["step"](0.1, 350, 10)
    steps = {0: 0.1, 1159: 0.1, 1160: 0.01, 2329: 0.01, 2330: 0.001, 3499: 0.001}
    for step, want in steps.items():
        np.testing.assert_allclose(rate(step), want, rtol=1e-6)


def test_cosine_and_constant():
    rate = SCHEDULES["cosine"](0.1, 10, 10)
    np.testing.assert_allclose(
        [rate(0), rate(50), rate(100)], [0.1, 0.05, 0], atol=1e-8
    )
    assert SCHEDULES["constant"](0.1, 10, 10)(73) == pytest.approx(0.1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_bad_decay(name):
    with pytest.raises(ValueError, match="weight_decay must be at least 0, got -1"):
        OPTIMIZERS[name](0.1, weight_decay=-1.0)


def test_bad_momentum():
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\), got 1"):
        sgd(0.1, momentum=1.0)


def test_adam_decay_is_coupled():
    # With zero gradient, Adam's first step of a coupled decay has size lr, not lr*wd.
    params = jnp.array([4.0])
    tx = adam(0.1, weight_decay=1e-3)
    updates, _ = tx.update(jnp.zeros(1), tx.init(params), params)
    np.testing.assert_allclose(updates, [-0.1], rtol=1e-4)


def test_adamw_decay_is_decoupled():
    # With zero gradient a step is the decay alone: theta -= lr * decay * theta.
    params = jnp.array([4.0])
    tx = adamw(0.1, weight_decay=1e-3)
    updates, _ = tx.update(jnp.zeros(1), tx.init(params), params)
    np.testing.assert_allclose(updates, [-0.1 * 1e-3 * 4], rtol=1e-5)


def five_steps(name, schedule, learning_rate, options):
    """Parameters after five steps on the gradients cos(theta + step)."""
    rate = SCHEDULES[schedule](learning_rate, 3, 2)  # both drops of "step" are seen
    tx = OPTIMIZERS[name](rate, **options)
    params = jnp.array([1.0, -2.0, 0.5])
    state = tx.init(params)
    for number in range(5):
        updates, state = tx.update(jnp.cos(params + number), state, params)
        params = params + updates
    return params


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_traced_options_are_the_known_ones(name, schedule):
    """Alone and mapped over networks that differ in learning rate and options."""
    given = {"weight_decay": [0.0, 0.3], "momentum": [0.9, 0.0]}
    takes = options_of(OPTIMIZERS[name])
    rates = [0.1, 0.02]
    options = {k: v for k, v in given.items() if k in takes}

    def run(learning_rate, options):
        return five_steps(name, schedule, learning_rate, options)

    mapped = jax.jit(jax.vmap(run))(
        jnp.array(rates), {k: jnp.array(v) for k, v in options.items()}
    )
    for place, rate in enumerate(rates):
        own = {k: v[place] for k, v in options.items()}
        known = jax.jit(lambda: run(rate, own))()  # noqa: B023
        np.testing.assert_allclose(mapped[place], known, rtol=1e-5, atol=1e-6)
