"""Convolutions by matrix products: XLA's are the reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec as P

from ncjax.models import conv, resnet18
from ncjax.models.resnet import ResNet
from tests.thin import thin

OPTIONS = {
    "dimension_numbers": conv.LAYOUT,
    "lhs_dilation": (1, 1),
    "rhs_dilation": (1, 1),
    "feature_group_count": 1,
    "precision": None,
}


def outputs_and_gradients(function, x, kernel, *args, **options):
    """Output, gradient by the input and gradient by the kernel."""

    def apply(x, kernel):
        return function(x, kernel, *args, **OPTIONS | options)

    @jax.jit
    def run(x, kernel):
        out, pull = jax.vjp(apply, x, kernel)
        weights = jnp.cos(jnp.arange(out.size, dtype=out.dtype)).reshape(out.shape)
        return out, *pull(weights)

    return run(x, kernel)


def assert_same_as_xla(x, kernel, *args, **options):
    """To float32 rounding of the largest entry: the order of sums is another."""
    expected = outputs_and_gradients(
        lax.conv_general_dilated, x, kernel, *args, **options
    )
    got = outputs_and_gradients(conv.matmul_conv, x, kernel, *args, **options)
    for a, b in zip(got, expected):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=5e-6 * float(abs(b).max()))


def arrays(shape, kernel):
    rng = np.random.default_rng(0)
    return (jnp.asarray(rng.normal(size=s), jnp.float32) for s in (shape, kernel))


PAD = ((1, 1), (1, 1))


@pytest.mark.parametrize(
    ("size", "piece"),
    thin([((4, 6), 1), ((5, 7), 1), ((5, 7), 2**22), ((1, 2), 2**22)], keep={1, 3}),
)
def test_winograd(monkeypatch, size, piece):
    monkeypatch.setattr(conv, "PIECE", piece)
    assert_same_as_xla(*arrays((6, *size, 32), (3, 3, 32, 40)), (1, 1), PAD)


@pytest.mark.parametrize("piece", [1, 2**22], ids=["one by one", "all at once"])
@pytest.mark.parametrize(
    ("kernel", "strides", "padding"),
    [
        ((3, 3), (1, 1), PAD),  # too few channels for Winograd
        ((3, 3), (2, 2), PAD),
        ((3, 3), (1, 2), ((0, 2), (1, 0))),
        ((1, 1), (2, 2), "SAME"),
        ((7, 7), (2, 2), ((3, 3), (3, 3))),
        ((2, 3), (3, 1), "VALID"),
    ],
)
def test_other_kernels(monkeypatch, kernel, strides, padding, piece):
    monkeypatch.setattr(conv, "PIECE", piece)
    assert_same_as_xla(*arrays((4, 9, 8, 3), (*kernel, 3, 5)), strides, padding)


@pytest.mark.parametrize("groups", [2, 16])
@pytest.mark.parametrize("strides", [(1, 1), (2, 1)])
def test_groups(groups, strides):
    x, kernel = arrays((2, 6, 5, 64), (3, 3, 64 // groups, 32))
    assert_same_as_xla(x, kernel, strides, PAD, feature_group_count=groups)


def test_dilations_are_left_to_xla():
    x, kernel = arrays((2, 6, 6, 64), (3, 3, 64, 32))
    assert_same_as_xla(x, kernel, (1, 1), PAD, rhs_dilation=(2, 2))


def test_other_types_are_left_to_xla():
    x, kernel = (a.astype(jnp.bfloat16) for a in arrays((2, 4, 4, 32), (3, 3, 32, 32)))
    assert_same_as_xla(x, kernel, (1, 1), PAD)


def test_a_kernel_for_each_network():
    """Seeds under `vmap`."""
    x, kernels = arrays((2, 5, 5, 32), (3, 3, 3, 32, 32))
    for function in (conv.winograd, lambda x, k: conv.direct(x, k, (2, 2), PAD, 1)):
        grad = jax.value_and_grad(lambda k, f=function: jnp.sum(f(x, k) ** 2))
        one = jax.jit(grad)
        value, gradient = jax.jit(jax.vmap(grad))(kernels)
        for i, kernel in enumerate(kernels):
            expected, slope = one(kernel)
            np.testing.assert_allclose(value[i], expected, rtol=1e-5)
            atol = 5e-6 * float(abs(slope).max())
            np.testing.assert_allclose(gradient[i], slope, rtol=0, atol=atol)


def test_the_choice_of_a_model():
    """The parameters are the same, and so is the network, to rounding."""
    images = jax.random.normal(jax.random.key(0), (2, 8, 8, 3))
    out, shapes = {}, set()
    for name in conv.CONVOLUTIONS:
        model = ResNet(3, (1,), 32, method=name)
        variables = jax.eval_shape(
            lambda m=model: m.init(jax.random.key(0), images, False)
        )
        shapes.add(str(variables))
        rng = np.random.default_rng(0)
        variables = jax.tree.map(
            lambda v, rng=rng: jnp.asarray(rng.uniform(0, 0.1, v.shape), v.dtype),
            variables,
        )
        del variables["layers"]
        jitted = jax.jit(lambda v, m=model: m.apply(v, images, train=False)[0])
        out[name] = jitted(variables)
    assert len(shapes) == 1
    np.testing.assert_allclose(out["matmul"], out["xla"], rtol=1e-5)
    default = "matmul" if jax.default_backend() == "cpu" else "xla"
    np.testing.assert_array_equal(out["auto"], out[default])
    with pytest.raises(ValueError, match=r"conv 'fft'. Available: auto, xla, matmul"):
        resnet18(3, conv="fft")


@pytest.mark.parametrize(
    ("method", "groups", "piece"),
    [("xla", 2, 1), ("matmul", 1, 1), ("matmul", 1, 2**22), ("matmul", 2, 1)],
)
def test_a_batch_on_four_devices(monkeypatch, method, groups, piece):
    """Outputs and gradients are those of one device, each with its examples."""
    monkeypatch.setattr(conv, "PIECE", piece)
    x, kernel = arrays((8, 5, 6, 4), (3, 3, 4 // groups, 6))
    options = {"feature_group_count": groups}
    function = conv.CONVOLUTIONS[method]
    expected = outputs_and_gradients(function, x, kernel, (1, 1), PAD, **options)
    mesh = Mesh(jax.devices()[:4], ("data",), axis_types=(AxisType.Auto,))
    x = jax.device_put(x, NamedSharding(mesh, P("data")))
    kernel = jax.device_put(kernel, NamedSharding(mesh, P()))
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
        got = outputs_and_gradients(function, x, kernel, (1, 1), PAD, **options)
    for a, b in zip(got, expected):
        np.testing.assert_allclose(a, b, rtol=0, atol=5e-6 * float(abs(b).max()))
    assert got[1].sharding.spec == P("data")
