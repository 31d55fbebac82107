"""Hierarchy-aware features as theory needs them: pairs of classes, not of a batch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import struct
from ncjax.hierarchy import Hierarchy
from ncjax.losses.haf import haf as haf_of_batch, jensen_shannon
from ncjax.ufm.fits import Fit, Leaf, Pair


@struct.dataclass
class PairedLevels(Fit):
    """`ncjax.losses.haf` with all pairs in place of the neighbours in a batch.

    In training the partner of an example is the next one of a shuffled batch, on
    average any other of the data; here it is each row j with its share s_j:

        l_i = own_i + w sum_{l < L} sum_j s_j [group_l(i) != group_l(j)]
                                               max(margin - JS(p_l^i, p_l^j), 0).

    It is not convex in its logits, those of all levels.  With features for each sample
    in place of the class means its optimum may be another one.
    """

    labels: Leaf  # [n], class of each row
    shares: Leaf  # s [n], part of all samples that each row stands for
    consistency_weight: Leaf  # []
    margin_weight: Leaf  # w []
    margin: Leaf  # []
    hierarchy: Hierarchy = struct.field(pytree_node=False)

    @property
    def num_outputs(self) -> int:
        """M, the number of groups of all levels."""
        return sum(_sizes(self.hierarchy))

    def losses(self, logits: Leaf) -> Leaf:
        """The losses [n] of logits [n, M], in nats."""
        labels = jnp.asarray(self.labels)
        value = haf_of_batch(
            logits,
            labels,
            hierarchy=self.hierarchy,
            consistency_weight=jnp.asarray(self.consistency_weight),
            margin_weight=0.0,
        )
        ends = np.cumsum(_sizes(self.hierarchy))[:-1]
        levels = zip(self.hierarchy.levels, jnp.split(logits, ends, axis=1))
        for depth, z in list(levels)[:-1]:
            group = jnp.asarray(self.hierarchy.superclasses(depth)[0])[labels]
            p = jax.nn.softmax(z, axis=1)
            apart = _divergences(p)
            missing = jnp.maximum(self.margin - apart, 0)
            other = group[:, None] != group
            value += self.margin_weight * jnp.where(other, missing, 0) @ self.shares
        return value

    def take(self, rows: np.ndarray) -> PairedLevels:
        """The loss of other rows; copies of one row share its part of the samples."""
        copies = np.bincount(rows, minlength=len(self.labels))
        shares = (self.shares / np.maximum(copies, 1))[rows]
        return self.replace(labels=self.labels[rows], shares=shares)  # type: ignore[attr-defined]

    def is_convex(self) -> Leaf:
        """False: a divergence of two softmaxes is not convex in their logits."""
        return jnp.zeros((), bool)

    def dual(self, logits: Leaf, weights: Leaf, limit: Leaf, price: Pair) -> Pair:
        """The limit, and minus infinity: no bound is known."""
        del logits, weights, price
        return limit, jnp.asarray(-jnp.inf)


def haf(
    num_classes: int,
    *,
    hierarchy: Any,
    consistency_weight: Any = 1.0,
    margin_weight: Any = 1.0,
    margin: Any = 3.0,
    sizes: Any = None,
) -> PairedLevels:
    """`PairedLevels` of one row for each class.

    Args:
        num_classes: number K of classes.
        hierarchy: tree over them.
        consistency_weight: weight of the agreement of levels.
        margin_weight: weight w of the pairs.
        margin: divergence that rows of different groups shall have.
        sizes: samples of each class, one number or [K]; None stands for equal ones.
    """
    counts = np.ones(num_classes) * (1.0 if sizes is None else sizes)
    numbers = (consistency_weight, margin_weight, margin)
    return PairedLevels(
        np.arange(num_classes),
        counts / counts.sum(),
        *(x * np.ones(()) for x in numbers),
        hierarchy=hierarchy,
    )


def _divergences(p: Leaf) -> Leaf:
    """Jensen-Shannon divergences [n, n] of all pairs of rows of p [n, G]."""
    return jax.vmap(lambda row: jensen_shannon(0 * p + row, p))(p)


def _sizes(hierarchy: Hierarchy) -> list[int]:
    """Number of groups of each level."""
    return [len(hierarchy.superclasses(depth)[1]) for depth in hierarchy.levels]
