"""The order in which a network ranks all classes, against the order of the class tree.

The classes of a tree have an order for each label: the label itself, its nearest
classes, those of the next larger group, and so on to the farthest; classes at the same
distance are equal.  A network that makes better mistakes ranks the classes so.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from ncjax.hierarchy import Hierarchy


@dataclasses.dataclass(frozen=True, eq=False)
class Order:
    """Metrics of the order of all K classes, each a mean over examples.

    For the label y let g_j be the place of class j among the distinct heights of the
    lowest common ancestors with y: 0 for y itself, 1 for its nearest classes, ...  Let
    E be the g in rising order, and O the g in the order of the scores.

    - `hops`: the hierarchically ordered preference score,
      1 - sum w |E - O| / sum w |E - worst|, at least 0, where `worst` is E reversed and
      the weights w fall from 1 towards 0: the first place with g = l has weight 2^-l,
      and the others follow in even steps that would reach the next level's first weight
      (0 after the last level) with one place more.  1 is the order of the tree.
    - `hops@k`: the same of the first k places, where only these are reversed.
    - `exact_order`: share of examples with O = E; `exact_order@k`: in the first k
      places.
    - `fpa`: full-path accuracy, the share of examples of which the most probable
      superclass is right at every depth of the tree; the probability of a superclass
      is the sum over its classes.

    Sorting all scores takes K log K operations an example.

    Attributes:
        hierarchy: class tree over the K classes.
        top: the numbers k of first places; those from K on are left out.

    References:
        Sani et al., Hier-COS, CVPR 2026 (arXiv:2503.07853), whose code these follow.

    Example:
        >>> import jax.numpy as jnp
        >>> from ncjax.evaluation.order import Order
        >>> from ncjax.hierarchy import balanced
        >>> order = Order(balanced([2, 2]))
        >>> scores = jnp.array([[3.0, 2.0, 1.0, 0.0], [3.0, 1.0, 2.0, 0.0]])
        >>> found = order.values(scores, jnp.array([0, 0]))
        >>> found["exact_order"]
        Array([ True, False], dtype=bool)
    """

    hierarchy: Hierarchy
    top: tuple[int, ...] = (5, 20)

    def values(
        self, scores: Float[Array, "n K"], labels: Integer[Array, "n"]
    ) -> dict[str, jax.Array]:
        """What is to be averaged over all examples.

        Args:
            scores: scores of the K classes for each example [n, K].
            labels: class of each example [n], in 0..K-1.

        Returns:
            Name of a metric -> its value for each example [n].
        """
        places, right = self._places, self._right
        order = jnp.argsort(-scores, axis=1, stable=True)
        found = jnp.asarray(places)[labels[:, None], order]
        off = jnp.abs(found - jnp.asarray(right)[labels])
        values = {}
        for k in self._tops:
            weights, worst = self._weights(k)
            missed = jnp.sum(jnp.asarray(weights)[labels] * off[:, :k], axis=1)
            share = missed / jnp.asarray(worst)[labels]
            name = "" if k == right.shape[1] else f"@{k}"
            values[f"hops{name}"] = jnp.clip(1 - share, 0, 1)
            values[f"exact_order{name}"] = (off[:, :k] == 0).all(axis=1)
        values["fpa"] = self._full_path(scores, labels)
        return values

    def _full_path(self, scores: jax.Array, labels: jax.Array) -> jax.Array:
        """Whether the most probable superclass is right at every depth [n]."""
        probability = jax.nn.softmax(scores, axis=1)
        right = scores.argmax(1) == labels
        for depth in self.hierarchy.levels[:-1]:
            of_groups, groups = superclass_probability(
                probability, self.hierarchy, depth
            )
            right &= of_groups.argmax(1) == groups[labels]
        return right

    @property
    def _tops(self) -> list[int]:
        num_classes = self.hierarchy.num_classes
        return sorted({k for k in self.top if 1 < k < num_classes} | {num_classes})

    @functools.cached_property
    def _places(self) -> np.ndarray:
        """The g of class j for label y, int [K (label), K]."""
        table = self.hierarchy.lca_heights()
        rows = [np.unique(row, return_inverse=True)[1] for row in table]
        return np.stack(rows).astype(np.int32)

    @functools.cached_property
    def _right(self) -> np.ndarray:
        """E for each label [K (label), K]."""
        return np.sort(self._places, axis=1)

    def _weights(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The weights of the first k places [K (label), k], and sum w |E - worst|."""
        right = self._right
        weights = np.stack([_falling(row) for row in right])[:, :k]
        away = np.abs(right[:, :k] - right[:, :k][:, ::-1])
        worst = (weights * away).sum(axis=1)
        return weights.astype(np.float32), worst.astype(np.float32)


def superclass_probability(
    probability: Float[Array, "n K"], hierarchy: Hierarchy, depth: int
) -> tuple[jax.Array, jax.Array]:
    """Probabilities of the superclasses at one depth of a class tree.

    Args:
        probability: probability of each class, for each example [n, K].
        hierarchy: class tree over the K classes.
        depth: depth in the tree; 0 is the root.

    Returns:
        Sums over the classes of each of the G superclasses [n, G], and the superclass
        of each class [K].
    """
    groups, names = hierarchy.superclasses(depth)
    member = groups[:, None] == np.arange(len(names))
    sums = jnp.matmul(
        probability, jnp.asarray(member, probability.dtype), precision="highest"
    )
    return sums, jnp.asarray(groups)


def _falling(places: np.ndarray) -> np.ndarray:
    """The weights of a row of E [K]: evenly from 2^-l on, up to the next level."""
    levels, counts = np.unique(places, return_counts=True)
    ends = [2.0 ** -(level + 1) for level in levels[:-1]] + [0.0]
    parts = [
        np.linspace(2.0**-level, end, count, endpoint=False)
        for level, end, count in zip(levels.astype(float), ends, counts, strict=True)
    ]
    return np.concatenate(parts)
