"""Frozen dataclasses that JAX transforms: `flax.struct` without importing Flax.

    @struct.dataclass
    class Ball:
        centre: jax.Array  # [d]
        name: str = struct.field(pytree_node=False)

Fields are parts of a pytree, except those marked `pytree_node=False`.  These are
static: they must be hashable, and `jit` compiles again when they change.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

import jax

_T = TypeVar("_T")

# Leaves are arrays to a reader, but JAX also rebuilds pytrees around shapes, specs and
# sentinels, which a run-time type check must let pass.
if TYPE_CHECKING:
    Leaf = jax.Array
else:
    Leaf = Any


def field(*, pytree_node: bool = True, **options: Any) -> Any:
    """A field of a dataclass, with the options of `dataclasses.field`."""
    return dataclasses.field(metadata={"static": not pytree_node}, **options)


@dataclass_transform(field_specifiers=(field,), frozen_default=True)
def dataclass(cls: type[_T]) -> type[_T]:
    """Makes a class a frozen dataclass and a pytree, with `dataclasses.replace`."""
    made: Any = dataclasses.dataclass(frozen=True)(cls)
    made.replace = dataclasses.replace
    return jax.tree_util.register_dataclass(made)
