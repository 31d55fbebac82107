"""Streaming moments of features with a label for each of several tasks.

`TaskMoments` are the class moments of every task over the same features, side by side,
and how often each pair of classes of two tasks comes together.  Like `ClassMoments` it
is a pytree that is updated batch by batch inside `jit`, `scan`, `vmap` and `shard_map`,
merged with another, and summed over a mesh axis, and does not depend on the split.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from ncjax import struct
from ncjax.blocks import dot
from ncjax.moments import ClassMoments
from ncjax.options import is_traced
from ncjax.struct import Leaf
from ncjax.tasks.labels import check_sizes, parts


@struct.dataclass
class TaskMoments:
    """Class moments of T tasks, with S = sum_t K_t classes in all.

    Make one with `TaskMoments.empty`, or from arrays with `task_moments`.
    """

    classes: ClassMoments  # of all S classes; an example counts once for each task
    pairs: Leaf  # [S, S] number of examples of both classes; of one class: n_k
    sizes: tuple[int, ...] = struct.field(pytree_node=False)  # K_t

    @classmethod
    def empty(
        cls,
        sizes: Sequence[int],
        feature_dim: int,
        *,
        largest_norm: bool = False,
        dtype=jnp.float32,
    ) -> TaskMoments:
        """Moments of nothing.

        Args:
            sizes: number of classes K_t >= 2 of each task.
            feature_dim: width d of the features, at least 1.
            largest_norm: keep the largest norm of a feature too, for RNC1.
            dtype: type of the numbers kept; float32, or float64 when x64 is on.

        Raises:
            ValueError: for no task, or sizes out of range.
        """
        check_sizes(sizes)
        number = sum(sizes)
        classes = ClassMoments.empty(
            *(number, feature_dim),
            scatter="none",
            largest_norm=largest_norm,
            dtype=dtype,
        )
        return cls(classes, jnp.zeros((number, number), dtype), tuple(sizes))

    @property
    def feature_dim(self) -> int:
        """Width d of the features."""
        return self.classes.feature_dim

    @property
    def places(self) -> list[slice]:
        """The classes of each task among all S."""
        return parts(self.sizes)

    @property
    def total(self) -> jax.Array:
        """N, the number (or total weight) of all examples."""
        return jnp.sum(self.classes.count[self.places[0]])

    def task(self, task: int) -> ClassMoments:
        """Class moments of one task, without a scatter.

        Args:
            task: number of the task, 0 for the first.
        """
        place, whole = self.places[task], self.classes
        return dataclasses.replace(
            whole,
            count=whole.count[place],
            pivot=whole.pivot[place],
            offset=whole.offset[place],
            spread=whole.spread[place],
            left_out=whole.left_out / len(self.sizes),
        )

    def residual(
        self, features: Float[Array, "n d"], labels: Integer[Array, "n T"]
    ) -> Float[Array, "n d"]:
        """Features minus the pivot of their class of the first task."""
        return features - self.classes.pivot[labels[:, 0]]

    def update(
        self,
        features: Float[Array | np.ndarray, "n d"],
        labels: Integer[Array | np.ndarray, "n T"],
        weights: Float[Array | np.ndarray, "n"] | None = None,
    ) -> TaskMoments:
        """The moments with one more batch.

        Args:
            features: features h [n, d], bfloat16, float16, float32 or float64.
            labels: class of each task [n, T], in 0..K_t - 1.
            weights: weights of the rows [n], at least 0; 0 masks a row, whose features
                must be finite all the same.

        Raises:
            ValueError: for shapes that are not those of the state.
        """
        shape = (len(features), len(self.sizes))
        if labels.shape != shape:
            raise ValueError(
                f"labels have shape {labels.shape}; [{shape[0]}, {shape[1]}] is "
                "needed, a class of each task for every feature."
            )
        classes = self.classes
        features, labels = jnp.asarray(features), jnp.asarray(labels)
        weights = None if weights is None else jnp.asarray(weights)
        columns = self.columns(labels)
        for task in range(len(self.sizes)):
            classes = classes.update(features, columns[:, task], weights)
        hot = jax.nn.one_hot(columns, len(self.pairs), dtype=self.pairs.dtype).sum(1)
        left = hot if weights is None else hot * weights[:, None]
        return dataclasses.replace(
            self, classes=classes, pairs=self.pairs + dot(left.T, hot)
        )

    def columns(self, labels: Integer[Array, "... T"]) -> Integer[Array, "... T"]:
        """The place of each label among all S classes; S for one out of range."""
        starts = jnp.asarray([place.start for place in self.places], jnp.int32)
        inside = (labels >= 0) & (labels < jnp.asarray(self.sizes))
        return jnp.where(inside, labels.astype(jnp.int32) + starts, sum(self.sizes))

    def merge(self, other: TaskMoments) -> TaskMoments:
        """Moments of both sets of examples together; exact, associative, commutative.

        Raises:
            ValueError: if the two differ in their tasks, or in the feature width.
        """
        if self.sizes != other.sizes:
            raise ValueError(
                "Only moments of the same tasks can be merged, got "
                f"{self.describe()} and {other.describe()}."
            )
        return dataclasses.replace(
            self,
            classes=self.classes.merge(other.classes),
            pairs=self.pairs + other.pairs,
        )

    def all_reduce(self, axis_name: str) -> TaskMoments:
        """Merges over a mesh axis, inside `shard_map`; every device gets the same.

        Args:
            axis_name: name of the mesh axis.
        """
        return dataclasses.replace(
            self,
            classes=self.classes.all_reduce(axis_name),
            pairs=jax.lax.psum(self.pairs, axis_name),
        )

    def describe(self) -> str:
        """One line: sizes, and how many examples."""
        known = not is_traced(self.pairs)
        seen = f", {np.sum(self.total):,.0f} examples" if known else ""
        sizes = " + ".join(map(str, self.sizes))
        return f"d={self.feature_dim}, K={sizes}{seen}"


def task_moments(
    features: Float[Array | np.ndarray, "n d"],
    labels: Integer[Array | np.ndarray, "n T"],
    sizes: Sequence[int],
    weights: Float[Array, "n"] | None = None,
) -> TaskMoments:
    """Moments of arrays that are all in memory.

    Args:
        features: features h [n, d].
        labels: class of each task [n, T].
        sizes: number of classes K_t of each task.
        weights: weights of the rows [n]; see `TaskMoments.update`.

    Example:
        >>> import jax.numpy as jnp
        >>> from ncjax.tasks import task_moments
        >>> labels = jnp.array([[0, 1], [1, 1]])
        >>> task_moments(jnp.eye(2), labels, (2, 2)).task(1).count.tolist()
        [0.0, 2.0]
    """
    features = jnp.asarray(features)
    dtype = jnp.promote_types(features.dtype, jnp.float32)
    empty = TaskMoments.empty(sizes, features.shape[1], largest_norm=True, dtype=dtype)
    return empty.update(features, labels, weights)
