"""The losses that can be certified: their tables as functions of their options.

To add one: write a function (number of classes, options) -> `Fit`, here or in a file of
its own, and add a line to `FITS`.  Its keywords with a default are options of the
`ufm` command, its numbers can be swept; `hierarchy` gets the class tree.  Where its
optimum is known in closed form, add a line to `ncjax.ufm.closed_forms.CLOSED_FORMS`.

A loss of `ncjax.losses` without a line here still works, as `Plain`: it is minimised,
but not certified.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from ncjax.losses import LOSSES
from ncjax.losses.hierarchical import hxe_coefficients, soft_targets
from ncjax.options import suggest, unknown
from ncjax.ufm.fits import Entropic, Fit, Plain, Quadratic


def cross_entropy(
    num_classes: int, *, label_smoothing: Any = 0.0, temperature: Any = 1.0
) -> Entropic:
    """`ncjax.losses.cross_entropy` of one row for each class."""
    smooth = label_smoothing / num_classes
    return _one_group((1 - label_smoothing) * np.eye(num_classes) + smooth, temperature)


def soft_labels(
    num_classes: int,
    *,
    hierarchy: Any,
    beta: Any = 4.0,
    distance: str = "height",
    subtract_entropy: bool = False,
    temperature: Any = 1.0,
) -> Entropic:
    """`ncjax.losses.soft_labels` of one row for each class."""
    del num_classes  # the tree knows it
    table, entropy = soft_targets(hierarchy, float(beta), distance)
    fit = _one_group(table, temperature)
    if not subtract_entropy:
        return fit
    return fit.replace(offset=entropy)  # type: ignore[attr-defined]


def hxe(
    num_classes: int,
    *,
    hierarchy: Any,
    alpha: Any = 0.5,
    weighting: str = "height",
    normalise: bool = False,
    temperature: Any = 1.0,
) -> Entropic:
    """`ncjax.losses.hxe` of one row for each class: a group for each depth."""
    factors = hxe_coefficients(hierarchy, float(alpha), weighting, normalise)
    targets = np.eye(num_classes) * factors.sum(axis=0)[:, None]
    groups = hierarchy.lineage[: len(factors)]
    return _entropic(targets, factors, groups, temperature)


def mse(num_classes: int) -> Quadratic:
    """`ncjax.losses.mse` of one row for each class."""
    return Quadratic(np.eye(num_classes))


def _one_group(targets: Any, temperature: Any) -> Entropic:
    shape = (1, len(targets))
    groups = np.zeros(shape, np.int32)
    return _entropic(targets, np.ones(shape), groups, temperature)


def _entropic(targets: Any, factors: Any, groups: Any, temperature: Any) -> Entropic:
    """One row for each class, so that its own groups are those of its label."""
    return Entropic(
        targets,
        factors,
        groups,
        own=groups,
        offset=np.zeros(len(targets)),
        temperature=temperature * np.ones(()),
    )


# Losses with a dual: (number of classes, options) -> the loss of one row for each.
FITS: dict[str, Callable[..., Fit]] = {
    "cross_entropy": cross_entropy,
    "soft_labels": soft_labels,
    "hxe": hxe,
    "mse": mse,
}


def known_losses() -> dict[str, Callable]:
    """All losses that have a name; the keywords of each function are its options."""
    return FITS | LOSSES | FITS  # those that can be certified come first


def make_fit(loss: str | Callable, num_classes: int, options: Mapping[str, Any]) -> Fit:
    """The loss of one row for each class.

    Args:
        loss: a name in `known_losses`, or a function like those of `ncjax.losses`.
        num_classes: number K of rows and of classes.
        options: options of the loss by name, among them `hierarchy`.

    Raises:
        ValueError: for an unknown loss or option, an option out of range, or one that
            the loss needs and does not get.
    """
    known = known_losses()
    if isinstance(loss, str) and loss not in known:
        raise ValueError(unknown("loss", loss, known))
    function = known[loss] if isinstance(loss, str) else loss
    options = _checked(loss, function, options)
    original = LOSSES.get(loss) if isinstance(loss, str) else loss
    if original is not None:
        _check_range(loss, original, num_classes, options)
    if isinstance(loss, str) and loss in FITS:
        return FITS[loss](num_classes, **options)
    return Plain(np.arange(num_classes), function, tuple(sorted(options.items())))


def _checked(loss, function, options) -> dict[str, Any]:
    """The options, of which the loss knows every one and lacks none."""
    known = {
        p.name: p.default
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    }
    if strange := [name for name in options if name not in known]:
        raise ValueError(
            f"The loss {loss!r} has no option {strange[0]!r}."
            f"{suggest(strange[0], known)} Available: {', '.join(known) or 'none'}."
        )
    needed = [name for name, value in known.items() if value is inspect.Parameter.empty]
    if missing := [name for name in needed if name not in options]:
        raise ValueError(f"The loss {loss!r} needs the option {missing[0]!r}.")
    return {  # 4 stands for 4.0
        name: float(value)
        if type(value) is int and isinstance(known[name], float)
        else value
        for name, value in options.items()
    }


def _check_range(loss, function, num_classes, options) -> None:
    """Lets the loss itself refuse options out of range: it knows their ranges."""
    if any(isinstance(value, jax.core.Tracer) for value in options.values()):
        return
    logits, labels = np.zeros((1, num_classes)), np.zeros(1, np.int32)
    shape = jax.eval_shape(lambda z, y: function(z, y, **options), logits, labels)
    if shape.shape != (1,):
        raise ValueError(f"The loss {loss!r} must give [n], got {shape.shape}.")
