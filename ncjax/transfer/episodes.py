"""Episodes: some examples of each new class are drawn, and others are classified."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from ncjax.options import check_value, unknown
from ncjax.transfer.learners import LEARNERS


def episodes(
    features: Float[Array, "C n d"],
    key: jax.Array,
    *,
    shots: int,
    number: int = 100,
    queries: int = 15,
    ways: int = 0,
    learner: str = "nearest_mean",
) -> Float[Array, "e"]:
    """Errors of a classifier learned from few examples, of each of many episodes.

    In each episode `ways` classes are drawn, `shots` examples of each to learn from and
    `queries` others of each to be classified, all without replacement.

    Args:
        features: the same number n of features of each of C classes [C, n, d].
        key: key of the random draws.
        shots: examples of each class to learn from.
        number: number of episodes.
        queries: examples of each class to classify.
        ways: classes of an episode; 0 for all C.
        learner: name in `LEARNERS`: "nearest_mean", "linear" or "ridge".

    Returns:
        The share of the queries that are misclassified, of each episode.

    Raises:
        ValueError: for an unknown learner, or more examples or classes than there are.
    """
    classes, examples, _ = features.shape
    ways = ways or classes
    check_value("ways", ways, lambda w: 2 <= w <= classes, f"in 2..{classes}")
    check_value("number", number, lambda e: e >= 1, "at least 1")
    check_value("queries", queries, lambda q: q >= 1, "at least 1")
    check_value("shots", shots, lambda m: m >= 1, "at least 1")
    if shots + queries > examples:
        raise ValueError(
            f"An episode takes {shots} + {queries} examples of each class, shots and "
            f"queries, and a class has {examples}. Take fewer of either."
        )
    if learner not in LEARNERS:
        raise ValueError(unknown("learner", learner, LEARNERS))

    def one(key):
        of_classes, of_examples = jax.random.split(key)
        chosen = jax.random.permutation(of_classes, classes)[:ways]
        keys = jax.random.split(of_examples, ways)
        taken = shots + queries
        rows = jax.vmap(lambda k: jax.random.permutation(k, examples)[:taken])(keys)
        drawn = features[chosen[:, None], rows]
        asked = drawn[:, shots:].reshape(ways * queries, -1)
        labels = jnp.repeat(jnp.arange(ways), queries)
        scores = LEARNERS[learner](drawn[:, :shots], asked)
        return jnp.mean(scores.argmax(1) != labels)

    return jax.lax.map(one, jax.random.split(key, number), batch_size=16)


def equal_parts(
    labels: Integer[np.ndarray, "n"], classes: int, most: int = 0
) -> Integer[np.ndarray, "C m"]:
    """Rows of the same number of examples of each class [C, n_min], in their order.

    Args:
        labels: class of each example [n], on the host.
        classes: number of classes C.
        most: examples of each class at most; 0 for as many as all classes have.

    Raises:
        ValueError: if a class has none.
    """
    counts = np.bincount(labels, minlength=classes)
    if (least := int(counts.min())) == 0:
        raise ValueError(f"Class {int(counts.argmin())} has no example.")
    number = min(least, most) if most else least
    return np.stack([np.flatnonzero(labels == c)[:number] for c in range(classes)])
