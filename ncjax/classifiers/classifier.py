"""How features become outputs: the last layer, and what its outputs mean."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal

import jax
import numpy as np
from flax import linen as nn

from ncjax.losses.outputs import FixedVectors
from ncjax.options import check_value

LAYER = "classifier"  # the name of the last layer in every network's variables


def check_project(project: int) -> None:
    """Raises `ValueError` for a width of the projection that is none."""
    check_value("project", project, lambda d: 0 <= d <= 10**6, "in 0..10^6")


@dataclasses.dataclass(frozen=True, eq=False)
class Classifier:
    """The last layer of a network, as the network, the loss and the metrics see it.

    Attributes:
        layer: makes the last layer, `layer(dtype=..., axis_name=..., name=...)`, a
            Linen module that the network calls as `module(features [n, d], train=...,
            labels=...)` and that returns the outputs [n, M].  `labels` [n] are those of
            a training step, None elsewhere; a layer that keeps means of the classes
            keeps them in the collection "batch_stats", averages them over the devices
            of `axis_name`, if there is one, and changes them only where `train` is
            True and labels are given.
        scores: outputs [n, M] -> scores [n, K], logits of the classes.  The largest is
            the decision, and their softmax the probability of each class.
        weights: variables of the network, {"params": ..., "batch_stats": ...}, -> W
            [K, d] and b [K], the linear classifier of the measured features, as the
            metrics of collapse take it.
        vectors: the fixed vectors of the classes; None where the classifier learns.
        measured: which features are measured: "features", those that enter the last
            layer; "directions", the same divided by their lengths, where these do not
            count; or "outputs", those that leave it, where the outputs are an
            embedding that fixed vectors classify.
        gram: inner products of the class vectors [K, K], where they are given though
            the vectors move; None elsewhere.
        project: width of a learned linear layer, with a bias and nothing behind it,
            that makes the features of those of the model; 0 for none.
        note: a sentence about its vectors, for people; "" for none.
        assign_epochs: epochs after which the rows of "frame" in its variables change
            places (`ncjax.classifiers.assigned.reassigned`); () for never.
    """

    layer: Callable[..., nn.Module]
    scores: Callable[[jax.Array], jax.Array]
    weights: Callable[[Mapping], tuple[jax.Array, jax.Array]]
    vectors: FixedVectors | None = None
    measured: Literal["features", "directions", "outputs"] = "features"
    gram: np.ndarray | None = None
    project: int = 0
    note: str = ""
    assign_epochs: tuple[int, ...] = ()
