"""Whether a configuration fits what the examples of a data set are labelled with."""

from __future__ import annotations

from ml_collections import ConfigDict

from ncjax.config.fields import Choice, default
from ncjax.data import Dataset
from ncjax.losses import losses_for, targets_of
from ncjax.options import ConfigError
from ncjax.targets import get_target
from ncjax.targets.target import Target

# Fields of `config.eval` that ask for something of classes.
_OF_CLASSES = ("scatter", "crm", "order", "specific", "confusion", "movie", "probes")


def check_target(loss: Choice, dataset: Dataset) -> None:
    """Raises `ConfigError` unless the loss is one for the target of the examples."""
    able = losses_for(dataset.target)
    if loss.name not in able:
        levels = dataset.target == "class" and "ordinal" in targets_of(loss.name)
        hint = " Classes are levels with config.data.target = 'ordinal'." * levels
        raise ConfigError(
            f"config.loss.name = {loss.name!r} is a loss for the target "
            f"{' or '.join(map(repr, targets_of(loss.name)))}, but the "
            f"examples of the data set {dataset.name} are labelled with the target "
            f"{dataset.target!r}. Losses for it: {', '.join(able) or 'none'}.{hint}"
        )


def check_classifier(target: Target, name: str) -> None:
    """Raises `ValueError` unless a classifier can be trained on a target."""
    allowed = target.classifiers
    if allowed is not None and name not in allowed:
        raise ValueError(
            f"The classifier {name!r} has outputs of another kind than these labels "
            f"need. Choose {' or '.join(map(repr, allowed))}."
        )


def check_asked(config: ConfigDict, dataset: Dataset) -> None:
    """Raises `ConfigError` for measurements of classes, where there are none."""
    if get_target(dataset.target, dataset.tasks).ranks:
        return
    tree = config.hierarchy
    for field, usual in (("name", ("dataset", "none")), ("file", ("",))):
        if tree[field] not in usual:
            raise ConfigError(
                f"config.hierarchy.{field} = {tree[field]!r} is a tree over classes, "
                f"and the examples of the data set {dataset.name} are labelled with "
                f"the target {dataset.target!r}. Leave it at {usual[0]!r}."
            )
    usual = default().eval
    for field in _OF_CLASSES:
        if config.eval[field] != usual[field]:
            raise ConfigError(
                f"config.eval.{field} = {config.eval[field]!r} measures classes, and "
                f"the examples of the data set {dataset.name} are labelled with the "
                f"target {dataset.target!r}. Leave it at {usual[field]!r}."
            )
