"""Losses of sets of labels, beside PyTorch's, cross-entropy, and by their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.losses import bce, cross_entropy, losses_for, pick_all_label

RNG = np.random.default_rng(0)
Z = np.float32(3 * RNG.normal(size=(20, 4)))
Y = RNG.random((20, 4)) < 0.5
Y[~Y.any(1), 0] = True


def test_pick_all_label_is_a_sum_of_cross_entropies():
    each = [
        [
            cross_entropy(jnp.asarray(z[None]), jnp.array([k]))[0]
            for k in np.flatnonzero(y)
        ]
        for z, y in zip(Z, Y)
    ]
    found = pick_all_label(jnp.asarray(Z), jnp.asarray(Y))
    np.testing.assert_allclose(found, [np.sum(x) for x in each], rtol=1e-5)
    found = pick_all_label(jnp.asarray(Z), jnp.asarray(Y), average_labels=True)
    np.testing.assert_allclose(found, [np.mean(x) for x in each], rtol=1e-5)


def test_bce_is_that_of_torch():
    torch = pytest.importorskip("torch")
    z, y = torch.tensor(Z, requires_grad=True), torch.from_numpy(np.float32(Y))
    want = torch.nn.functional.binary_cross_entropy_with_logits(z, y)
    want.backward()
    found, grad = jax.value_and_grad(
        lambda z: bce(z, jnp.asarray(Y), average_labels=True).mean()
    )(jnp.asarray(Z))
    assert float(found) == pytest.approx(want.item(), rel=1e-5)
    np.testing.assert_allclose(grad, z.grad.numpy(), rtol=1e-4, atol=1e-6)
    whole = bce(jnp.asarray(Z), jnp.asarray(Y))
    np.testing.assert_allclose(
        whole, 4 * bce(jnp.asarray(Z), jnp.asarray(Y), average_labels=True), rtol=1e-6
    )


@pytest.mark.parametrize("loss", [pick_all_label, bce])
def test_gradients_by_hand_and_large_logits(loss):
    grad = jax.grad(lambda z: loss(z, jnp.asarray(Y)).sum())(jnp.asarray(Z))
    if loss is bce:
        want = 1 / (1 + np.exp(-Z)) - Y
    else:
        want = Y.sum(1, keepdims=True) * np.asarray(jax.nn.softmax(Z)) - Y
    np.testing.assert_allclose(grad, want, rtol=1e-4, atol=1e-5)
    far = loss(jnp.where(Y, 1e4, -1e4).astype(jnp.float32), jnp.asarray(Y))
    assert np.isfinite(far).all()
    if loss is bce:
        np.testing.assert_array_equal(far, 0)


def test_bad_input_is_refused():
    assert losses_for("set") == ["pick_all_label", "bce"]
    for loss in (pick_all_label, bce):
        with pytest.raises(TypeError):
            loss(jnp.zeros((1, 2), jnp.int32), jnp.ones((1, 2), bool))
        with pytest.raises(TypeError, match="bool"):
            loss(jnp.zeros((1, 2)), jnp.ones((1, 2)))
        with pytest.raises((TypeError, ValueError), match="labels"):
            loss(jnp.zeros((1, 2)), jnp.ones((1, 3), bool))
