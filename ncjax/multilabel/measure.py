"""All metrics of the collapse of sets of labels, in one dictionary.

To add a metric: write a function of the moments, add a `Metric` to `METRICS`, add a
test with its NumPy reference.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ncjax import collapse
from ncjax.collapse.registry import (
    COLLAPSE,
    MISTAKES,
    Metric,
    collect,
    to_one,
    to_zero,
)
from ncjax.multilabel.conventions import Convention, get_convention
from ncjax.multilabel.labels import check_sets
from ncjax.multilabel.moments import SetMoments, set_moments
from ncjax.multilabel.second_pass import SetPass
from ncjax.multilabel.sums import set_angles, set_scale
from ncjax.options import unknown


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What a metric may use.

    Attributes:
        moments: moments of the training features.
        seen: what the second pass over the training set has summed, or None.
        convention: the options under which metrics are computed.
    """

    moments: SetMoments
    seen: SetPass | None
    convention: Convention

    @functools.cached_property
    def angles(self) -> dict[str, jax.Array]:
        """`set_angles` of the convention."""
        return set_angles(self.moments, self.convention)


METRICS: dict[str, Metric] = collect(
    (
        to_zero(
            "set_angle",
            "angle to the sum",
            "degrees from the mean of two labels together to the sum of their means",
            lambda x: x.angles["set_angle"],
            part=COLLAPSE,
            compared=("nc",),
            log=True,
            curve="log",
            panel="Angle of sets to the sums, degrees",
        ),
        Metric(
            "set_angle_wrong",
            "angle to wrong sums",
            "degrees from the mean of two labels to the sums of two others",
            lambda x: x.angles["set_angle_wrong"],
            part=COLLAPSE,
            compared=("nc",),
        ),
        to_zero(
            "set_angle_ratio",
            "angle ratio",
            "angle to the right sum over that to wrong sums",
            lambda x: x.angles["set_angle_ratio"],
            log=True,
        ),
        to_zero(
            "set_variability",
            "variability of sets",
            "variance within sets of two labels over that between them",
            lambda x: collapse.trace_ratio(x.moments.pairs),
            log=True,
        ),
        to_zero(
            "sum_unexplained",
            "variance beside sums",
            "share of the variance of features of several labels beside their sums",
            lambda x: x.seen.sum_unexplained(),
            needs="normalised",
            part=COLLAPSE,
            compared=("nc", "test"),
            log=True,
        ),
        Metric(
            "set_scale",
            "scale of sets",
            "means of two labels together, in units of the sum of their means",
            lambda x: set_scale(x.moments),
        ),
    )
)

# What a run has of the scores, besides.
OF_OUTPUTS: dict[str, Metric] = collect(
    (
        to_zero(
            "set_error",
            "set error",
            "share of examples whose set, cut at the largest gap of scores, is not it",
            home="train",
            part=MISTAKES,
            percent=True,
            compared=("test", "train"),
        ),
        to_one(
            "jaccard",
            "Jaccard index",
            "labels that are right of all that are in one of the two sets",
            home="train",
            part=MISTAKES,
            compared=("test",),
        ),
        to_one(
            "precision_at_1",
            "precision at 1",
            "share of examples whose largest score is that of one of their labels",
            home="train",
            part=MISTAKES,
        ),
    )
)


