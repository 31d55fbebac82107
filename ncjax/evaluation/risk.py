r"""Population risk: what a loss would gain if all examples of a class were alike.

Let a data set have outputs z_i [M] with labels y_i, and let m_k be the mean of the
outputs of class k.  For a loss L(z, k) that is convex in z, Jensen's inequality says

    J_k = mean over class k of L(z_i, k)  -  L(m_k, k)  >=  0,

so no outputs of these classes have a lower risk than outputs that are the same for each
example of a class: that is why collapse minimises the risk over the population, not
only over the training set (E & Wojtowytsch 2022).  The **Jensen gap** is
sum over k of (n_k / n) J_k, the mean loss minus that of the class means; J_k is 0 where
a class has collapsed.  Where the last layer is linear, m_k are the outputs of the class
means of the features, so the gap is what replacing features by their means would gain.

The means are those of the same data set: the gap of the test set says how far the test
examples are from outputs that are alike, whatever these are.  With balanced classes,
what test examples would lose at the class means of the *training* outputs is the mean
training loss minus the gap of the training set.

The loss is convex in the outputs, and the gap at least 0, for `cross_entropy`, `mse`,
`soft_labels`, `hxe` (with alpha >= 0 and height weights), `multi_level`, `cascade`,
`normface` and `hardmax`.  It is not for `hace`, `hier_cos`, `hxe` with depth weights,
and those that normalise the outputs (`label_embedding`, `haframe`, `dot_regression`):
there the gap may be negative.  The losses that compare the examples of a batch (`haf`,
`ntce`, `nonl`, `supcon`) have no loss of a single example, and no gap.

Sums are float32: a gap below 1e-6 of the loss is rounding, and may be negative.

References:
    E & Wojtowytsch, On the emergence of simplex symmetry in the final and penultimate
    layers of neural network classifiers, PMLR 145, 2022.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from ncjax import struct
from ncjax.collapse.registry import Metric, collect
from ncjax.labels import class_indices
from ncjax.moments import ClassMoments
from ncjax.struct import Leaf

MOST = 2**24  # class means of outputs are kept up to so many numbers K M


class Gap(NamedTuple):
    """Mean loss minus the loss of the class means of the outputs."""

    mean: jax.Array  # [] of all examples
    each: jax.Array  # [K] of each class; NaN for one without examples


@struct.dataclass
class Risk:
    """Outputs and losses of examples, summed by class; K classes, M outputs.

    Make one with `Risk.empty`.
    """

    outputs: ClassMoments
    losses: Leaf  # [K] sum of the losses of each class

    @classmethod
    def empty(cls, num_classes: int, outputs: int) -> Risk | None:
        """The state of no examples.

        Args:
            num_classes: number of classes K.
            outputs: number of outputs M.

        Returns:
            None if K M is more than `MOST`: the means would take too much memory.
        """
        if num_classes * outputs > MOST:
            return None
        moments = ClassMoments.empty(num_classes, outputs, scatter="none")
        return cls(moments, jnp.zeros(num_classes))

    def update(
        self,
        outputs: Float[Array, "n M"],
        losses: Float[Array, "n"],
        labels: Integer[Array, "n"],
        weights: Float[Array, "n"],
    ) -> Risk:
        """Takes in a batch.

        Args:
            outputs: outputs z of each example [n, M].
            losses: loss of each example [n].
            labels: class of each example [n], in 0..K-1.
            weights: weight of each example [n], not negative; 0 leaves it out.

        Raises:
            ValueError: for labels out of range, where they are known: outside `jit`.
        """
        labels = class_indices(labels, self.outputs.num_classes, weights=weights)
        own = jax.nn.one_hot(labels, self.outputs.num_classes, dtype=losses.dtype)
        total = jnp.matmul(weights * losses, own, precision="highest")
        moments = self.outputs.update(outputs, labels, weights)
        return Risk(moments, self.losses + total)

    def merge(self, other: Risk) -> Risk:
        """Both sets of examples together."""
        return Risk(self.outputs.merge(other.outputs), self.losses + other.losses)

    def all_reduce(self, axis_name: str) -> Risk:
        """Merges the states of all devices along a mesh axis, inside `shard_map`."""
        losses = jax.lax.psum(self.losses, axis_name)
        return Risk(self.outputs.all_reduce(axis_name), losses)

    def gap(self, loss: Callable[[jax.Array, jax.Array], jax.Array]) -> Gap:
        """The Jensen gap, see the module.

        Args:
            loss: (outputs [K, M], labels [K]) -> loss of each [K], as that of which the
                state has the sums.

        Returns:
            Both are NaN where there are no examples at all.
        """
        count = self.outputs.count
        at_means = loss(self.outputs.means, jnp.arange(len(count)))
        there = count > 0
        each = jnp.where(there, self.losses / count - at_means, jnp.nan)
        return Gap(jnp.sum(jnp.where(there, count * each, 0)) / count.sum(), each)

    def metrics(
        self, loss: Callable[..., jax.Array], by_class: bool
    ) -> dict[str, jax.Array]:
        """What a run logs: "jensen_gap" [], and "jensen_gaps" [K] if asked for.

        Args:
            loss: (outputs [K, M], labels [K], weights [K]) -> loss of each [K].
            by_class: whether the gap of each class is asked for.
        """
        weights = jnp.ones(self.outputs.num_classes)
        gap = self.gap(lambda outputs, labels: loss(outputs, labels, weights))
        found = {"jensen_gap": gap.mean}
        return found | ({"jensen_gaps": gap.each} if by_class else {})


METRICS: dict[str, Metric] = collect(
    (
        Metric(
            "jensen_gap",
            "Jensen gap",
            "mean loss minus the loss of the class means of the outputs",
            home="train",
            smaller_is_better=True,
        ),
    )
)
