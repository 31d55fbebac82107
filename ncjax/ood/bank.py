"""A bank: rows of numbers gathered from batches, on the device, evenly spread."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ncjax import struct
from ncjax.options import check_value
from ncjax.struct import Leaf


@struct.dataclass
class Bank:
    """Rows [m, d] kept of all that passed: each one, or every second, third ...

    Make one with `Bank.empty`.
    """

    rows: Leaf  # [m, d]
    there: Leaf  # [m] True for places that hold a row
    seen: Leaf  # [] integer, number of rows that passed
    every: int = struct.field(pytree_node=False, default=1)

    @classmethod
    def empty(
        cls, examples: int, width: int, most: int | None = None, dtype=jnp.float32
    ) -> Bank:
        """A bank without rows.

        Args:
            examples: number of rows that will pass, at least 1.
            width: d, the length of a row.
            most: number of rows to keep, at most; by default all.
            dtype: type of the numbers kept.

        Raises:
            ValueError: for sizes below 1.
        """
        for name, size in (("examples", examples), ("width", width)):
            check_value(name, size, lambda n: n >= 1, "at least 1")
        most = examples if most is None else most
        check_value("most", most, lambda n: n >= 1, "at least 1")
        every = -(-examples // most)
        places = -(-examples // every)
        return cls(
            rows=jnp.zeros((places, width), dtype),
            there=jnp.zeros(places, bool),
            seen=jnp.zeros((), jnp.int32),
            every=every,
        )

    def update(
        self, rows: Float[Array, "n d"], weights: Float[Array, "n"] | None = None
    ) -> Bank:
        """The bank with more rows; rows of weight 0 are padding, and come last.

        Args:
            rows: rows [n, d].
            weights: 1 for rows that count [n], 0 for padding; all count by default.
        """
        number = self.seen + jnp.arange(len(rows))
        counts = jnp.ones(len(rows), bool) if weights is None else weights > 0
        kept = counts & (number % self.every == 0)
        # Rows that are not kept go to a place that there is not, and are dropped.
        place = jnp.where(kept, number // self.every, len(self.there))
        return dataclasses.replace(
            self,
            rows=self.rows.at[place].set(rows.astype(self.rows.dtype), mode="drop"),
            there=self.there.at[place].set(True, mode="drop"),
            seen=self.seen + jnp.sum(counts, dtype=self.seen.dtype),
        )

    def all_reduce(self, axis_name: str) -> Bank:
        """The rows of all devices, one after the other, inside `shard_map`.

        There are places for as many rows on each device as were asked for in all, so
        most of them stay empty; see `there`.

        Args:
            axis_name: name of the axis over the devices.
        """

        def gather(x):
            return jax.lax.all_gather(x, axis_name, tiled=True)

        return dataclasses.replace(
            self,
            rows=gather(self.rows),
            there=gather(self.there),
            seen=jax.lax.psum(self.seen, axis_name),
        )
