"""All metrics of regression collapse, in one dictionary.

To add a metric: write a function of moments and classifier, add a `Metric` to
`METRICS`, add a test with its NumPy reference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ncjax.collapse.registry import (
    COLLAPSE,
    MISTAKES,
    Metric,
    collect,
    headline,
    to_one,
    to_zero,
)
from ncjax.options import unknown
from ncjax.regression import duality
from ncjax.regression.checks import check_spread, check_targets
from ncjax.regression.conventions import Convention, get_convention
from ncjax.regression.moments import RegressionMoments, regression_moments
from ncjax.regression.second_pass import RegressionPass
from ncjax.regression.spans import covers, outside, principal_axes, row_axes


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What a metric may use.

    Attributes:
        moments: moments of the training features and targets.
        classifier: W [t, d], or None.
        seen: what `RegressionPass.compute` found on the training set, or {}.
        convention: the options under which metrics are computed.
    """

    moments: RegressionMoments
    classifier: jax.Array | None
    seen: Mapping[str, jax.Array]
    convention: Convention

    def suffice(self, metric: Metric) -> bool:
        """Whether there is all that a metric needs."""
        needs = metric.needs
        there = {"moments"} | ({"classifier"} if self.classifier is not None else set())
        there |= {"normalised"} if self.seen else set()
        return {*(needs if isinstance(needs, tuple) else (needs,))} <= there

    def share(self, name: str) -> jax.Array:
        """Share of the variance outside of a span: of the second pass, or the first.

        From the moments alone the share is at least what rounding gives, d eps.
        """
        if name in self.seen:
            return self.seen[name]
        moments = self.moments
        if name == "nrc1":
            centred = self.convention.centre_pca
            axes = principal_axes(moments, centred=centred)
        else:
            axes = row_axes(self.rows)
        total = jnp.trace(moments.feature_cov)
        rest = outside(outside(moments.feature_cov, axes).T, axes)
        share = jnp.trace(rest) / jnp.where(total > 0, total, jnp.nan)
        floor = moments.feature_dim * jnp.finfo(share.dtype).eps
        nothing = covers(axes) | ~jnp.any(axes != 0)
        return jnp.where(nothing, jnp.nan, jnp.maximum(share, floor))

    @property
    def rows(self) -> jax.Array:
        """W [t, d]."""
        assert self.classifier is not None  # else `suffice` would keep the metric out
        return self.classifier.astype(self.moments.pivot.dtype)

    @property
    def gamma(self) -> jax.Array:
        """The best gamma, in the unit of the targets squared."""
        unit = self.moments.unit[1]
        return duality.nrc3(self.moments, self.rows)[1] * unit * unit


def _seen(key: str) -> Any:
    return lambda x: x.seen[key]


