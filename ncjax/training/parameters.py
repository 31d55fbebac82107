"""How many parameters a network has, and how many its classifier saves."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from ncjax.classifiers import LAYER
from ncjax.config.fields import Choice
from ncjax.training.network import Network


def saved_parameters(network: Network) -> tuple[int, int] | None:
    """Numbers of parameters of a network, and with a classifier that learns.

    The second is that of the same model with a linear classifier, and at its usual
    width if it was made narrower.

    Args:
        network: the network.

    Returns:
        None if the classifier learns something.
    """
    params = network.abstract().params
    if LAYER in params:
        return None
    model = network.chosen
    values = {**model.values, **({"feature_dim": 0} if _can_narrow(model) else {})}
    usual = dataclasses.replace(model, values=values).bind()
    images = jnp.zeros((1, *network.dataset.image_shape))
    init = partial(usual(network.dataset.num_classes).init, images=images, train=False)
    found = jax.eval_shape(init, jax.random.key(0))
    return _number(params), _number(found["params"])


def _can_narrow(model: Choice) -> bool:
    return "feature_dim" in model.values and model.takes("feature_dim")


def _number(params: Any) -> int:
    return sum(x.size for x in jax.tree.leaves(params))
