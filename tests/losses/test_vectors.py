"""MSE and Huber's loss of vectors, beside PyTorch's and by their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.losses import huber, losses_for, mse
from ncjax.losses.outputs import check_vectors

RNG = np.random.default_rng(0)
Z, Y = (np.float32(3 * RNG.normal(size=(20, 4))) for _ in range(2))


def test_mse_of_vectors_and_its_conventions():
    torch = pytest.importorskip("torch")
    found = mse(jnp.asarray(Z), jnp.asarray(Y))
    np.testing.assert_allclose(found, ((Z - Y) ** 2).sum(1) / 2, rtol=1e-6)
    z, y = torch.from_numpy(Z), torch.from_numpy(Y)
    mean = torch.nn.functional.mse_loss(z, y).item()
    assert mean == pytest.approx(2 / 4 * float(found.mean()), rel=1e-6)
    total = torch.nn.functional.mse_loss(z, y, reduction="sum").item()
    assert total == pytest.approx(2 * 20 * float(found.mean()), rel=1e-6)
    classes = jnp.arange(20) % 4
    one_hot = jax.nn.one_hot(classes, 4)
    np.testing.assert_array_equal(
        mse(jnp.asarray(Z), classes), mse(jnp.asarray(Z), one_hot)
    )


@pytest.mark.parametrize("delta", [0.3, 1.0, 100.0])
def test_huber_is_that_of_torch(delta):
    torch = pytest.importorskip("torch")
    z, y = torch.tensor(Z, requires_grad=True), torch.from_numpy(Y)
    want = torch.nn.functional.huber_loss(z, y, delta=delta, reduction="none").sum(1)
    want.sum().backward()
    found, grad = jax.value_and_grad(
        lambda z: huber(z, jnp.asarray(Y), delta=delta).sum()
    )(jnp.asarray(Z))
    assert float(found) == pytest.approx(want.sum().item(), rel=1e-5)
    np.testing.assert_allclose(grad, z.grad.numpy(), rtol=1e-5, atol=1e-6)
    each = huber(jnp.asarray(Z), jnp.asarray(Y), delta=delta)
    np.testing.assert_allclose(each, want.detach().numpy(), rtol=1e-5)


def test_bad_input_is_refused():
    assert losses_for("vector") == ["mse", "huber"]
    for loss in (mse, huber):
        with pytest.raises(TypeError):
            loss(jnp.zeros((1, 2), jnp.int32), jnp.zeros((1, 2)))
    with pytest.raises(ValueError, match=r"\(20, 4\) and the labels \(20, 3\)"):
        check_vectors(jnp.asarray(Z), jnp.asarray(Y[:, :3]))
    with pytest.raises(ValueError, match="delta must be positive and finite"):
        huber(jnp.asarray(Z), jnp.asarray(Y), delta=-1.0)
