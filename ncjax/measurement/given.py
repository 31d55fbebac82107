"""What a recorder is given, checked, and as it is kept or stored."""

from __future__ import annotations

import hashlib
import json
import operator
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ncjax.config.fields import SECTIONS
from ncjax.config.stored import ABOUT, RECORDER
from ncjax.hierarchy import Hierarchy, to_newick
from ncjax.io import plain
from ncjax.measurement.checks import decide, refuse_rows
from ncjax.measurement.epoch import Kept
from ncjax.measurement.pooling import floats
from ncjax.measurement.sources import MeasureError, to_numpy


def logits_of(logits: Any, kept: Kept, rows: int) -> np.ndarray:
    """Logits [n, K] of so many rows in float32.

    Args:
        logits: logits of any framework.
        kept: the examples to which they will be added.
        rows: number of rows n.

    Raises:
        MeasureError: for another shape, or a largest logit that is not finite.
    """
    found, needed = floats(to_numpy(logits), "logits"), (rows, kept.num_classes)
    if found.shape != needed:
        raise MeasureError(
            f"logits have shape {found.shape}; [n, K] = {needed} is needed. The one "
            "output z of a binary network stands for the logits [-z/2, z/2]."
        )
    found = found.astype(np.float32)
    wrong = kept.seen + np.flatnonzero(~decide(found)[1])
    refuse_rows(wrong, kept.seen + rows, kept.name.replace("features", "logits"))
    return found


def classes_of(
    num_classes: int, class_names: Sequence[str] | None, hierarchy: Hierarchy | None
) -> tuple[tuple[str, ...] | None, Hierarchy | None]:
    """The names of the K classes, if they have some, and the tree over them.

    Raises:
        MeasureError: if they are not K.
    """
    names = None if class_names is None else tuple(map(str, class_names))
    if names is not None and len(names) != num_classes:
        raise MeasureError(
            f"There are {len(names)} class names for num_classes = {num_classes}."
        )
    if hierarchy is None:
        return names, None
    tree = hierarchy if names is None else hierarchy.restrict(names)
    if tree.num_classes != num_classes:
        raise MeasureError(
            f"The class tree has {tree.num_classes} classes, but num_classes is "
            f"{num_classes}."
        )
    return names or tree.class_names, tree


def digest(tree: Hierarchy) -> str:
    """What tells a tree with its order of classes from others."""
    text = "\n".join([to_newick(tree), *tree.class_names])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def stored_config(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """A user's config as JSON has it; a name alone stands for its section."""
    given = dict(config or {})
    for name in (ABOUT, RECORDER):
        if name in given:
            raise MeasureError(
                f"The field {name!r} of config is the recorder's: choose another name."
            )
    for name in ("seed", "num_epochs"):  # `compare` counts with them
        if name in given:
            given[name] = integer(given[name], f"config[{name!r}]", 0)
    for section in SECTIONS.keys() & given.keys():
        if not isinstance(given[section], Mapping):
            given[section] = {"name": given[section]}
    try:
        return json.loads(json.dumps(plain(given), default=os.fspath))
    except (TypeError, ValueError) as error:
        raise MeasureError(
            "config cannot be stored as JSON: it may hold numbers, text, paths, lists "
            f"and dicts of these, but {error}."
        ) from error


def integer(value: Any, name: str, least: int) -> int:
    """A whole number of at least `least`."""
    try:
        number = operator.index(value)
    except TypeError as error:
        raise MeasureError(
            f"{name} is {value!r}; an integer of {least} or more is needed."
        ) from error
    if number < least:
        hint = (
            " The first epoch is 1: of a loop over range(n), record epoch + 1."
            if name == "epoch"
            else ""
        )
        raise MeasureError(f"{name} must be at least {least}, got {number}.{hint}")
    return number


def losses_of(loss: Any, rows: int) -> np.ndarray:
    """The loss of each example [n] in float32."""
    found = floats(to_numpy(loss), "loss").astype(np.float32)
    if found.shape not in ((), (rows,)):
        raise MeasureError(
            f"loss has shape {found.shape}; that of each example, ({rows},), or their "
            "mean is needed."
        )
    return np.broadcast_to(found, (rows,))


def check_test(train: Kept, test: Kept) -> None:
    """Refuses a test set with a class that the training set lacks."""
    if alone := sorted(test.classes() - train.classes()):
        raise MeasureError(
            f"Class {alone[0]} is in the {test.name}, but not in the {train.name}: it "
            "has no training mean to be measured against. Add train features of it, or "
            "leave it out."
        )
