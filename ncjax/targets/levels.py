"""The target "ordinal": each example belongs to one of K levels, which have an order.

Levels are classes 0..K-1, so that all that is known of classes is asked of them too,
but for the metrics of collapse: the optimum is no simplex, but a line.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ncjax import collapse, ordinal
from ncjax.collapse import SecondPass
from ncjax.moments import ClassMoments
from ncjax.targets import classes
from ncjax.targets.target import Target

# Metrics of classes that mean the same of levels.
_OF_CLASSES = ("cdnv", "rnc1")


def distances(
    scores: Float[Array, "n K"], labels: Int[Array, "n"]
) -> dict[str, jax.Array]:
    """|level - label| [n] of the most probable level, and of the median one."""
    decided = {"mae": scores.argmax(1), "mae_median": ordinal.median_level(scores)}
    return {name: jnp.abs(1.0 * (x - labels)) for name, x in decided.items()}


def metrics(
    moments: ClassMoments,
    classifier: jax.Array | None = None,
    bias: jax.Array | None = None,
    *,
    convention: Any,
    within_variance: jax.Array,
    **unused: Any,
) -> dict[str, jax.Array]:
    """Metrics of the features by name; see `ncjax.ordinal.measure`."""
    line = ()
    if classifier is not None and bias is not None:
        line = ordinal.of_rows(classifier, bias)
    return ordinal.measure(moments, *line) | collapse.measure(
        moments,
        within_variance=within_variance,
        convention=convention,
        only=_OF_CLASSES,
    )


def of_sets(
    moments: ClassMoments, train: SecondPass, test: SecondPass, convention: Any
) -> dict[str, jax.Array]:
    """How often network and nearest mean of a level differ, and how often it errs."""
    del moments, convention
    seen, unseen = train.compute(), test.compute()
    return {
        "nc/nc4": seen["nc4"],
        "test/nc4": unseen["nc4"],
        "test/ncc_accuracy": unseen["ncc_accuracy"],
        "train/ncc_accuracy": seen["ncc_accuracy"],
    }


LEVELS = Target(
    check=classes.check,
    absent=classes.absent,
    error=classes.error,
    moments=ClassMoments.empty,
    metrics=metrics,
    values=distances,
    of_sets=of_sets,
    classifiers=("ordinal",),
)
