"""The linear classifier: one layer, or heads with split features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.classifiers.linear import LinearLayer
from ncjax.losses import OUTPUTS
from tests.losses.trees import CIFAR


@pytest.mark.slow
def test_split_features_shield_the_coarse_ones():
    sizes = OUTPUTS["multi_level"](CIFAR, split_features=True).size
    assert sizes == (2, 6, 10)
    head = LinearLayer(sizes)
    features = jax.random.normal(jax.random.key(0), (7, 30))
    params = head.init(jax.random.key(1), features)

    def fine(params, features):
        return jnp.sum(head.apply(params, features)[:, 8:] ** 2)

    of_params, of_features = jax.grad(fine, argnums=(0, 1))(params, features)
    np.testing.assert_array_equal(of_features[:, :20], 0)  # the parts of coarser heads
    assert (np.abs(of_features[:, 20:]) > 0).all()
    assert (np.abs(of_params["params"]["kernel"][:, 8:]) > 0).all()  # but it sees them

    def coarse(features):
        return jnp.sum(head.apply(params, features)[:, :2] ** 2)

    np.testing.assert_array_equal(jax.grad(coarse)(features)[:, 10:], 0)
    # What the heads compute is one linear map, with the parameters of a Dense layer.
    kernel, bias = params["params"]["kernel"], params["params"]["bias"]
    np.testing.assert_allclose(
        head.apply(params, features), features @ kernel + bias, rtol=1e-4, atol=1e-5
    )
    with pytest.raises(ValueError, match="2 features cannot be split between 3 heads"):
        head.init(jax.random.key(1), features[:, :2])


def test_one_level_is_a_flat_classifier():
    from flax import linen as nn

    features = jax.random.normal(jax.random.key(0), (7, 30))
    flat, dense = LinearLayer((5,)), nn.Dense(5)
    for init in (flat.init, dense.init):
        assert init(jax.random.key(1), features)["params"]["kernel"].shape == (30, 5)
    params = dense.init(jax.random.key(1), features)
    np.testing.assert_array_equal(
        flat.apply(params, features), dense.apply(params, features)
    )
