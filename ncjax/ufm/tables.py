"""The losses of `ncjax.losses` as fits: which tables each one has.

To add a certifiable loss: a function of the number of classes and its options, and a
line in `FITS`.  Without one a loss still works, as `Plain`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from ncjax.losses import LOSSES
from ncjax.losses.hierarchical import hxe_coefficients, soft_targets
from ncjax.ufm.fits import Entropic, Fit, Plain, Quadratic


def _cross_entropy(num_classes: int, *, label_smoothing: Any = 0.0) -> Entropic:
    eye = np.eye(num_classes)
    return _one_group((1 - label_smoothing) * eye + label_smoothing / num_classes)


def _soft_labels(
    num_classes: int,
    *,
    hierarchy: Any,
    beta: Any = 4.0,
    distance: str = "height",
    subtract_entropy: bool = False,
) -> Entropic:
    del num_classes
    table = soft_targets(hierarchy, float(beta), distance)
    fit = _one_group(table)
    if not subtract_entropy:
        return fit
    entropy = -np.sum(table * np.log(np.maximum(table, 1e-300)), axis=1)
    return fit.replace(offset=entropy)  # type: ignore[attr-defined]


def _hxe(
    num_classes: int,
    *,
    hierarchy: Any,
    alpha: Any = 0.5,
    weighting: str = "height",
    normalise: bool = False,
) -> Entropic:
    factors = hxe_coefficients(hierarchy, float(alpha), weighting, normalise)
    rows = hierarchy.lineage[: len(factors)]
    return Entropic(
        targets=np.eye(num_classes) * factors.sum(axis=0)[:, None],
        factors=factors,
        groups=rows,
        own=rows,
        offset=np.zeros(num_classes),
    )


def _mse(num_classes: int) -> Quadratic:
    return Quadratic(np.eye(num_classes))


def _one_group(targets: Any) -> Entropic:
    groups = np.zeros((1, len(targets)), np.int32)
    return Entropic(
        targets=targets,
        factors=np.ones(groups.shape),
        groups=groups,
        own=groups,
        offset=np.zeros(len(targets)),
    )


# Losses of `ncjax.losses` with a dual: number of classes, options -> fit of K rows.
FITS: dict[str, Callable[..., Fit]] = {
    "cross_entropy": _cross_entropy,
    "soft_labels": _soft_labels,
    "hxe": _hxe,
    "mse": _mse,
}


def make_fit(loss: str | Callable, num_classes: int, options: Mapping[str, Any]) -> Fit:
    """The loss of K rows, one for each class.

    Raises:
        ValueError: for an unknown loss or option, or one out of range.
    """
    if isinstance(loss, str) and loss not in LOSSES:
        raise ValueError(f"Unknown loss {loss!r}. Available: {', '.join(LOSSES)}.")
    function = LOSSES[loss] if isinstance(loss, str) else loss
    known = {
        p.name: p.default
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    }
    if unknown := [name for name in options if name not in known]:
        raise ValueError(
            f"The loss {loss!r} has no option {unknown[0]!r}. "
            f"Available: {', '.join(known) or 'none'}."
        )
    options = {  # 4 stands for 4.0
        name: float(value)
        if type(value) is int and isinstance(known[name], float)
        else value
        for name, value in options.items()
    }
    if not any(isinstance(value, jax.core.Tracer) for value in options.values()):
        # The range of an option is the loss's own to know.
        logits, labels = np.zeros((1, num_classes)), np.zeros(1, np.int32)
        shape = jax.eval_shape(lambda z, y: function(z, y, **options), logits, labels)
        if shape.shape != (1,):
            raise ValueError(f"The loss {loss!r} must give [n], got {shape.shape}.")
    if isinstance(loss, str) and loss in FITS:
        return FITS[loss](num_classes, **options)
    return Plain(np.arange(num_classes), function, tuple(sorted(options.items())))
