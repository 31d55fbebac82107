"""Regularisers of a configuration: their weights, checked, and what they add."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import jax
from ml_collections import ConfigDict

from ncjax.config.fields import Choice, Hyper
from ncjax.hierarchy import BUILTIN, Hierarchy
from ncjax.losses import REGULARISERS
from ncjax.losses.regularisers import Batch
from ncjax.options import ConfigError, check_value, is_traced, takes

Penalty = Callable[[Batch], jax.Array]  # batch -> []


def regularised(loss: Choice) -> list[str]:
    """Names of the regularisers that a loss is trained with."""
    return [name for name in REGULARISERS if loss.values.get(name)]


def of_tree(name: str) -> bool:
    """Whether a regulariser needs a class tree."""
    return takes(REGULARISERS[name].value, "hierarchy")


def check_weights(config: ConfigDict) -> None:
    """Raises `ValueError` for weights out of range, or too small batches for them."""
    for name, regulariser in REGULARISERS.items():
        weight = config.loss[name]
        _check_weight(name, weight)
        if weight and config.batch_size < regulariser.least_batch:
            raise ConfigError(
                f"config.loss.{name} = {weight} {regulariser.why}, and "
                f"config.batch_size = {config.batch_size} holds fewer. Take larger "
                f"batches, or leave config.loss.{name} at 0."
            )


def bind_regularisers(
    loss: Choice, hierarchy: Hierarchy | None
) -> Callable[[Hyper], Penalty | None]:
    """What regularisers add to the mean loss; `ConfigError` where a tree is missing."""

    def term(name: str, weight: Any) -> Penalty:
        given = {}
        if of_tree(name):
            if hierarchy is None:
                raise no_tree(f"loss.{name} = {weight}")
            REGULARISERS[name].check(hierarchy)
            given["hierarchy"] = hierarchy
        return lambda batch: weight * REGULARISERS[name].value(batch, **given)

    def bound(hyper: Hyper) -> Penalty | None:
        terms = []
        for name in REGULARISERS:
            weight = hyper.get(f"loss.{name}", loss.values.get(name, 0.0))
            _check_weight(name, weight)
            if is_traced(weight) or weight != 0:  # else the program of the loss alone
                terms.append(term(name, weight))
        if not terms:
            return None
        return lambda batch: functools.reduce(operator.add, (f(batch) for f in terms))

    return bound


def _check_weight(name: str, weight: Any) -> None:
    must_be = "at least 0 and finite"
    check_value(f"loss.{name}", weight, lambda w: 0 <= w < math.inf, must_be)


def no_tree(field: str) -> ConfigError:
    """The error of a field that needs a class tree, where there is none."""
    return ConfigError(
        f"config.{field} needs a class tree, and the data set that config.data.name "
        "chooses brings none. Set config.hierarchy.name to one of "
        f"{', '.join(BUILTIN)}, or config.hierarchy.file to a tree of yours."
    )
