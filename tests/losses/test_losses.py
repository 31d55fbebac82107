"""Losses against NumPy, hand-computed values, gradients."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from ncjax.classifiers import CLASSIFIERS
from ncjax.hierarchy import Hierarchy
from ncjax.losses import (
    CLASSIFIER_OF,
    LOSSES,
    OUTPUTS,
    cross_entropy,
    hardmax,
    losses_for,
    mse,
    normface,
)
from ncjax.options import takes
from tests.losses.trees import softmax

OF_BATCHES = ("ntce", "nonl", "supcon")  # an example has a loss beside others alone


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20, 5)).astype(np.float32)
    return jnp.asarray(logits), jnp.asarray(rng.integers(0, 5, 20), jnp.int32)


def test_hand_computed():
    logits = jnp.array([[0.0, 0.0], [np.log(3.0), 0.0]])
    labels = jnp.array([0, 1])
    np.testing.assert_allclose(
        cross_entropy(logits, labels), [np.log(2), np.log(4)], rtol=1e-6
    )
    # (1/2)((0-1)^2 + 0^2) and (1/2)(log(3)^2 + (0-1)^2)
    np.testing.assert_allclose(
        mse(logits, labels), [0.5, 0.5 * (np.log(3) ** 2 + 1)], rtol=1e-6
    )


@pytest.mark.parametrize("eps", [0.0, 0.1, 0.5])
def test_cross_entropy_is_that_of_smoothed_targets(batch, eps):
    logits, labels = map(np.asarray, batch)
    targets = (1 - eps) * np.eye(5)[labels] + eps / 5
    want = -np.sum(targets * np.log(softmax(logits.astype(np.float64))), axis=1)
    got = cross_entropy(*batch, label_smoothing=eps)
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_mse_is_k_halves_of_the_mean_over_classes(batch):
    logits, labels = map(np.asarray, batch)
    mean_squares = np.mean((logits - np.eye(5)[labels]) ** 2)  # torch nn.MSELoss
    np.testing.assert_allclose(mse(*batch).mean(), 5 / 2 * mean_squares, rtol=1e-6)


def test_cross_entropy_of_huge_gaps():
    logits = jnp.array([[1e4, 0.0], [0.0, 1e4]])
    value, grad = jax.value_and_grad(
        lambda z: cross_entropy(z, jnp.array([1, 1])).sum()
    )(logits)
    assert value == 1e4
    np.testing.assert_array_equal(grad, [[1, -1], [0, 0]])


@pytest.mark.parametrize("name", losses_for("class"))
def test_each_is_per_example_and_differentiable(name):
    tree = Hierarchy(["root", "pair", *"abcde"], [-1, 0, 1, 1, 0, 0, 0])
    size = np.sum(OUTPUTS[name](tree).size) if name in OUTPUTS else 5
    loss = LOSSES[name]
    if name == "haf":  # its pairs are those of the batch
        loss = functools.partial(loss, margin_weight=0.0)
    if "hierarchy" in inspect.signature(loss).parameters:
        loss = functools.partial(loss, hierarchy=tree)
    if "vectors" in inspect.signature(loss).parameters:
        classifier = CLASSIFIERS[CLASSIFIER_OF[name]](5, hierarchy=tree)
        loss = functools.partial(loss, vectors=classifier.vectors)
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(20, size))
    labels = jnp.asarray(rng.integers(0, 5, 20), jnp.int32)
    rows = jnp.asarray(outputs, jnp.float32)
    compiled = jax.jit(loss)
    values = compiled(rows, labels)
    assert values.shape == (20,)
    assert values.dtype == jnp.float32
    if name not in OF_BATCHES:
        alone = [compiled(rows[i : i + 1], labels[i : i + 1])[0] for i in range(3)]
        np.testing.assert_allclose(values[:3], alone, rtol=1e-6)
    with jax.enable_x64(True):
        check_grads(
            jax.jit(lambda z: loss(jnp.asarray(z), labels).sum()),
            (jnp.asarray(outputs),),
            order=2,
        )


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in losses_for("class")
        if n not in OUTPUTS and not takes(LOSSES[n], "vectors")
    ],
)
def test_names_of_the_classes_do_not_matter(batch, name):
    logits, labels = batch
    tree = Hierarchy(["root", "pair", *"abcde"], [-1, 0, 1, 1, 0, 0, 0])
    order = np.random.default_rng(1).permutation(5)
    renamed = tree.restrict([tree.class_names[i] for i in order])
    loss = LOSSES[name]
    knows = "hierarchy" in inspect.signature(loss).parameters
    before = loss(logits, labels, **({"hierarchy": tree} if knows else {}))
    after = loss(
        logits[:, order],
        jnp.asarray(np.argsort(order))[labels],
        **({"hierarchy": renamed} if knows else {}),
    )
    np.testing.assert_allclose(after, before, rtol=1e-5)


def test_label_smoothing_out_of_range(batch):
    for eps in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 1\)"):
            cross_entropy(*batch, label_smoothing=eps)


def test_hardmax_is_the_limit_of_a_small_temperature(batch):
    logits = jnp.array([[2.0, 5.0, 1.0], [2.0, 5.0, 1.0]])
    np.testing.assert_allclose(hardmax(logits, jnp.array([0, 1])), [3, -3])
    logits, labels = batch
    cold = 1e-3 * cross_entropy(logits, labels, temperature=1e-3)
    gap = hardmax(logits, labels)
    np.testing.assert_allclose(cold, jnp.maximum(gap, 0), atol=2e-3)
    # At the softmax code on the sphere every class has -rho, here K/(K-1).
    rows = jnp.asarray(CLASSIFIERS["fixed"](5).vectors.at(4), jnp.float32)
    np.testing.assert_allclose(hardmax(rows @ rows.T, jnp.arange(5)), -1.25, rtol=1e-5)


def test_normface_is_cross_entropy_of_cosines(batch):
    for temperature in (1.0, 0.2):
        got = normface(*batch, temperature=temperature)
        want = cross_entropy(*batch, temperature=temperature)
        np.testing.assert_array_equal(got, want)
