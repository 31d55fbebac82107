"""A function of one network, for many networks in one program: at once or in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

Many = Callable[[Callable[..., Any], Sequence[int | None]], Callable[..., Any]]


def at_once(f: Callable[..., Any], in_axes: Sequence[int | None]) -> Callable[..., Any]:
    """`jax.vmap`; on a mesh the networks may lie over its axis "seeds".

    Args:
        f: of arrays or trees, some for each network, some shared by all.
        in_axes: for each argument 0, if its arrays have a leading axis over the
            networks, as all results have, or None, if it is shared.
    """
    return jax.vmap(f, tuple(in_axes), spmd_axis_name="seeds")


def in_turn(f: Callable[..., Any], in_axes: Sequence[int | None]) -> Callable[..., Any]:
    """The same one network after another, on whatever devices hold all of them.

    For convolutions on a CPU: those of many networks at once are one in groups, which
    takes XLA's CPU backend more than twice as long.
    """

    def each(*args: Any) -> Any:
        paired = enumerate(zip(args, in_axes, strict=True))
        own = {i: arg for i, (arg, axis) in paired if axis is not None}

        def one(own):
            return f(*(own.get(i, arg) for i, arg in enumerate(args)))

        return jax.lax.map(one, own)

    return each
