"""The target "set": each example has some of K labels, as in multi-label learning."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ncjax import multilabel
from ncjax.multilabel import SetMoments, SetPass
from ncjax.multilabel.conventions import get_convention
from ncjax.targets import class_passes
from ncjax.targets.target import Target


def absent(labels: np.ndarray, num_classes: int) -> list[int]:
    """The labels that no example has.

    A label that no example has alone is allowed: it has no class mean, and is left out
    of all that compares these.
    """
    del num_classes
    return np.flatnonzero(~labels.any(0)).tolist()


def error(scores: Float[Array, "n K"], labels: Bool[Array, "n K"]) -> Bool[Array, "n"]:
    """Whether the |S| largest scores of an example are not those of its set S.

    A network is told how many labels there are, as softmax knows no threshold; so with
    one label it is the error of a class.  Equal scores in and out of S are an error.
    """
    least = jnp.min(jnp.where(labels, scores, jnp.inf), 1)
    most = jnp.max(jnp.where(labels, -jnp.inf, scores), 1)
    return ~(least > most)


def decided(scores: Float[Array, "n K"]) -> Bool[Array, "n K"]:
    """The set that scores stand for: those above the largest gap in their order.

    At the optimum of theory the scores of a set have one value and the others a lower
    one, for every loss.  All K labels together are never decided for.
    """
    ordered = -jnp.sort(-scores, 1)
    last = jnp.argmax(ordered[:, :-1] - ordered[:, 1:], 1)
    return scores >= jnp.take_along_axis(ordered, last[:, None], 1)


def values(
    scores: Float[Array, "n K"], labels: Bool[Array, "n K"]
) -> dict[str, jax.Array]:
    """`set_error` and `jaccard` of the set decided for, and `precision_at_1`."""
    found = decided(scores)
    both, either = jnp.sum(found & labels, 1), jnp.sum(found | labels, 1)
    best = scores.argmax(1)[:, None]
    return {
        "set_error": jnp.any(found != labels, 1),
        "jaccard": both / either,
        "precision_at_1": jnp.take_along_axis(labels, best, 1)[:, 0],
    }


def second(
    moments: SetMoments, *, convention: Any, training: bool, **unused: Any
) -> SetPass:
    """A second pass that has seen no features; see `Target.second`."""
    return SetPass.empty(moments, get_convention(convention), training=training)


def of_sets(
    moments: SetMoments, train: SetPass, test: SetPass, convention: Any
) -> dict[str, jax.Array]:
    """What test features are to the means of the training set.

    NC4 and its like are of the examples with one label.
    """
    about = get_convention(convention).classes
    found = class_passes.of_sets(moments.single, train.single, test.single, about)
    return found | {"test/sum_unexplained": test.sum_unexplained()}


def example(num_classes: int) -> np.ndarray:
    """One example that has the first label alone [1, K]."""
    return np.arange(num_classes)[None] == 0


SETS = Target(
    check=multilabel.check_sets,
    absent=absent,
    error=error,
    moments=SetMoments.empty,
    metrics=multilabel.measure,
    values=values,
    second=second,
    about=lambda state: {"seen": state},
    of_sets=of_sets,
    kept=lambda num_classes, width: width,
    example=example,
    ranks=False,
    classifiers=("linear",),
)
