"""All metrics of ordinal collapse, in one dictionary.

At collapse the features of a level are one point (ONC1), these points lie on the line
of the classifier w (ONC2), and along it in the order of the levels, each in the middle
between its thresholds (ONC3).  NC1 says nothing there: it divides by the variance of
the means in K - 1 directions, of which all but one vanish.

To add a metric: write a function of `Inputs`, add a `Metric` to `METRICS`, add a test
with its NumPy reference.

References:
    Ma et al., Neural Collapse in Cumulative Link Models for Ordinal Regression,
    NeurIPS 2025 (arXiv 2506.05801).
"""

from __future__ import annotations

import dataclasses
from functools import cached_property

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ncjax.collapse.means import between_basis, centre
from ncjax.collapse.registry import (
    COLLAPSE,
    MISTAKES,
    Metric,
    collect,
    headline,
    to_one,
    to_zero,
)
from ncjax.collapse.variability import trace_ratio
from ncjax.moments import ClassMoments, dot


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What a metric may use; shared work is done once.

    Attributes:
        moments: class moments of the training features, the levels as classes.
        direction: w [d], or None.
        thresholds: b [K - 1], or None.
    """

    moments: ClassMoments
    direction: jax.Array | None = None
    thresholds: jax.Array | None = None

    def suffice(self, metric: Metric) -> bool:
        """Whether there is all that a metric needs."""
        return metric.needs == "moments" or self.direction is not None

    @cached_property
    def axis(self) -> jax.Array:
        """w/|w| [d]; NaN for w = 0."""
        assert self.direction is not None  # else `suffice` would keep the metric out
        largest = jnp.max(jnp.abs(self.direction))
        scaled = self.direction / jnp.where(largest > 0, largest, jnp.nan)
        return scaled / jnp.linalg.norm(scaled)

    @cached_property
    def latent(self) -> tuple[jax.Array, jax.Array]:
        """Latent number of the mean of each level [K], and the levels present [K]."""
        assert self.direction is not None
        moments = self.moments
        return dot(moments.means, self.direction), moments.count > 0


def beside(x: Inputs, *, centred: bool = True) -> Float[Array, ""]:
    """Share of the variance of the level means beside the line of w, 0 to 1.

    Args:
        x: moments and classifier.
        centred: whether the means are taken minus their mean; without, the line goes
            through 0, as at the optimum of the unconstrained-features model, and
            features that have a part in common, as after a ReLU, lie beside it.
    """
    moments = x.moments.in_units()
    means = centre(moments, "classes").means if centred else moments.means
    rest = means - dot(means, x.axis)[:, None] * x.axis[None]
    return _share(jnp.sum(rest**2), jnp.sum(means**2))


def outside_line(x: Inputs) -> Float[Array, ""]:
    """Share of the variance of the level means outside of their first direction."""
    squares = between_basis(x.moments.in_units())[0] ** 2
    return _share(jnp.sum(squares[1:]), jnp.sum(squares))


def order(x: Inputs) -> Float[Array, ""]:
    """Share of neighbouring levels q, q + 1 with z_q < z_(q+1); NaN for w = 0."""
    z, present = x.latent
    there = present[1:] & present[:-1]
    right = jnp.sum(jnp.where(there, z[1:] > z[:-1], False))
    defined = jnp.any(x.direction != 0)
    return jnp.where(defined, _share(1.0 * right, 1.0 * jnp.sum(there)), jnp.nan)


def off_middle(x: Inputs) -> Float[Array, ""]:
    """Mean over inner levels of |z_q - m_q| over half the gap between its thresholds.

    m_q is the middle of the thresholds of level q; 1 is on a threshold.  The first and
    the last level have no middle.  NaN for two levels.
    """
    z, present = x.latent
    assert x.thresholds is not None
    lower, upper = x.thresholds[:-1], x.thresholds[1:]
    off = jnp.abs((z[1:-1] - lower) - (upper - z[1:-1])) / (upper - lower)
    inner = present[1:-1]
    return _share(jnp.sum(jnp.where(inner, off, 0)), 1.0 * jnp.sum(inner))


def _share(part: jax.Array, whole: jax.Array) -> jax.Array:
    return part / jnp.where(whole > 0, whole, jnp.nan)


METRICS: dict[str, Metric] = collect(
    (
        headline(
            "onc1",
            "ONC1",
            "total variance within over between levels",
            lambda x: trace_ratio(x.moments),
            log=True,
            curve="log",
            panel="ONC1: variance within over between levels",
        ),
        headline(
            "onc2",
            "ONC2",
            "share of the variance of the level means beside the classifier",
            beside,
            "classifier",
            log=True,
            curve="log",
            panel="ONC2: level means beside w",
        ),
        headline(
            "onc3",
            "ONC3",
            "distance of inner levels to the middle of their thresholds, over half "
            "the gap",
            off_middle,
            "classifier",
            changes_with=("shift", "scale", "permute", "scale W"),
            log=True,
            curve="log",
            panel="ONC3: levels and the middle of thresholds",
        ),
        to_zero(
            "onc2_raw",
            "ONC2 (not centred)",
            "share of the squared level means beside the classifier",
            lambda x: beside(x, centred=False),
            needs="classifier",
            changes_with=("shift",),
            log=True,
        ),
        to_zero(
            "onc2_means",
            "ONC2 of the means",
            "share of the variance of the level means outside of one direction",
            outside_line,
            log=True,
        ),
        to_one(
            "order",
            "order of levels",
            "share of neighbouring levels whose means lie in order along w",
            order,
            needs="classifier",
            changes_with=("permute",),
        ),
    )
)

# What a run has of the decisions, besides errors and calibration.
OF_OUTPUTS: dict[str, Metric] = collect(
    (
        to_zero(
            "mae",
            "mean absolute error",
            "mean over examples of |most probable level - level|",
            home="train",
            part=MISTAKES,
            compared=("test", "train"),
            curve="log",
            panel="Mean absolute error of the level",
        ),
        to_zero(
            "mae_median",
            "mean absolute error (median)",
            "the same of the median level, which makes it least",
            home="train",
            part=COLLAPSE,
        ),
    )
)


def measure(
    moments: ClassMoments,
    direction: Float[Array, "d"] | None = None,
    thresholds: Float[Array, "t"] | None = None,
) -> dict[str, jax.Array]:
    """Every metric of `METRICS` that can be had from moments and a classifier.

    Args:
        moments: class moments of the training features, with the levels 0..K-1, in
            their order, as classes.
        direction: w [d], for the metrics of the classifier.
        thresholds: b_1 < ... < b_(K-1), in the unit of w . h.

    Returns:
        key -> scalar; NaN where a metric is not defined, as for means that are all
        equal.

    Raises:
        ValueError: for one of direction and thresholds alone, or another shape.
    """
    wanted = (moments.feature_dim,), (moments.num_classes - 1,)
    given = direction, thresholds
    if any(x is not None for x in given):
        got = tuple(None if x is None else x.shape for x in given)
        if got != wanted:
            raise ValueError(
                f"w and the thresholds have the shapes {got[0]} and {got[1]}; for "
                f"{moments.num_classes} levels and {moments.feature_dim} features they "
                f"are {wanted[0]} and {wanted[1]}. Give both, or neither."
            )
    inputs = Inputs(moments, *(None if x is None else jnp.asarray(x) for x in given))
    with jax.default_matmul_precision("highest"):
        return {
            key: metric.function(inputs)
            for key, metric in METRICS.items()
            if metric.function and inputs.suffice(metric)
        }
