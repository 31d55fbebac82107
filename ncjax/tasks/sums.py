"""Features as sums: one vector for each task, by least squares."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from ncjax.blocks import dot
from ncjax.collapse.means import centre
from ncjax.tasks.moments import TaskMoments


class Sums(NamedTuple):
    """The sums nearest to the features: h ~ mean + sum_t B[class of task t].

    Make it with `Sums.of`, from the moments of the training features.  S = sum_t K_t.
    """

    pivot: jax.Array  # [K_1, d] of the classes of the first task
    origin: jax.Array  # [d] a point near the mean feature, to subtract first
    shift: jax.Array  # [d] mean feature minus that point
    vectors: jax.Array  # B [S + 1, d]; the last row, for a label out of range, is 0
    present: jax.Array  # [S + 1] whether a class has examples; the last has none

    @classmethod
    def of(cls, moments: TaskMoments) -> Sums:
        """The sums with the least squared distance to the features, in closed form.

        With X the one-hot labels of all tasks [N, S], minus their means, the normal
        equations X'X B = X'H need only class means and pairs of labels.  Where labels
        of tasks determine each other, B is the smallest solution; the sums are unique.

        Args:
            moments: moments of the training features.
        """
        classes, total = moments.classes, moments.total
        share = classes.count / jnp.where(total > 0, total, 1)
        about = [centre(moments.task(t), "samples") for t in range(len(moments.sizes))]
        means = jnp.concatenate([one.means for one in about])
        root = jnp.sqrt(share)
        inverse = jnp.where(root > 0, 1 / jnp.where(root > 0, root, 1), 0)
        gram = moments.pairs / jnp.where(total > 0, total, 1) - share[:, None] * share
        gram = inverse[:, None] * gram * inverse
        values, basis = jnp.linalg.eigh((gram + gram.T) / 2)
        # Some combinations of classes do not vary at all, such as the sum of a task.
        varies = values > 10 * len(values) * jnp.finfo(values.dtype).eps
        scale = jnp.where(varies, 1 / jnp.where(varies, values, 1), 0)
        weighted = dot(basis.T, root[:, None] * means)
        vectors = inverse[:, None] * dot(basis, scale[:, None] * weighted)
        first = moments.places[0]
        return cls(
            pivot=classes.pivot[first],
            origin=about[0].origin,
            shift=about[0].shift,
            vectors=jnp.concatenate([vectors, 0 * vectors[:1]]),
            present=jnp.append(classes.count > 0, False),
        )

    def deviations(
        self,
        residuals: Float[Array, "... d"],
        pivots: Float[Array, "... d"],
        columns: Integer[Array, "... T"],
    ) -> Float[Array, "... d"]:
        """Features minus their sums.

        Args:
            residuals: features minus `pivots`.
            pivots: points near the features, which were subtracted.
            columns: places of the labels among all classes; see `TaskMoments.columns`.
        """
        centred = residuals + ((pivots - self.origin) - self.shift)
        return centred - self.sum(columns)

    def sum(self, columns: Integer[Array, "... T"]) -> Float[Array, "... d"]:
        """The sum of each example, minus the mean feature."""
        return self.vectors[columns].sum(-2)