_of_rows = ("normalised", "classifier")
_found = partial(to_zero, needs="normalised", log=True)
METRICS: dict[str, Metric] = collect(
    (
        headline(
            "nrc1",
            "NRC1",
            "features beside their first t principal directions",
            log=True,
            curve="log",
            panel="NRC1: features in t directions",
        ),
        headline(
            "nrc2",
            "NRC2",
            "features beside the rows of the classifier",
            needs="classifier",
            log=True,
            curve="log",
            panel="NRC2: features in the rows of W",
        ),
        headline(
            "nrc3",
            "NRC3",
            "W W' against the root of the target covariance, less a threshold",
            needs="classifier",
            log=True,
            curve="log",
            panel="NRC3: W W' and the target covariance",
        ),
        to_zero(
            "unexplained",
            "unexplained variance",
            "share of the features' variance outside of t principal directions",
            lambda x: x.share("nrc1"),
            log=True,
        ),
        to_one(
            "explained_variance",
            "explained variance",
            "share of the features' variance along t principal directions",
            lambda x: 1 - x.share("nrc1"),
        ),
        to_zero(
            "outside_rows",
            "variance beside W",
            "share of the features' variance outside of the rows of the classifier",
            lambda x: x.share("nrc2"),
            needs="classifier",
            log=True,
        ),
        *(
            metric
            for name, span, needs in (
                ("nrc1", "t principal directions", "normalised"),
                ("nrc2", "the rows of the classifier", _of_rows),
            )
            for metric in (
                _found(
                    f"{name}_raw",
                    f"{name.upper()} of h",
                    f"mean squared distance of features to {span}",
                    _seen(f"{name}_raw"),
                    needs=needs,
                    changes_with=("shift", "scale"),
                ),
                _found(
                    f"{name}_unit",
                    f"{name.upper()} of h/|h|",
                    f"mean squared distance of features of length 1 to {span}",
                    _seen(f"{name}_unit"),
                    needs=needs,
                    changes_with=("shift",),
                ),
                _found(
                    f"{name}_unit_centred",
                    f"{name.upper()} of centred h/|h|",
                    f"the same of features minus their mean, to {span}",
                    _seen(f"{name}_unit_centred"),
                    needs=needs,
                ),
            )
        ),
        to_zero(
            "nrc3_best",
            "NRC3 at the best gamma",
            "W W' against S - sqrt(gamma) I, gamma by the closed form",
            lambda x: duality.nrc3(x.moments, x.rows)[0],
            needs="classifier",
            log=True,
        ),
        to_zero(
            "nrc3_grid",
            "NRC3 of a grid",
            f"the same at the best of {duality.GRID} values of gamma",
            lambda x: duality.nrc3(x.moments, x.rows, grid=True)[0],
            needs="classifier",
            log=True,
        ),
        Metric(
            "gamma",
            "best gamma",
            "the threshold of NRC3; lH lW at the optimum of theory",
            lambda x: x.gamma,
            needs="classifier",
            log=True,
            changes_with=("scale",),
        ),
        to_one(
            "cka",
            "CKA",
            "linear similarity of features and targets",
            lambda x: duality.cka(x.moments),
        ),
        to_one(
            "alignment",
            "alignment",
            "mean cosine of principal directions and rows of the classifier",
            lambda x: duality.alignment(
                x.moments, x.rows, centred=x.convention.centre_pca
            ),
            needs="classifier",
        ),
        to_zero(
            "least_squares",
            "least squares",
            "mean squared error of the best linear map of the features",
            lambda x: duality.least_squares(x.moments),
            limit=lambda num_classes, feature_dim: None,
            log=True,
        ),
    )
)

# What a run has of the outputs, besides.
OF_OUTPUTS: dict[str, Metric] = collect(
    (
        to_zero(
            "squared_error",
            "squared error",
            "mean over examples of |prediction - target|^2",
            home="train",
            part=MISTAKES,
            compared=("test", "train"),
            log=True,
            curve="log",
            panel="Squared error",
        ),
        to_one(
            "r2",
            "R^2",
            "share of the targets' variance that the outputs explain",
            home="train",
            part=MISTAKES,
            compared=("test", "train"),
            curve="linear",
            panel="R²",
        ),
        to_one(
            "r2_worst",
            "least R^2 of a target",
            "R^2 of the target for which it is least",
            home="train",
            part=COLLAPSE,
        ),
    )
)
_COPIES = ("nrc1", "nrc2", "nrc3")


