"""Convolutions for CPUs, where XLA's own are slow to differentiate.

XLA's CPU backend computes a convolution about as fast as its matrix products allow, but
takes several times as long for the gradient by the kernel.  Here that gradient is a sum
of matrix products, one for each entry of the kernel.  3x3 kernels with stride 1 do not
multiply that often in the first place: Winograd's F(2x2, 3x3) gets 4 outputs from 16
products instead of 36, and so do both its gradients.  Sums come in another order than
in `jax.lax.conv_general_dilated`, so that results differ by float32 rounding.  Forward
mode (`jax.jvp`, `jax.hessian`) is for "xla" only: these gradients are written by hand.

References:
    Lavin & Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

_apart = jax.lax.optimization_barrier  # XLA would compute sums of sums again and again
LAYOUT = ("NHWC", "HWIO", "NHWC")
PIECE = 2**22  # bytes of patches that are worked on at a time, so as to stay in cache
LEAST = 32  # channels in and out from which on fewer products pay for the transforms

# A tile x of 4x4 inputs gives 2x2 outputs OUT [IN x IN' * V] OUT' by the 16 products
# with V = KERNEL w KERNEL' * SCALES.  All entries but those of SCALES are 0, 1 or -1.
IN = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]])
KERNEL = np.array([[1, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 1]])
SCALES = np.kron([1, 0.5, 0.5, 1], [1, 0.5, 0.5, 1]).astype(np.float32)[:, None, None]
OUT = np.array([[1, 1, 1, 0], [0, 1, -1, 1]])


def by_device(conv: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """Makes each device convolve the examples of a batch that lie on it.

    In a step over several devices XLA finds out by itself that it can, except for
    convolutions in groups, for which it gathers the batch on every device
    (https://github.com/openxla/xla/issues/47945), and for batches worked on in pieces.

    Args:
        conv: a convolution (x, kernel, *window, **options) of a batch x [n, h, w, c],
            which is sharded along n over the axis "data" of the mesh that is in use.
    """

    @wraps(conv)
    def convolve(x, kernel, *window, **options):
        mesh = jax.sharding.get_abstract_mesh()
        if "data" not in mesh.auto_axes or mesh.shape["data"] == 1:
            return conv(x, kernel, *window, **options)
        local = jax.shard_map(
            lambda x, kernel: conv(x, kernel, *window, **options),
            in_specs=(P("data"), P()),
            out_specs=P("data"),
            axis_names={"data"},
            check_vma=False,
        )
        return local(x, kernel)

    return convolve


@by_device
def matmul_conv(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    **options: Any,
) -> jax.Array:
    """`jax.lax.conv_general_dilated` by matrix products, where that is faster on a CPU.

    Dilated kernels and other types than float32 are left to XLA.

    Args:
        x: images [n, h, w, c].
        kernel: [kh, kw, c / groups, d].
        strides: step of the kernel along h and w.
        padding: "SAME", "VALID", or (before, after) along h and w.
        **options: the other arguments that Flax passes on; `rhs_dilation` and
            `feature_group_count` (the number of groups) are read here.
    """
    groups, dilation = options["feature_group_count"], options["rhs_dilation"]
    if set(dilation) != {1} or x.dtype != jnp.float32:
        return jax.lax.conv_general_dilated(x, kernel, strides, padding, **options)
    strides, (h, w) = tuple(strides), kernel.shape[:2]
    if isinstance(padding, str):
        padding = jax.lax.padtype_to_pads(x.shape[1:3], (h, w), strides, padding)
    (top, bottom), (left, right) = padding
    pads = (top, bottom), (left, right)
    plain = strides == (1, 1) and pads == ((1, 1), (1, 1)) and groups == 1
    if plain and (h, w) == (3, 3) and min(kernel.shape[2:]) >= LEAST:
        return winograd(x, kernel)
    return direct(x, kernel, strides, pads, groups)


def xla_conv(x: jax.Array, kernel: jax.Array, *args: Any, **options: Any) -> jax.Array:
    """`jax.lax.conv_general_dilated`; convolutions in groups are made `by_device`."""
    conv = jax.lax.conv_general_dilated
    groups = options["feature_group_count"]
    return (by_device(conv) if groups > 1 else conv)(x, kernel, *args, **options)


def best_conv(*args: Any, **options: Any) -> jax.Array:
    """`matmul_conv` on CPUs, XLA's on accelerators, where it is tuned for them."""
    cpu = jax.default_backend() == "cpu"
    return CONVOLUTIONS["matmul" if cpu else "xla"](*args, **options)


CONVOLUTIONS: dict[str, Callable[..., jax.Array]] = {
    "auto": best_conv,
    "xla": xla_conv,
    "matmul": matmul_conv,
}


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def direct(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int],
    padding: tuple[tuple[int, int], tuple[int, int]],
    groups: int,
) -> jax.Array:
    """XLA's convolution, with a gradient by the kernel that is a sum of products.

    Args:
        x: images [n, h, w, c].
        kernel: [kh, kw, c / G, d]; each of the G groups of c / G channels of x gives
            d / G channels of the result.
        strides: step of the kernel along h and w.
        padding: (before, after) along h and w.
        groups: G.

    Returns:
        [n, h', w', d], with h' and w' as stride and padding leave them.
    """
    return _xla(x, kernel, strides, padding, groups)


