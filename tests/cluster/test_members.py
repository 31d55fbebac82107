"""Functions of one network for many: at once and in turn, on any arguments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.cluster.members import map_networks, vmap_networks


@pytest.mark.parametrize("many", [vmap_networks, map_networks])
def test_each_network_has_its_own_results(many):
    def f(shift, x, state, unused):
        return {"a": x @ state["w"] + shift, "b": state["b"].sum()}

    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 3))
    state = {"w": rng.normal(size=(6, 3, 2)), "b": rng.normal(size=(6, 7))}
    found = jax.jit(many(f, (None, None, 0, None)))(1.0, x, state, None)
    np.testing.assert_allclose(found["a"], x @ state["w"] + 1, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["b"], state["b"].sum(1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("many", [vmap_networks, map_networks])
def test_parts_of_an_argument(many):
    """Images that all share, and labels of each network."""

    def f(data, w):
        images, labels = data
        return (images @ w)[labels]

    rng = np.random.default_rng(0)
    images, w = rng.normal(size=(5, 3)), rng.normal(size=(4, 3))
    labels = rng.integers(0, 5, (4, 7))
    found = jax.jit(many(f, ((None, 0), 0)))((images, labels), w)
    want = [(images @ w[i])[labels[i]] for i in range(4)]
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)


def test_map_networks_runs_the_program_of_one_network():
    """A convolution keeps its kernel; at once it gets one for each network."""

    def f(x, kernel):
        layout = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=layout
        )

    x, kernels = jnp.ones((2, 4, 4, 3)), jnp.ones((6, 3, 3, 3, 5))
    texts = {
        many: jax.jit(many(f, (None, 0))).lower(x, kernels).as_text()
        for many in (vmap_networks, map_networks)
    }
    assert "tensor<3x3x3x5xf32>) -> tensor<2x4x4x5xf32>" in texts[map_networks]
    assert "tensor<3x3x3x5xf32>) -> tensor<2x4x4x5xf32>" not in texts[vmap_networks]


def test_map_networks_needs_an_axis_for_each_argument():
    with pytest.raises(ValueError, match="zip"):
        map_networks(lambda x, y: x, (0,))(jnp.ones(2), jnp.ones(2))
