"""All metrics that moments and a classifier allow, in one dictionary.

To add a metric: write a function of moments (and classifier), add a line to `METRICS`
(or `ON_REQUEST`, if it takes long) with what it needs, add a test.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from ncjax.collapse import (
    alignment,
    duality,
    margin,
    means,
    separation,
    simplex,
    uniformity,
    variability,
)
from ncjax.collapse.conventions import Convention, get_convention
from ncjax.moments import ClassMoments


@struct.dataclass
class Inputs:
    """What a metric may use; shared work is done once, when first asked for."""

    moments: ClassMoments
    classifier: jax.Array | None  # [K, d]
    bias: jax.Array | None  # [K]
    within_variance: jax.Array | None  # [r]
    convention: Convention = struct.field(pytree_node=False)

    @property
    def has(self) -> set[str]:
        """Which of `moments, within, scatter, classifier` there are."""
        scatter = self.moments.scatter is not None
        return {
            "moments",
            *(["scatter"] if scatter else []),
            *(["within"] if scatter or self.within_variance is not None else []),
            *(["classifier"] if self.classifier is not None else []),
        }

    @property
    def centring(self) -> dict:
        """Keywords on which mean is subtracted."""
        return {"global_mean": self.convention.global_mean}

    @property
    def weighting(self) -> dict:
        """Keywords on both means and between-class covariance."""
        return {**self.centring, "between": self.convention.between}

    @property
    def nc1_options(self) -> dict:
        """Keywords of `nc1` and its floor."""
        return {
            **self.weighting,
            "basis": self.basis,
            "divide_by_classes": self.convention.divide_by_classes,
        }

    @functools.cached_property
    def basis(self) -> tuple[jax.Array, jax.Array]:
        """`between_basis` of the convention."""
        return means.between_basis(self.moments, **self.weighting)

    @functools.cached_property
    def means(self) -> tuple[jax.Array, jax.Array]:
        """Centred class means [K, d], and the classes present [K]."""
        centred = means.centred_means(self.moments, **self.centring)
        return centred, means.present_classes(self.moments)

    @functools.cached_property
    def rows(self) -> tuple[jax.Array, jax.Array]:
        """Classifier as the convention takes it [K, d], and the classes present."""
        rows, present = means.select_rows(
            self.pair[1].astype(self.moments.count.dtype),
            means.present_classes(self.moments),
            center=self.convention.center_classifier,
        )
        return rows, present

    @functools.cached_property
    def mean_angles(self) -> dict[str, jax.Array]:
        """Angles between centred means."""
        return simplex.angle_statistics(*self.means)

    @functools.cached_property
    def row_angles(self) -> dict[str, jax.Array]:
        """Angles between rows of the classifier."""
        return simplex.angle_statistics(*self.rows)

    @functools.cached_property
    def log_kernel(self) -> tuple[jax.Array, jax.Array]:
        """Mean and variance over pairs of the log kernel of the means."""
        return uniformity.log_kernel(*self.means)

    @property
    def pair(self) -> tuple[ClassMoments, jax.Array]:
        """Moments and classifier."""
        assert self.classifier is not None  # else `has` would keep the metric out
        return self.moments, self.classifier

    @property
    def pair_options(self) -> dict:
        """Keywords of the metrics of means and classifier together."""
        return {
            **self.centring,
            "center_classifier": self.convention.center_classifier,
        }


Metric = tuple[str, Callable[[Inputs], jax.Array]]

# name: (what it needs, function); in the order in which results are printed.
METRICS: dict[str, Metric] = {
    "rank": ("moments", lambda x: jnp.sum(x.basis[0] > 0).astype(x.basis[0].dtype)),
    "numerical_rank": (
        "moments",
        lambda x: jnp.sum(x.basis[0]) ** 2 / jnp.sum(x.basis[0] ** 2),
    ),
    "nc1": (
        "within",
        lambda x: variability.nc1(
            x.moments, within_variance=x.within_variance, **x.nc1_options
        ),
    ),
    "nc1_floor": (
        "moments",
        lambda x: variability.nc1_floor(x.moments, **x.nc1_options),
    ),
    "trace_ratio": (
        "moments",
        lambda x: variability.trace_ratio(x.moments, **x.weighting),
    ),
    "cdnv": ("moments", lambda x: separation.cdnv(x.moments)),
    "snr": ("moments", lambda x: separation.snr(x.moments)),
    "vci": (
        "scatter",
        lambda x: variability.vci(x.moments, basis=x.basis, **x.weighting),
    ),
    "nc2_means": (
        "moments",
        lambda x: simplex.nc2(*x.means, row_normalise=x.convention.row_normalise),
    ),
    "equinorm": (
        "moments",
        lambda x: simplex.equinorm(*x.means, ddof=x.convention.ddof),
    ),
    "equiangularity": ("moments", lambda x: x.mean_angles["equiangularity"]),
    "max_angle": ("moments", lambda x: x.mean_angles["max_angle"]),
    "uniformity": ("moments", lambda x: x.log_kernel[0]),
    "uniformity_var": ("moments", lambda x: x.log_kernel[1]),
    "uniformity_riesz": ("moments", lambda x: uniformity.riesz_kernel(*x.means)),
    "nc2_w": (
        "classifier",
        lambda x: simplex.nc2(*x.rows, row_normalise=x.convention.row_normalise),
    ),
    "equinorm_w": (
        "classifier",
        lambda x: simplex.equinorm(*x.rows, ddof=x.convention.ddof),
    ),
    "equiangularity_w": ("classifier", lambda x: x.row_angles["equiangularity"]),
    "max_angle_w": ("classifier", lambda x: x.row_angles["max_angle"]),
    "nc3_etf": ("classifier", lambda x: duality.nc3(*x.pair, **x.pair_options)),
    "nc3_papyan": (
        "classifier",
        lambda x: duality.nc3_papyan(
            *x.pair, squared=x.convention.squared, **x.pair_options
        ),
    ),
    "nc3_cosine": (
        "classifier",
        lambda x: duality.nc3_cosine(*x.pair, **x.pair_options),
    ),
    "uniform_duality": (
        "classifier",
        lambda x: duality.uniform_duality(
            *x.pair,
            normalise=x.convention.normalise_duality,
            ddof=x.convention.duality_ddof,
            **x.pair_options,
        ),
    ),
    "shape_residual": ("classifier", lambda x: alignment.shape_residual(*x.pair)),
    "misalignment": ("classifier", lambda x: alignment.misalignment(*x.pair)),
    "bias_collapse": (
        "classifier",
        lambda x: duality.bias_collapse(
            *x.pair, x.bias, weighting=x.convention.global_mean
        ),
    ),
}

# The same, but computed only where `only` names them: an iteration with K x K products.
ON_REQUEST: dict[str, Metric] = {
    "one_vs_rest": ("moments", lambda x: margin.certified_margin(*x.means)),
    "one_vs_rest_w": ("classifier", lambda x: margin.certified_margin(*x.rows)),
}


def measure(
    moments: ClassMoments,
    classifier: Float[Array, "K d"] | None = None,
    bias: Float[Array, "K"] | None = None,
    *,
    within_variance: Float[Array, "r"] | None = None,
    convention: str | Convention = "default",
    only: Iterable[str] | None = None,
) -> dict[str, jax.Array]:
    """Every scalar of `METRICS` for which the inputs suffice.

    Also `nc2` and `nc3`: copies of the keys that the convention calls so.  Usable
    inside jit, with `convention` and `only` static.

    Args:
        moments: of the training features.
        classifier: W [K, d], for the metrics of W and of duality.
        bias: b [K], for `bias_collapse`; none means 0.
        within_variance: within-class variance [r] along the directions of
            `between_basis(moments, global_mean=..., between=...)` of the same
            convention, from `SecondPass` or the function of that name; replaces the
            scatter in `nc1`.
        convention: a `Convention` or the name of one of `PRESETS`.
        only: names to compute, also of `ON_REQUEST`; by default all of `METRICS` that
            can be.

    Returns:
        name -> scalar, in the order of `METRICS` (inside jit, JAX sorts the names).

    Raises:
        ValueError: for an unknown convention or name, or shapes that do not fit.
    """
    convention = get_convention(convention)
    inputs = Inputs(moments, classifier, bias, within_variance, convention)
    copies = {"nc2": convention.nc2, "nc3": convention.nc3}
    wanted = list(METRICS) + list(copies) if only is None else list(only)
    registered = METRICS | ON_REQUEST
    known = [*registered, *copies]
    unknown = [name for name in [*wanted, *copies.values()] if name not in known]
    if unknown:
        raise ValueError(
            f"Unknown metric {unknown[0]!r}. Available: {', '.join(known)}."
        )
    needed = {copies.get(name, name) for name in wanted}
    chosen = tuple(
        (name, function)
        for name, (needs, function) in registered.items()
        if name in needed and needs in inputs.has
    )
    results = _compute(inputs, chosen)
    results |= {new: results[old] for new, old in copies.items() if old in results}
    return {name: results[name] for name in wanted if name in results}


@functools.partial(jax.jit, static_argnums=1)
def _compute(inputs, metrics):
    """Values of the metrics, a tuple of (name, function); compiled once for each."""
    with jax.default_matmul_precision("highest"):
        return {name: function(inputs) for name, function in metrics}
