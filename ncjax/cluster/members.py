"""A function of one network, for many networks in one program: at once or in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

Many = Callable[[Callable[..., Any], Sequence[int | None]], Callable[..., Any]]


def at_once(f: Callable[..., Any], in_axes: Sequence[int | None]) -> Callable[..., Any]:
    """`jax.vmap`.

    Args:
        f: of arrays or trees, some for each network, some shared by all.
        in_axes: for each argument 0, if its arrays have a leading axis over the
            networks, as all results have, or None, if it is shared.
    """
    return jax.vmap(f, tuple(in_axes))


def in_turn(f: Callable[..., Any], in_axes: Sequence[int | None]) -> Callable[..., Any]:
    """The same, one network after another.

    For networks with convolutions, which of many networks at once become one in groups:
    three times as slow on a CPU (`tests.benchmarks.training`), and slower on GPUs
    (https://github.com/jax-ml/jax/issues/26568); nor do the activations of all have to
    fit in memory.
    """

    def each(*args: Any) -> Any:
        paired = enumerate(zip(args, in_axes, strict=True))
        own = {i: arg for i, (arg, axis) in paired if axis is not None}

        def one(own):
            return f(*(own.get(i, arg) for i, arg in enumerate(args)))

        return jax.lax.map(one, own)

    return each
