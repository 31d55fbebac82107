"""Optima in closed form, for the losses and models for which one is known.

To add one for a loss of `ncjax.ufm.tables.FITS`: write a function (model, options) ->
`Prediction`, or None where the formula does not apply, and add a line to
`CLOSED_FORMS`.  Its keywords are those of the loss in `FITS`, but for a temperature.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ncjax.hierarchy import Hierarchy
from ncjax.hierarchy.algebra import is_balanced
from ncjax.hierarchy.hxe import hxe_optimum
from ncjax.hierarchy.soft_labels import soft_label_optimum
from ncjax.hierarchy.tree_optimum import TreeOptimum
from ncjax.ufm.theory.cross_entropy import cross_entropy_optimum
from ncjax.ufm.theory.ranges import geometric_mean
from ncjax.ufm.theory.squared_error import squared_error_optimum


class Balanced(NamedTuple):
    """What makes a `Problem` whose classes all have one size, apart from its loss."""

    num_classes: int  # K
    sizes: int  # n, samples of each class
    lambda_w: float  # lW
    lambda_h: float  # lH
    lambda_b: float | None  # lb; 0: the bias is free; None: there is none
    feature_dim: int | None = None  # d; None: wide enough

    @property
    def c(self) -> float:
        """sqrt(n lW lH), all that the geometry depends on."""
        return math.sqrt(self.sizes) * geometric_mean(self.lambda_w, self.lambda_h)


class Prediction(NamedTuple):
    """A global optimum in closed form."""

    regime: str  # which case of the formula it is, in words
    objective: float  # f
    rank: int  # of the logits
    logits: np.ndarray  # [K, K] of the class means, without a bias


def cross_entropy(model: Balanced, *, label_smoothing: Any) -> Prediction:
    """The simplex, by `cross_entropy_optimum`; a bias changes nothing."""
    found = cross_entropy_optimum(
        *(model.num_classes, model.sizes, model.lambda_w, model.lambda_h),
        label_smoothing=label_smoothing,
        feature_dim=model.feature_dim,
    )
    return Prediction(found.regime, found.objective, found.rank, found.logits)


def mse(model: Balanced) -> Prediction:
    """Simplex, orthogonal frame or what lies between, by `squared_error_optimum`."""
    found = squared_error_optimum(
        *(model.num_classes, model.sizes, model.lambda_w, model.lambda_h),
        model.lambda_b,
        feature_dim=model.feature_dim,
    )
    return Prediction(found.regime, found.objective, found.rank, found.logits)


def soft_labels(
    model: Balanced,
    *,
    hierarchy: Hierarchy,
    beta: Any,
    distance: str,
    subtract_entropy: bool,
) -> Prediction | None:
    """`soft_label_optimum` on a balanced tree, with no bias or a free one."""
    if distance != "height" or subtract_entropy or not _symmetric(model, hierarchy):
        return None
    return _if_wide(model, soft_label_optimum(hierarchy, beta, model.c))


def hxe(
    model: Balanced,
    *,
    hierarchy: Hierarchy,
    alpha: Any,
    weighting: str,
    normalise: bool,
) -> Prediction | None:
    """`hxe_optimum` on a balanced tree, with no bias or a free one."""
    if normalise or not _symmetric(model, hierarchy):
        return None
    return _if_wide(model, hxe_optimum(hierarchy, alpha, model.c, weighting))


def _symmetric(model: Balanced, tree: Hierarchy) -> bool:
    """Whether the closed forms for balanced trees apply.

    By symmetry the bias is then a constant vector, which these losses cannot tell from
    0: a free bias changes nothing.  A bias with weight decay is left out.
    """
    return model.lambda_b in (None, 0) and is_balanced(tree)


def _if_wide(model: Balanced, found: TreeOptimum) -> Prediction | None:
    """The optimum, unless it has a higher rank than the features have dimensions."""
    if model.feature_dim is not None and model.feature_dim < found.rank:
        return None
    return Prediction(found.regime, found.objective, found.rank, found.gram)


def predict(
    loss: str, model: Balanced, options: Mapping[str, Any]
) -> Prediction | None:
    """The optimum of a loss in closed form; None where none is known.

    A temperature T is the same as larger decays: with W = sqrt(T) W', H = sqrt(T) H'
    and b = T b' the logits are T times those of W', H', b', and the objective is that
    without a temperature and with the decays T lW, T lH, T^2 lb.

    Args:
        loss: name of the loss.
        model: the model apart from its loss.
        options: options of the loss by name, among them `hierarchy`.
    """
    if loss not in CLOSED_FORMS:
        return None
    t = options.get("temperature", 1.0)
    plain = {name: value for name, value in options.items() if name != "temperature"}
    model = model._replace(
        lambda_w=t * model.lambda_w,
        lambda_h=t * model.lambda_h,
        lambda_b=None if model.lambda_b is None else t**2 * model.lambda_b,
    )
    found = CLOSED_FORMS[loss](model, **plain)
    return found and found._replace(logits=t * found.logits)


# Losses of `FITS` whose optimum is known: (model, options) -> its optimum, or None.
CLOSED_FORMS: dict[str, Callable[..., Prediction | None]] = {
    "cross_entropy": cross_entropy,
    "mse": mse,
    "soft_labels": soft_labels,
    "hxe": hxe,
}