def measure(
    moments: RegressionMoments,
    classifier: Float[Array | np.ndarray, "t d"] | None = None,
    bias: Float[Array | np.ndarray, "t"] | None = None,
    *,
    seen: Mapping[str, jax.Array] | None = None,
    convention: str | Convention = "default",
    only: Iterable[str] | None = None,
) -> dict[str, jax.Array]:
    """Every metric of `METRICS` that can be had from moments and a classifier.

    `nrc1`, `nrc2` and `nrc3` are copies of the metrics that the convention calls so.
    Usable inside jit, with `convention` and `only` static.

    Args:
        moments: moments of the training features and targets.
        classifier: W [t, d], for the metrics of its rows.
        bias: b [t]; not used, as it moves no metric.
        seen: `RegressionPass.compute` of the training set; without it the metrics of
            single features are left out, and those of variances cannot tell from 0 what
            is below rounding.
        convention: a `Convention`, or the name of one of `PRESETS`.
        only: keys of the metrics to compute; by default all that the inputs suffice
            for.

    Returns:
        key -> scalar.

    Raises:
        ValueError: for an unknown convention or key, such as `nc2`, which is one of
            classes; for a metric whose inputs are missing; or for a W of another shape.
    """
    del bias
    convention = get_convention(convention)
    shape = moments.outputs, moments.feature_dim
    if classifier is not None and classifier.shape != shape:
        raise ValueError(
            f"The classifier has shape {classifier.shape}; for {shape[0]} targets and "
            f"{shape[1]} features W is {list(shape)}."
        )
    weights = None if classifier is None else jnp.asarray(classifier)
    inputs = Inputs(moments, weights, seen or {}, convention)
    names = {name: getattr(convention, name) for name in _COPIES}
    there = [key for key in METRICS if inputs.suffice(METRICS[names.get(key, key)])]
    wanted = there if only is None else list(only)
    for key in wanted:
        if key not in METRICS:
            raise ValueError(unknown("metric of regression", key, METRICS))
        if key not in there:
            needs = METRICS[names.get(key, key)].needs
            raise ValueError(
                f"{key} needs more than was given: its needs are {needs!r}. Give W as "
                "`classifier`, and what `RegressionPass` found as `seen`."
            )
    chosen = {key: METRICS[names.get(key, key)] for key in wanted}
    return {key: m.function(inputs) for key, m in chosen.items() if m.function}


def measure_features(
    features: Float[Array | np.ndarray, "n d"],
    targets: Float[Array | np.ndarray, "n t"],
    classifier: Float[Array | np.ndarray, "t d"] | None = None,
    bias: Float[Array | np.ndarray, "t"] | None = None,
    *,
    convention: str | Convention = "default",
) -> dict[str, jax.Array]:
    """The metrics of features and targets that are all in memory.

    Args:
        features: features h [n, d].
        targets: targets y [n, t].
        classifier: W [t, d], or None.
        bias: b [t]; None is 0.
        convention: a `Convention`, or the name of one of `PRESETS`.

    Returns:
        What `measure` returns and, with a classifier, `r2` of its outputs.

    Raises:
        ValueError: for arrays that are not finite, targets that are constant, or shapes
            that do not fit.

    Example:
        >>> import numpy as np
        >>> from ncjax import regression
        >>> targets = np.random.default_rng(0).normal(size=(50, 2))
        >>> features = targets @ np.eye(2, 4)  # in two of four dimensions
        >>> found = regression.measure_features(features, targets, np.eye(2, 4))
        >>> bool(found["nrc1"] < 1e-12), bool(found["r2"] > 1 - 1e-6)
        (True, True)
    """
    known = np.asarray(targets)
    check_targets(known, known.shape[-1])
    check_spread(known)
    if not np.isfinite(np.asarray(features)).all():
        raise ValueError("features have NaN or infinite values. Leave these rows out.")
    convention = get_convention(convention)
    features, targets = jnp.asarray(features), jnp.asarray(targets)
    moments = regression_moments(features, targets)
    weights = None if classifier is None else jnp.asarray(classifier)
    outputs = jnp.zeros_like(targets)
    if weights is not None:
        outputs = jnp.matmul(features, weights.T, precision="highest")
        outputs = outputs + (0 if bias is None else jnp.asarray(bias)[None])
    state = RegressionPass.empty(moments, weights, convention)
    seen = state.update(features, targets, outputs).compute()
    found = measure(moments, weights, seen=seen, convention=convention)
    return found if weights is None else found | {"r2": seen["r2"]}
