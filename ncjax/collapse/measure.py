"""All metrics that moments and a classifier allow, in one dictionary.

To add a metric: write a function of moments (and classifier), add a `Metric` to the
`METRICS` of its module, add a test with its NumPy reference.  Only a new module needs a
line here.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from ncjax import struct
from ncjax.collapse import (
    decisions,
    duality,
    generalized,
    means,
    outliers,
    row_sum,
    separation,
    simplex,
    superclasses,
    uniformity,
    variability,
)
from ncjax.collapse.conventions import Convention, get_convention
from ncjax.collapse.registry import Metric, Needs, collect
from ncjax.moments import ClassMoments
from ncjax.options import is_traced, unknown

# Key -> metric, in the order in which results are printed.
METRICS: dict[str, Metric] = collect(
    variability.METRICS,
    separation.METRICS,
    means.METRICS,
    simplex.METRICS,
    uniformity.METRICS,
    duality.METRICS,
    decisions.METRICS,
    generalized.METRICS,
    row_sum.METRICS,
    outliers.METRICS,
    superclasses.METRICS,
)


@struct.dataclass
class Inputs:
    """What a metric may use; shared work is done once, when first asked for.

    Attributes:
        moments: class moments of the training features.
        classifier: W [K, d], or None.
        bias: b [K], or None.
        within_variance: within-class variance [r] along the directions of `basis`, or
            None.
        normalised: class moments of the features h/|h|, with their scatter, or None.
        convention: the options under which metrics are computed.
    """

    moments: ClassMoments
    classifier: jax.Array | None
    bias: jax.Array | None
    within_variance: jax.Array | None
    normalised: ClassMoments | None
    convention: Convention = struct.field(pytree_node=False)

    @property
    def has(self) -> set[Needs]:
        """What there is of all that a metric may need."""
        scatter = self.moments.scatter
        there: dict[Needs, Any] = {
            "within": self.within_variance if scatter is None else scatter,
            "scatter": scatter,
            "norm": self.moments.largest,
            "normalised": self.normalised,
            "classifier": self.classifier,
        }
        return {"moments", *(need for need, x in there.items() if x is not None)}

    def suffice(self, metric: Metric) -> bool:
        """Whether there is all that a metric needs."""
        needs = metric.needs
        return {*(needs if isinstance(needs, tuple) else (needs,))} <= self.has

    @property
    def weighting(self) -> dict:
        """Keywords of the mean that is subtracted, and of the between-class spread."""
        about = self.convention
        return {"global_mean": about.global_mean, "between": about.between}

    @functools.cached_property
    def basis(self) -> tuple[jax.Array, jax.Array]:
        """`between_basis` of the convention."""
        return means.between_basis(self.moments, **self.weighting)

    @property
    def nc1_options(self) -> dict:
        """Keywords of `nc1` and `nc1_floor`."""
        divided = self.convention.divide_by_classes
        return {"basis": self.basis, "divide_by_classes": divided}

    @functools.cached_property
    def means(self) -> tuple[jax.Array, jax.Array]:
        """Centred class means [K, d], and the classes present [K]."""
        about = means.centre(self.moments, self.convention.global_mean)
        return about.means, about.present

    @property
    def pair(self) -> tuple[ClassMoments, jax.Array]:
        """Moments and classifier."""
        assert self.classifier is not None  # else `has` would keep the metric out
        return self.moments, self.classifier

    @functools.cached_property
    def rows(self) -> tuple[jax.Array, jax.Array]:
        """Classifier as the convention takes it [K, d], and the classes present [K]."""
        moments, classifier = self.pair
        return means.select_rows(
            classifier.astype(moments.count.dtype),
            means.present_classes(moments),
            center=self.convention.center_classifier,
            scaled=False,
        )

    @functools.cached_property
    def angles(self) -> dict[str, jax.Array]:
        """`angle_statistics` of the class means."""
        return simplex.angle_statistics(*self.means)

    @functools.cached_property
    def row_angles(self) -> dict[str, jax.Array]:
        """`angle_statistics` of the classifier."""
        return simplex.angle_statistics(*self.rows)

    @functools.cached_property
    def uniformity(self) -> tuple[jax.Array, jax.Array]:
        """`log_kernel` of the class means."""
        return uniformity.log_kernel(*self.means)


def available(
    num_classes: int = 2, feature_dim: int = 1, *, on_request: bool = False
) -> tuple[str, ...]:
    """Keys of the metrics that `measure` can compute from moments and a classifier.

    Args:
        num_classes: number of classes K.
        feature_dim: width d of the features; by default one that has room for the
            simplex of K classes.
        on_request: also those that at these sizes are computed only on request.
    """
    return tuple(
        key
        for key, metric in METRICS.items()
        if (metric.function is not None or key in ("nc2", "nc3"))
        and (on_request or metric.unasked(num_classes, feature_dim))
    )


def measure(
    moments: ClassMoments,
    classifier: Float[Array, "K d"] | None = None,
    bias: Float[Array, "K"] | None = None,
    *,
    within_variance: Float[Array, "r"] | None = None,
    normalised: ClassMoments | None = None,
    convention: str | Convention = "default",
    only: Iterable[str] | None = None,
) -> dict[str, jax.Array]:
    """Every metric of `METRICS` that can be had from moments and a classifier.

    `nc2` and `nc3` are copies of the metrics that the convention calls so.  Usable
    inside jit, with `convention` and `only` static.

    Args:
        moments: class moments of the training features.
        classifier: W [K, d], for the metrics of W and of duality.
        bias: b [K], for `bias_collapse`; None means 0.
        within_variance: within-class variance [r] along the directions of
            `between_basis(moments, global_mean=..., between=...)` of the same
            convention, from `SecondPass` or the function of that name; replaces the
            scatter in `nc1`.
        normalised: class moments of the normalised features h/|h|, with
            `scatter="pooled"`, for GNC1 and GNC3; from
            `SecondPass.normalised_moments` or `class_moments(normalise(h), ...)`.
        convention: a `Convention`, or the name of one of `PRESETS`.
        only: keys of the metrics to compute; by default all that the inputs suffice
            for, but those that at this K and d are computed only on request.

    Returns:
        key -> scalar, in the order of `METRICS` or of `only` (inside jit, JAX sorts the
        keys).

    Raises:
        ValueError: for an unknown convention or key, or shapes that do not fit.

    Outside of jit a warning says how many rows the moments have left out, because their
    labels were not in 0..K-1.
    """
    if not is_traced(moments.left_out) and np.any(moments.left_out):
        warnings.warn(
            f"{np.sum(moments.left_out):,.0f} rows with labels outside "
            f"0..{moments.num_classes - 1} were left out of these moments.",
            stacklevel=2,
        )
    convention = get_convention(convention)
    given = classifier, bias, within_variance, normalised
    inputs = Inputs(moments, *given, convention)
    copies = {"nc2": convention.nc2, "nc3": convention.nc3}
    functions = {k: m.function for k, m in METRICS.items() if m.function is not None}
    sizes = moments.num_classes, moments.feature_dim
    wanted = available(*sizes) if only is None else tuple(only)
    known = available(on_request=True)
    strange = [key for key in wanted if key not in known]
    strange += [key for key in copies.values() if key not in functions]
    if strange:
        raise ValueError(unknown("metric", strange[0], known))
    needed = {copies.get(key, key) for key in wanted}
    chosen = tuple(
        (key, function)
        for key, function in functions.items()
        if key in needed and inputs.suffice(METRICS[key])
    )
    results = _compute(inputs, chosen)
    results |= {new: results[old] for new, old in copies.items() if old in results}
    return {key: results[key] for key in wanted if key in results}


@functools.partial(jax.jit, static_argnums=1)
def _compute(inputs, metrics):
    """Values of the metrics, a tuple of (key, function); compiled once for each."""
    with jax.default_matmul_precision("highest"):
        return {key: function(inputs) for key, function in metrics}
