"""The losses in tables, as functions of their options; most can be certified.

To add one: write a function (number of classes, options) -> `Fit`, here or in a file of
its own, and add a line to `FITS`.  Its keywords with a default are options of the
`ufm` command, its numbers can be swept; `hierarchy` gets the class tree.  Where its
optimum is known in closed form, add a line to `ncjax.ufm.closed_forms.CLOSED_FORMS`.

What is convex in its outputs can be certified: all but HXE weighted by depth, HACE and
HAF.  A loss of `ncjax.losses` without a line here still works, as `Plain`: it is
minimised, but not certified.  Those of `FIXED`, whose classifier does not learn, are in
`ncjax.ufm.frames`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from ncjax.losses import LOSSES, OUTPUTS, targets_of
from ncjax.losses.hace import hace_weights
from ncjax.losses.hierarchical import hxe_coefficients, soft_targets
from ncjax.losses.outputs import Outputs
from ncjax.options import suggest, takes, unknown
from ncjax.ufm.fits import Entropic, Fit, Plain, Quadratic
from ncjax.ufm.haf import haf
from ncjax.ufm.ordinal import ordinal


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


def hace(
    num_classes: int, *, hierarchy: Any, dilution: Any = 0.5, temperature: Any = 1.0
) -> Entropic:
    """`ncjax.losses.hace` of one row for each class: a group for each depth.

    The groups below the root have negative factors, so that it is convex only on trees
    of one level.
    """
    depths = np.arange(1, hierarchy.height + 1)[:, None]
    weights = np.asarray(hace_weights(hierarchy, float(dilution)))
    inner = np.where(depths < hierarchy.depths[hierarchy.leaves], -weights, 0)
    factors = np.concatenate([weights.sum(axis=0)[None], inner[:-1]])
    targets = np.eye(num_classes) * factors.sum(axis=0)[:, None]
    return _entropic(targets, factors, hierarchy.lineage[:-1], temperature)


def multi_level(
    num_classes: int, *, hierarchy: Any, level_weights: tuple = ()
) -> Entropic:
    """`ncjax.losses.multi_level` of one row for each class: a group for each level.

    The logits are those of all levels, in which it is convex.
    """
    levels = [hierarchy.superclasses(depth) for depth in hierarchy.levels]
    weights = np.array(level_weights or [1.0] * len(levels), np.float64)
    number = np.arange(1, len(levels) + 1)  # of each level; group 0 is everything
    level = np.repeat(number, [len(names) for _, names in levels])
    rows = [np.eye(len(names))[group] for group, names in levels]
    targets = np.concatenate(rows, axis=1) * weights[level - 1]
    return _by_groups(
        targets,
        factors=np.outer(weights, np.ones(num_classes)),
        groups=np.where(level == number[:, None], level, 0),
        own=np.outer(number, np.ones(num_classes, int)),
    )


def cascade(num_classes: int, *, hierarchy: Any) -> Entropic:
    """`ncjax.losses.cascade` of one row for each class: a group of siblings a depth.

    The logits are those of all nodes but the root, in which it is convex.
    """
    del num_classes  # the tree knows it
    path = hierarchy.lineage[1:]
    parents = hierarchy.parents[1:]
    return _by_groups(
        hierarchy.ancestors()[:, 1:].astype(np.float64),
        # A class that lies less deep repeats its own node, which counts once only.
        factors=(path != hierarchy.lineage[:-1]).astype(np.float64),
        groups=np.tile(parents, (len(path), 1)),
        own=hierarchy.parents[path],
    )


def mse(num_classes: int) -> Quadratic:
    """`ncjax.losses.mse` of one row for each class."""
    return Quadratic(np.eye(num_classes))


def _one_group(targets: Any, temperature: Any) -> Entropic:
    shape = (1, len(targets))
    groups = np.zeros(shape, np.int32)
    return _entropic(targets, np.ones(shape), groups, temperature)


def _by_groups(targets: Any, factors: Any, groups: Any, own: Any) -> Entropic:
    """One row for each class, and groups of its own that are not those of the rest."""
    everything = np.zeros_like(groups[:1])  # group 0 has no weight
    return Entropic(
        targets,
        np.concatenate([np.zeros_like(factors[:1]), factors]),
        np.concatenate([everything, groups]),
        np.concatenate([np.zeros_like(own[:1]), own]),
        offset=np.zeros(len(targets)),
        temperature=np.ones(()),
    )


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


# Losses whose classifier, fixed vectors, does not learn.
FIXED = ("label_embedding", "haframe", "hier_cos")

# Losses in tables: (number of classes, options) -> the loss of one row for each.
FITS: dict[str, Callable[..., Fit]] = {
    "cross_entropy": cross_entropy,
    "soft_labels": soft_labels,
    "hxe": hxe,
    "mse": mse,
    "hace": hace,
    "multi_level": multi_level,
    "cascade": cascade,
    "haf": haf,
    "ordinal": ordinal,
}


def known_losses() -> dict[str, Callable]:
    """All losses of classes by name; the keywords of each function are its options."""
    of_classes = {name: f for name, f in LOSSES.items() if "class" in targets_of(name)}
    return FITS | of_classes | FITS  # those in tables come first


def make_fit(
    loss: str | Callable, num_classes: int, options: Mapping[str, Any], sizes: Any = 1.0
) -> Fit:
    """The loss of one row for each class.

    Args:
        loss: a name in `known_losses`, or a function like those of `ncjax.losses`.
        num_classes: number K of rows and of classes.
        options: options of the loss by name, among them `hierarchy`.
        sizes: samples of each class, one number or [K]; for losses of pairs of samples.

    Raises:
        ValueError: for an unknown loss or option, an option out of range, one that the
            loss needs and does not get, or a loss of vectors that do not learn.
    """
    known = known_losses()
    if isinstance(loss, str) and loss not in known:
        raise ValueError(unknown("loss", loss, known))
    if loss in FIXED:
        raise ValueError(
            f"The classifier of the loss {loss!r} does not learn, so there is no W to "
            "solve for. Take `ncjax.ufm.frame_optimum`, or for all methods with a tree "
            "`ncjax ufm --config=configs/ufm_hierarchy.py`."
        )
    function = known[loss] if isinstance(loss, str) else loss
    options = _checked(loss, function, options)
    original = LOSSES.get(loss) if isinstance(loss, str) else loss
    outputs = outputs_of(loss, options.get("hierarchy"))
    width = num_classes if outputs is None else int(np.sum(outputs.size))
    if original is not None:
        # What the table alone takes, such as thresholds, the table checks.
        known = {k: v for k, v in options.items() if takes(original, k)}
        _check_range(loss, original, width, known)
    if isinstance(loss, str) and loss in FITS:
        if takes(function, "sizes"):
            options |= {"sizes": sizes}
        return FITS[loss](num_classes, **options)
    return Plain(
        np.arange(num_classes), function, tuple(sorted(options.items())), width
    )


def outputs_of(loss: Any, hierarchy: Any) -> Outputs | None:
    """The outputs that a loss takes in place of one logit for each class.

    Args:
        loss: name of the loss, or a function.
        hierarchy: tree over the K classes, if the loss takes one.

    Returns:
        The outputs, with their `readout` [K, M]; None where they are the K logits.
    """
    if not isinstance(loss, str) or loss not in OUTPUTS or hierarchy is None:
        return None
    return OUTPUTS[loss](hierarchy)


def _checked(loss, function, options) -> dict[str, Any]:
    """The options, of which the loss knows every one and lacks none."""
    known = {
        p.name: p.default
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.name != "sizes"
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


def _check_range(loss, function, width, options) -> None:
    """Lets the loss itself refuse options out of range: it knows their ranges."""
    if any(isinstance(value, jax.core.Tracer) for value in options.values()):
        return
    logits, labels = np.zeros((1, width)), np.zeros(1, np.int32)
    shape = jax.eval_shape(lambda z, y: function(z, y, **options), logits, labels)
    if shape.shape != (1,):
        raise ValueError(f"The loss {loss!r} must give [n], got {shape.shape}.")
