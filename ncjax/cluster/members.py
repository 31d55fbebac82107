"""From a function of one network to that of many networks: the two ways, `Over`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

Over = Callable[[Callable[..., Any], Sequence[int | None]], Callable[..., Any]]


def vmap_networks(
    f: Callable[..., Any], in_axes: Sequence[int | None]
) -> Callable[..., Any]:
    """The function for all networks at the same time, by `jax.vmap`.

    Args:
        f: function of arrays or trees of arrays.
        in_axes: for each argument of `f` either 0, if its arrays get a leading axis
            over the networks, or None, if all networks share it.

    Returns:
        The function of many networks; all its results have the leading axis.
    """
    return jax.vmap(f, tuple(in_axes))


def map_networks(
    f: Callable[..., Any], in_axes: Sequence[int | None]
) -> Callable[..., Any]:
    """The function for one network after the other; arguments as in `vmap_networks`.

    For networks with convolutions.  `jax.vmap` turns the convolutions of many networks
    into one grouped convolution, which is three times as slow on a CPU
    (`tests.benchmarks.training`) and slower on GPUs too
    (https://github.com/jax-ml/jax/issues/26568).  Besides, only the activations of one
    network have to fit in memory.
    """

    def each(*args: Any) -> Any:
        paired = enumerate(zip(args, in_axes, strict=True))
        own = {i: arg for i, (arg, axis) in paired if axis is not None}

        def one(own):
            return f(*(own.get(i, arg) for i, arg in enumerate(args)))

        return jax.lax.map(one, own)

    return each
