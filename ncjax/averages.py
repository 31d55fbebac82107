"""Weighted means of named values over examples: a state that is merged like moments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ncjax import struct
from ncjax.struct import Leaf


@struct.dataclass
class Averages:
    """Sums of named values over examples, and the total weight of these examples.

    The value of one example may be a number or an array.  Make a state with
    `Averages.empty`, or from the values of one batch with `Averages.of`.
    """

    total: Leaf  # [] sum of the weights of all examples
    sums: dict[str, Leaf]  # name -> [...] weighted sum of the value over the examples

    @classmethod
    def empty(
        cls, shapes: Mapping[str, tuple[int, ...]], dtype: Any = jnp.float32
    ) -> Averages:
        """The averages of no examples.

        Args:
            shapes: name of each value -> its shape for one example, () for a number.
            dtype: floating-point type of the sums.
        """
        sums = {name: jnp.zeros(shape, dtype) for name, shape in shapes.items()}
        return cls(jnp.zeros((), dtype), sums)

    @classmethod
    def of(
        cls,
        values: Mapping[str, jax.Array],
        weights: Float[Array, "n"],
        dtype: Any = jnp.float32,
    ) -> Averages:
        """The averages of one batch of n examples.

        Args:
            values: name -> the value of each example, [n] or [n, ...].
            weights: weight of each example [n], not negative.  0 leaves an example
                out, but its values must still be finite.
            dtype: floating-point type of the sums.
        """
        weights = weights.astype(dtype)

        def weighted_sum(value):
            # Not at the reduced precision that a GPU takes for products by default.
            return jnp.tensordot(weights, value.astype(dtype), 1, precision="highest")

        sums = {name: weighted_sum(value) for name, value in values.items()}
        return cls(jnp.sum(weights), sums)

    def update(
        self, values: Mapping[str, jax.Array], weights: Float[Array, "n"]
    ) -> Averages:
        """Takes in the values of one more batch; arguments as for `of`."""
        return self.merge(Averages.of(values, weights, self.total.dtype))

    def merge(self, other: Averages) -> Averages:
        """The averages over both sets of examples together.

        Raises:
            ValueError: if the two states average different values.
        """
        if jax.tree.map(jnp.shape, self) != jax.tree.map(jnp.shape, other):
            raise ValueError(
                "Only averages of the same values can be merged, got "
                f"{', '.join(self.sums)} and {', '.join(other.sums)}."
            )
        return jax.tree.map(jnp.add, self, other)

    def all_reduce(self, axis_name: str) -> Averages:
        """Merges the states of all devices along a mesh axis, inside `shard_map`."""
        return jax.lax.psum(self, axis_name)

    def compute(self) -> dict[str, jax.Array]:
        """The mean of each value over all examples; NaN where there are none."""
        return {name: value / self.total for name, value in self.sums.items()}