def _xla(x, kernel, strides, padding, groups, spread=(1, 1)):
    """XLA's convolution; `spread` - 1 zeros stand between the entries of x."""
    # XLA is slow at any other layout inside a loop on a CPU: it brings convolutions
    # into this one before it compiles, but not within `while`
    # (https://github.com/jax-ml/jax/issues/12868).
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        lhs_dilation=spread,
        dimension_numbers=LAYOUT,
        feature_group_count=groups,
    )


def _direct_forward(x, kernel, strides, padding, groups):
    return direct(x, kernel, strides, padding, groups), (x, kernel)


def _direct_backward(strides, padding, groups, saved, g):
    x, kernel = saved
    kh, kw, c, d = kernel.shape
    # Gradient by x: every output goes back to the inputs that it has seen, which is a
    # convolution by the kernel turned by 180 degrees, with channels in and out
    # exchanged within each group.  Zeros between the outputs undo the stride.
    turned = kernel[::-1, ::-1].reshape(kh, kw, c, groups, d // groups)
    turned = turned.swapaxes(2, 4).reshape(kh, kw, d // groups, groups * c)
    pads = []
    for size, out, k, s, (low, _) in zip(
        x.shape[1:3], g.shape[1:3], (kh, kw), strides, padding
    ):
        reached = (out - 1) * s + 1  # from the first place of the kernel to the last
        pads.append((k - 1 - low, size - reached + low))
    dx = _xla(g, turned, (1, 1), pads, groups, spread=strides)

    # Gradient by the kernel: entry (i, j) has multiplied the inputs i rows and j
    # columns further on than the output's place, so its gradient is their matrix
    # product with the outputs' gradient, summed over places and examples.
    def products(x, g):
        x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
        (h, w), (s, t) = g.shape[1:3], strides
        g = g.reshape(-1, groups, d // groups)

        def product(i, j):
            seen = x[:, i : i + s * h : s, j : j + t * w : t][:, :h, :w]
            return jnp.einsum("rgc,rgd->cgd", seen.reshape(-1, groups, c), g)

        return [product(i, j) for i in range(kh) for j in range(kw)]

    size = kh * kw * c * groups * math.prod(g.shape[1:3])
    sums = jnp.stack(_sum(products, (x, g), size))
    return dx, sums.reshape(kernel.shape)


direct.defvjp(_direct_forward, _direct_backward)


@jax.custom_vjp
def winograd(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolution with stride 1 and padding 1 by a kernel of 3x3.

    Args:
        x: images [n, h, w, c].
        kernel: [3, 3, c, d].

    Returns:
        [n, h, w, d].
    """
    _, h, w, c = x.shape
    rows = jnp.stack(_combine(KERNEL, [*kernel]))
    weights = jnp.stack(_combine(KERNEL, [*rows.swapaxes(0, 1)]))
    weights = weights.reshape(16, c, -1) * SCALES

    def outputs(x):
        tiles = _tiles(x)
        products = jnp.matmul(_flat(tiles), weights).reshape(*tiles.shape[:-1], -1)
        y = _apart(jnp.stack(_combine(OUT, [*products])))  # columns
        y = jnp.stack(_combine(OUT, [*y.swapaxes(0, 1)]), 1)  # rows
        _, _, k, a, b, d = y.shape
        return y.transpose(2, 3, 1, 4, 0, 5).reshape(k, 2 * a, 2 * b, d)[:, :h, :w]

    return _map(outputs, x, 4 * (h + 1) * (w + 1) * c)


def _winograd_forward(x, kernel):
    return winograd(x, kernel), (x, kernel)


def _winograd_backward(saved, g):
    x, kernel = saved
    _, h, w, c = x.shape
    # With stride 1 and padding 1 the gradient by x is a convolution of the same kind,
    # by the kernel turned by 180 degrees with channels in and out exchanged.
    dx = winograd(g, kernel[::-1, ::-1].swapaxes(2, 3))

    # The gradient by the kernel takes the steps of `winograd` back, each by its
    # transpose: a 2x2 tile G of the outputs' gradient becomes the 4x4 tile OUT' G OUT,
    # its products with the transformed inputs, summed over all tiles, are the gradient
    # by V, and KERNEL' (. * SCALES) KERNEL leads from there to the 3x3 kernel.  As in
    # the forward direction there are 16 products for 4 places, not 36.
    def products(x, g):
        # Outputs beyond an odd row or column were cut off: they have no gradient.
        g = jnp.pad(g, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)))
        g = _apart(jnp.stack(_combine(OUT.T, [g[:, 0::2], g[:, 1::2]])))
        g = jnp.stack(_combine(OUT.T, [g[:, :, :, 0::2], g[:, :, :, 1::2]]))
        return [jnp.einsum("ktd,ktc->kcd", _flat(g), _flat(_tiles(x)))]

    (sums,) = _sum(products, (x, g), 4 * (h + 1) * (w + 1) * c)
    sums = (sums * SCALES).reshape(4, 4, c, -1)
    columns = jnp.stack(_combine(KERNEL.T, [*sums]), 1)
    return dx, jnp.stack(_combine(KERNEL.T, [*columns]))


winograd.defvjp(_winograd_forward, _winograd_backward)


def _tiles(x: jax.Array) -> jax.Array:
    """The overlapping 4x4 tiles of x [n, h, w, c], transformed: [4, 4, n, a, b, c].

    First the column within a tile, then the row.
    """
    h, w = (2 * -(-size // 2) for size in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), (1, 1 + h - x.shape[1]), (1, 1 + w - x.shape[2]), (0, 0)))
    x = jnp.stack(_combine(IN, [x[:, i : i + h - 1 : 2] for i in range(4)]))
    x = _apart(x)
    return jnp.stack(_combine(IN, [x[:, :, :, j : j + w - 1 : 2] for j in range(4)]))


def _combine(matrix: np.ndarray, arrays: list[jax.Array]) -> list[jax.Array]:
    """Matrix @ arrays, by additions alone: its entries are 0, 1 and -1."""
    sums = []
    for row in matrix:
        total = jnp.zeros(())
        for sign, array in zip(row, arrays):
            if sign:
                total = total + array if sign > 0 else total - array
        sums.append(total)
    return sums


def _flat(x):
    """[4, 4, n, a, b, c] -> [16, n a b, c]: one matrix for each place in a tile."""
    return x.reshape(16, -1, x.shape[-1])


def _pieces(x: jax.Array, entries: int) -> int:
    """Into how many equal pieces the work on a batch is cut.

    Args:
        x: the batch [n, ...].
        entries: numbers that the work on one example holds at a time.
    """
    n = len(x)
    most = max(1, PIECE // (entries * x.dtype.itemsize))
    return min(n // k for k in range(1, min(n, most) + 1) if n % k == 0)


def _cut(x, pieces):
    """[n, ...] -> [n / pieces, pieces, ...].

    A piece takes every `pieces`-th example: a batch that is sharded over devices is
    worked on by all of them at a time.
    """
    return x.reshape(-1, pieces, *x.shape[1:])


def _map(f: Callable, x: jax.Array, entries: int) -> jax.Array:
    """f(x) of a batch x, worked on piece by piece.

    Args:
        f: function of a batch, which treats each example for itself.
        x: the batch [n, ...].
        entries: numbers that f holds for one example.
    """
    pieces = _pieces(x, entries)
    if pieces == 1:
        return f(x)
    x = _cut(x, pieces)
    piece = partial(jax.lax.dynamic_index_in_dim, axis=1, keepdims=False)

    def body(i, out):
        return jax.lax.dynamic_update_index_in_dim(out, f(piece(x, i)), i, 1)

    like = jax.eval_shape(f, x[:, 0])
    out = jnp.zeros((len(x), pieces, *like.shape[1:]), like.dtype)
    out = jax.lax.fori_loop(0, pieces, body, out)
    return out.reshape(-1, *out.shape[2:])


def _sum(f: Callable, arrays: tuple, entries: int) -> list[jax.Array]:
    """f(*arrays), a list of sums over the batch, worked on piece by piece.

    Args:
        f: function of batches, whose results are sums over the examples.
        arrays: the batches [n, ...].
        entries: numbers that f holds for one example.
    """
    pieces = _pieces(arrays[0], entries)
    if pieces == 1:
        return f(*arrays)
    arrays = tuple(_cut(a, pieces) for a in arrays)
    piece = partial(jax.lax.dynamic_index_in_dim, axis=1, keepdims=False)

    def body(i, totals):
        return [t + a for t, a in zip(totals, f(*(piece(a, i) for a in arrays)))]

    return jax.lax.fori_loop(1, pieces, body, f(*(piece(a, 0) for a in arrays)))
