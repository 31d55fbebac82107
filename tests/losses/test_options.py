"""Options of losses: out of range, traced by JAX, and of a wrong type."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.classifiers import CLASSIFIERS
from ncjax.losses import (
    CLASSIFIER_OF,
    LOSSES,
    OUTPUTS,
    haframe,
    hxe,
    losses_for,
    multi_level,
    soft_labels,
)
from ncjax.losses.outputs import check_floating
from ncjax.options import options_of, takes
from tests.losses.trees import CIFAR, TREES, draw
from tests.thin import thin


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        (soft_labels, {"beta": -1.0}, "beta must be at least 0 and finite, got -1"),
        (soft_labels, {"beta": float("inf")}, "beta must be at least 0"),
        (soft_labels, {"distance": "edges"}, "'edges'. Available: height, depth"),
        (hxe, {"alpha": float("nan")}, "alpha must be finite, got nan"),
        (hxe, {"weighting": "width"}, "'width'. Available: height, depth"),
        (haframe, {"cosine_weight": -1.0}, "cosine_weight must be at least 0"),
        (soft_labels, {"temperature": 0.0}, "temperature must be positive and fin"),
        (hxe, {"temperature": float("inf")}, "temperature must be positive and fin"),
        (multi_level, {"level_weights": (1.0,)}, "3 finite numbers .* got"),
    ],
)
def test_bad_options(loss, options, message):
    if loss is haframe:
        options["vectors"] = CLASSIFIERS["haframe"](10, hierarchy=CIFAR).vectors
    else:
        options["hierarchy"] = CIFAR
    outputs = jnp.zeros((1, 18 if loss is multi_level else 10))
    with pytest.raises(ValueError, match=message):
        loss(outputs, jnp.zeros(1, jnp.int32), **options)


@pytest.mark.parametrize("name", ["cross_entropy", "soft_labels", "hxe", "hace"])
@pytest.mark.parametrize("temperature", thin([0.5, 1.0, 3.0], keep={0}))
def test_a_temperature_divides_the_logits(name, temperature):
    loss, size = bound(name, CIFAR)
    logits = 4 * np.random.default_rng(0).normal(size=(20, size)).astype(np.float32)
    labels = jnp.arange(20) % size
    want = loss(jnp.asarray(logits / np.float32(temperature)), labels)
    for t in (temperature, jnp.float32(temperature)):
        found = jax.jit(lambda z, t=t: loss(z, labels, temperature=t))(logits)
        np.testing.assert_allclose(found, want, rtol=2e-6, atol=1e-6)
    traced = jax.jit(lambda z, t: loss(z, labels, temperature=t))(logits, temperature)
    np.testing.assert_allclose(traced, want, rtol=2e-6, atol=1e-6)


def bound(name, tree):
    """A loss of `LOSSES` with its tree or its vectors, and its number of outputs."""
    given = {}
    if takes(LOSSES[name], "hierarchy"):
        given["hierarchy"] = tree
    if takes(LOSSES[name], "vectors"):
        make = CLASSIFIERS[CLASSIFIER_OF[name]]
        given["vectors"] = make(tree.num_classes, hierarchy=tree).vectors
    size = OUTPUTS[name](tree).size if name in OUTPUTS else tree.num_classes
    return functools.partial(LOSSES[name], **given), size


NUMERIC = [
    (name, option, {}, (0.6 * default + 0.05, 0.9 * default + 0.05))
    for name in losses_for("class")
    for option, default in options_of(LOSSES[name]).items()
    if isinstance(default, float)
]
OTHERS = [
    ("soft_labels", "beta", {"distance": "depth", "subtract_entropy": True}, (0, 30)),
    ("hxe", "alpha", {"weighting": "depth", "normalise": True}, (-0.3, 2.0)),
    ("hxe", "alpha", {"normalise": True}, (0.0, 1.0)),
    ("multi_level", "level_weights", {}, ((1, 0.5, 0.2, 0), (0.1, 0, 3, 1))),
]


@pytest.mark.parametrize(
    "tree",
    [
        pytest.param(tree, id=name, marks=() if name == "cifar10" else pytest.mark.slow)
        for name, tree in TREES.items()
    ],
)
@pytest.mark.parametrize(("name", "option", "fixed", "values"), NUMERIC + OTHERS)
def test_traced_options_are_the_known_ones(name, option, fixed, values, tree):
    """Networks that differ in an option, each as if it trained alone."""
    loss, size = bound(name, tree)
    if option == "level_weights":
        values = [value[: len(tree.levels)] for value in values]
    rng = np.random.default_rng(0)
    outputs = jnp.asarray(3 * rng.normal(size=(2, 20, size)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, tree.num_classes, 20), jnp.int32)

    def value_and_grad(outputs, value):
        def total(outputs):
            each = loss(outputs, labels, **fixed, **{option: value})
            return each.sum(), each

        return jax.grad(total, has_aux=True)(outputs)

    arrays = jnp.asarray(values, jnp.float32)
    grads, losses = jax.jit(jax.vmap(value_and_grad))(outputs, arrays)
    for member in range(2):
        grad, known = value_and_grad(outputs[member], values[member])
        scale = float(jnp.abs(known).max())
        np.testing.assert_allclose(losses[member], known, rtol=2e-5, atol=2e-6 * scale)
        np.testing.assert_allclose(grads[member], grad, rtol=2e-4, atol=3e-6)


def test_a_known_array_stands_for_its_number():
    outputs, labels = draw(CIFAR)
    z, y = jnp.asarray(outputs, jnp.float32), jnp.asarray(labels)
    for name, option in (("soft_labels", "beta"), ("hxe", "alpha")):
        loss, _ = bound(name, CIFAR)
        known = jax.jit(functools.partial(loss, **{option: jnp.float32(0.5)}))
        want = jax.jit(functools.partial(loss, **{option: 0.5}))
        np.testing.assert_array_equal(known(z, y), want(z, y))


@pytest.mark.parametrize("name", losses_for("class"))
def test_integer_outputs_are_refused(name):
    loss, size = bound(name, CIFAR)
    with pytest.raises(TypeError):
        loss(jnp.zeros((1, size), jnp.int32), jnp.zeros(1, jnp.int32))
    with pytest.raises(TypeError, match="must be floating-point numbers, got int32"):
        check_floating(jnp.zeros((1, size), jnp.int32))
