"""Optimizers against their formulas, traced and not; schedules at their corners."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.optimizers import (
    OPTIMIZERS,
    SCHEDULES,
    adam,
    adamw,
    sgd,
    sgdw,
    signum,
    signumw,
    with_head,
)
from ncjax.options import options_of

RATE, DECAY = 0.1, 0.5
GRADIENTS = [
    np.array([[0.3, 0.1, -0.7], [-0.2, 0.4, 0.05]]),
    np.array([[-0.2, 0.4, 0.1], [0.3, -0.6, 0.2]]),
    np.array([[0.02, -0.5, 0.3], [0.6, 0.1, -0.4]]),
]


def steps_by_hand(direction, coupled, decoupled):
    """Theta after three steps; `direction(g, state, t)` may change its state."""
    theta, state = np.array([[1.0, -2.0, 0.5], [0.3, 0.8, -1.0]]), {}
    for t, gradient in enumerate(GRADIENTS, 1):
        step = direction(gradient + coupled * theta, state, t)
        theta = theta - RATE * (step + decoupled * theta)
    return theta


def velocity(momentum, nesterov=False):
    def direction(g, state, t):
        state["v"] = momentum * state.get("v", 0) + g
        return g + momentum * state["v"] if nesterov else state["v"]

    return direction


def adam_step(g, state, t):
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    state["s"] = 0.999 * state.get("s", 0) + 0.001 * g**2
    spread = np.sqrt(state["s"] / (1 - 0.999**t))
    return state["m"] / (1 - 0.9**t) / (spread + 1e-8)


def signum_step(g, state, t):
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    return np.sign(state["m"])


def lion_step(g, state, t):
    old = state.get("m", 0)
    state["m"] = 0.99 * old + 0.01 * g
    return np.sign(0.9 * old + 0.1 * g)


def muon_step(g, state, t):
    """Rows are inputs, columns outputs: 2 x 3."""
    b = 0.95
    state["m"] = b * state.get("m", 0) + (1 - b) * g
    ahead, now = state["m"] / (1 - b ** (t + 1)), g / (1 - b**t)
    x = b * ahead + (1 - b) * now
    x = x / np.linalg.norm(x)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.775 * square + 2.0315 * square @ square) @ x
    return np.sqrt(3 / 2) * x


# name: options, its direction, and the coupled and the decoupled decay.
BY_HAND = {
    "sgd": ({}, velocity(0.9), DECAY, 0.0),
    "sgd without momentum": ({"momentum": 0.0}, velocity(0.0), DECAY, 0.0),
    "sgd of Nesterov": ({"nesterov": True}, velocity(0.9, True), DECAY, 0.0),
    "sgd between": ({"decoupled": 0.3}, velocity(0.9), 0.7 * DECAY, 0.3 * DECAY),
    "sgdw": ({"momentum": 0.5}, velocity(0.5), 0.0, DECAY),
    "adam": ({}, adam_step, DECAY, 0.0),
    "adam between": ({"decoupled": 0.3}, adam_step, 0.7 * DECAY, 0.3 * DECAY),
    "adamw": ({}, adam_step, 0.0, DECAY),
    "signum": ({}, signum_step, DECAY, 0.0),
    "signum between": ({"decoupled": 0.5}, signum_step, DECAY / 2, DECAY / 2),
    "signumw": ({}, signum_step, 0.0, DECAY),
    "lion": ({}, lion_step, 0.0, DECAY),
    "muon": ({}, muon_step, 0.0, DECAY),
}


def test_each_optimizer_is_computed_by_hand():
    assert {case.split()[0] for case in BY_HAND} == set(OPTIMIZERS) - {"sam"}


def stepped(tx, gradients, params, **more):
    """Parameters after a step on each of the gradients."""
    state = tx.init(params)
    for gradient in gradients:
        updates, state = tx.update(gradient, state, params, **more)
        params = jax.tree.map(jnp.add, params, updates)
    return params


@pytest.mark.parametrize("case", BY_HAND)
def test_three_steps_by_hand(case):
    options, *how = BY_HAND[case]
    tx = OPTIMIZERS[case.split()[0]](RATE, weight_decay=DECAY, **options)
    start = jnp.array([[1.0, -2.0, 0.5], [0.3, 0.8, -1.0]])
    got = stepped(tx, [jnp.asarray(g, jnp.float32) for g in GRADIENTS], start)
    np.testing.assert_allclose(got, steps_by_hand(*how), rtol=2e-5)


@pytest.mark.parametrize(
    ("share", "whole"), [(sgd, sgdw), (adam, adamw), (signum, signumw)]
)
def test_the_names_are_the_ends_of_the_share(share, whole):
    gradients = [jnp.asarray(g, jnp.float32) for g in GRADIENTS]
    start = jnp.ones((2, 3))
    all_of_it = share(RATE, weight_decay=DECAY, decoupled=1.0)
    named = whole(RATE, weight_decay=DECAY)
    np.testing.assert_array_equal(
        stepped(all_of_it, gradients, start), stepped(named, gradients, start)
    )
    with pytest.raises(ValueError, match=r"decoupled must be in \[0, 1\], got 1.5"):
        share(RATE, weight_decay=DECAY, decoupled=1.5)


def test_sam_steps_along_the_gradient_uphill():
    """The loss is sum a theta^2 / 2, whose gradient a theta is known everywhere."""
    a, theta, velocity = np.array([1.0, 10.0]), np.array([1.0, 0.2]), np.zeros(2)

    def gradient(params, number):
        return jnp.asarray(a, jnp.float32) * params

    tx = OPTIMIZERS["sam"](RATE, weight_decay=DECAY, rho=0.3)
    params = jnp.asarray(theta, jnp.float32)
    state = tx.init(params)
    for _ in range(3):
        updates, state = tx.update(gradient(params, 0), state, params, grad_fn=gradient)
        params = params + updates
        worse = theta + 0.3 * a * theta / np.linalg.norm(a * theta)
        velocity = 0.9 * velocity + a * worse + DECAY * theta
        theta = theta - RATE * velocity
        np.testing.assert_allclose(params, theta, rtol=1e-5)
    with pytest.raises(ValueError, match="rho must be more than 0, got 0"):
        OPTIMIZERS["sam"](RATE, rho=0.0)


def test_sam_stays_finite_where_there_is_no_gradient():
    tx = OPTIMIZERS["sam"](RATE)
    zero = jnp.zeros(2)
    updates, _ = tx.update(zero, tx.init(zero), zero, grad_fn=lambda p, i: p)
    np.testing.assert_array_equal(updates, [0, 0])


def test_muon_takes_kernels_as_matrices_and_the_rest_by_adam():
    """A kernel [h, w, in, out] is a matrix [h w in, out]; all decay alike."""
    rng = np.random.default_rng(0)
    kernel = jnp.asarray(rng.normal(size=(3, 3, 2, 5)), jnp.float32)
    tx = OPTIMIZERS["muon"](RATE, weight_decay=DECAY)
    bias = jnp.array([2.0, -1.0])
    got = stepped(tx, [{"k": 2 * kernel, "b": bias}], {"k": kernel, "b": bias})
    flat = stepped(tx, [2 * kernel.reshape(18, 5)], kernel.reshape(18, 5))
    np.testing.assert_allclose(got["k"].reshape(18, 5), flat, rtol=1e-5)
    orthogonal = (kernel.reshape(18, 5) * (1 - RATE * DECAY) - flat) / RATE
    singular = np.linalg.svd(orthogonal, compute_uv=False)
    assert singular.min() > 0.6
    assert singular.max() < 1.3
    # Adam's first step is the sign of the gradient, but for Nesterov's average.
    ahead = 0.9 * 0.1 / (1 - 0.9**2) + 1
    want = bias - RATE * (ahead * np.sign(bias) + DECAY * bias)
    np.testing.assert_allclose(got["b"], want, rtol=1e-4)


def test_the_last_layer_has_its_own_optimizer():
    params = {"hidden": {"kernel": jnp.ones((2, 3))}, "last": {"kernel": jnp.ones(3)}}
    tx = with_head(sgd(0.1, momentum=0.0), OPTIMIZERS["signum"](0.01), "last")
    got = stepped(tx, [jax.tree.map(lambda p: 5 * p, params)], params)
    np.testing.assert_allclose(got["hidden"]["kernel"], 0.5, rtol=1e-6)
    np.testing.assert_allclose(got["last"]["kernel"], 0.99, rtol=1e-6)


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


def five_steps(name, schedule, learning_rate, options):
    """Parameters after five steps on the gradients cos(theta + step)."""
    rate = SCHEDULES[schedule](learning_rate, 3, 2)  # both drops of "step" are seen
    tx = OPTIMIZERS[name](rate, **options)
    params = jnp.array([[1.0, -2.0, 0.5]])
    state = tx.init(params)
    for number in range(5):
        gradient = lambda at, _: jnp.cos(at + number)  # noqa: B023, E731
        how = {"grad_fn": gradient} if name == "sam" else {}
        updates, state = tx.update(gradient(params, 0), state, params, **how)
        params = params + updates
    return params


@pytest.mark.parametrize(
    ("name", "schedule"),
    [("sgd", schedule) for schedule in SCHEDULES]
    + [(name, "step") for name in OPTIMIZERS if name != "sgd"],
)
def test_traced_options_are_the_known_ones(name, schedule):
    """Alone and mapped over networks that differ in learning rate and options."""
    given = {
        "weight_decay": [0.0, 0.3],
        "momentum": [0.9, 0.0],
        "decoupled": [0.0, 0.5],
        "rho": [0.1, 0.3],
    }
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
