"""From a function of one network to that of many networks: the two ways, `Over`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

# For each argument 0, None, or a tree of these over its parts.
Axes = Sequence[Any]
Over = Callable[[Callable[..., Any], Axes], Callable[..., Any]]


def vmap_networks(f: Callable[..., Any], in_axes: Axes) -> Callable[..., Any]:
    """The function for all networks at the same time, by `jax.vmap`.

    Args:
        f: function of arrays or trees of arrays.
        in_axes: for each argument of `f` either 0, if its arrays get a leading axis
            over the networks, or None, if all networks share it; or a tuple of such
            for the parts of a tuple.

    Returns:
        The function of many networks; all its results have the leading axis.
    """
    return jax.vmap(f, tuple(in_axes))


def map_networks(f: Callable[..., Any], in_axes: Axes) -> Callable[..., Any]:
    """The function for one network after the other; arguments as in `vmap_networks`.

    For networks with convolutions.  `jax.vmap` turns the convolutions of many networks
    into one grouped convolution, which is three times as slow on a CPU
    (`tests.benchmarks.training`) and slower on GPUs too
    (https://github.com/jax-ml/jax/issues/26568).  Besides, only the activations of one
    network have to fit in memory.
    """

    def each(*args: Any) -> Any:
        pairs = zip(args, in_axes, strict=True)
        owned = jax.tree.leaves([_is_own(axis, arg) for arg, axis in pairs])
        leaves, tree = jax.tree.flatten(args)
        shared = {i: x for i, x in enumerate(leaves) if not owned[i]}

        def one(own):
            return f(*tree.unflatten((own | shared)[i] for i in range(len(leaves))))

        return jax.lax.map(one, {i: x for i, x in enumerate(leaves) if owned[i]})

    return each


def _is_own(axis: Any, arg: Any) -> Any:
    """Whether an argument has an axis over the networks, for each leaf of it."""

    def whole(axis: int | None, part: Any) -> Any:
        return jax.tree.map(lambda leaf: axis is not None, part)

    return jax.tree.map(whole, axis, arg, is_leaf=lambda x: x is None)