def measure(
    moments: SetMoments,
    classifier: Float[Array | np.ndarray, "K d"] | None = None,
    bias: Float[Array | np.ndarray, "K"] | None = None,
    *,
    seen: SetPass | None = None,
    convention: str | Convention | collapse.Convention = "default",
    only: Iterable[str] | None = None,
) -> dict[str, jax.Array]:
    """Collapse of the examples with one label, and how sets are made of their labels.

    Usable inside jit, with `convention` and `only` static.

    Args:
        moments: moments of the training features.
        classifier: W [K, d], for the metrics of W and of duality.
        bias: b [K]; None means 0.
        seen: second pass over the training set; without it `sum_unexplained` is left
            out, and NC1 too where the moments have no scatter.
        convention: a `Convention`, the name of one of `PRESETS`, or a convention of
            classes.
        only: keys of the metrics to compute; by default all that the inputs suffice
            for.

    Returns:
        key -> scalar: the metrics of `ncjax.collapse.measure` of the examples with one
        label, `nc1` to `nc3` and their like, and those of `METRICS` here.

    Raises:
        ValueError: for an unknown convention or key, or shapes that do not fit.
    """
    convention = get_convention(convention)
    wanted = None if only is None else list(only)
    known = {**METRICS, **collapse.METRICS}
    for key in wanted or ():
        if key not in known:
            raise ValueError(unknown("metric of sets", key, known))
        if seen is None and key in METRICS and METRICS[key].needs != "moments":
            raise ValueError(f"{key} needs the second pass: give it as `seen`.")
    of_classes = None if wanted is None else [k for k in wanted if k not in METRICS]
    about: dict[str, Any] = {}
    if seen is not None:
        about["within_variance"] = seen.single.compute()["within_variance"]
        about["normalised"] = seen.single.normalised_moments()
    given = [None if x is None else jnp.asarray(x) for x in (classifier, bias)]
    found = collapse.measure(
        moments.single,
        *given,
        convention=convention.classes,
        only=of_classes,
        **about,
    )
    chosen = tuple(
        key
        for key, metric in METRICS.items()
        if wanted is None or key in wanted
        if metric.needs == "moments" or seen is not None
    )
    return found | _compute(moments, seen, convention, chosen)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _compute(moments, seen, convention, keys):
    """Values of the metrics of these keys; compiled once for each choice."""
    inputs = Inputs(moments, seen, convention)
    functions = {key: METRICS[key].function for key in keys}
    return {key: f(inputs) for key, f in functions.items() if f is not None}


def measure_features(
    features: Float[Array | np.ndarray, "n d"],
    labels: Bool[np.ndarray, "n K"],
    classifier: Float[Array | np.ndarray, "K d"] | None = None,
    bias: Float[Array | np.ndarray, "K"] | None = None,
    *,
    convention: str | Convention = "default",
    only: Iterable[str] | None = None,
) -> dict[str, jax.Array]:
    """The metrics of features and sets of labels that are all in memory.

    Args:
        features: features h [n, d].
        labels: sets of labels, True for each label of an example [n, K].
        classifier: W [K, d], or None.
        bias: b [K]; None is 0.
        convention: a `Convention`, or the name of one of `PRESETS`.
        only: keys of the metrics to compute; by default all.

    Raises:
        TypeError: for labels that are not bool.
        ValueError: for empty sets, features that are not finite, or shapes that do not
            fit.

    Example:
        >>> import numpy as np
        >>> from ncjax import multilabel
        >>> sets = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1]])
        >>> features = 1.0 * sets  # the sum of what the labels are alone
        >>> found = multilabel.measure_features(features, sets.astype(bool))
        >>> round(float(found["set_angle"]), 3), round(float(found["nc2"]), 3)
        (0.0, 0.0)
    """
    check_sets(labels, labels.shape[-1])
    if not np.isfinite(np.asarray(features)).all():
        raise ValueError("features have NaN or infinite values. Leave these rows out.")
    convention = get_convention(convention)
    features = jnp.asarray(features)
    moments = set_moments(features, labels)
    seen = _second(moments, features, labels, convention)
    options: Any = {"seen": seen, "convention": convention, "only": only}
    return measure(moments, classifier, bias, **options)


@functools.partial(jax.jit, static_argnums=3)
def _second(moments, features, labels, convention):
    """The second pass over features that are all in memory."""
    state = SetPass.empty(moments, convention, training=True)
    # No metric here is of the decisions.
    return state.update(features, labels, jnp.zeros(len(features), jnp.int32))
