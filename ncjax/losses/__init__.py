"""Losses: pure, per example, pluggable by name.

A loss maps the network's outputs, most often logits [n, K], and integer labels [n] to
one value for each example [n]; it never reduces, so masking and averaging live in one
place (`ncjax.training.step`).  Options are keyword arguments; `config.loss` offers
every option of every loss here by itself.  A loss with a keyword `hierarchy` gets the
class tree.

To add one: write the function, add a line to `LOSSES`, add a test.  If its outputs are
not one logit for each class, a line in `OUTPUTS` says what they are; if theory predicts
its geometry, a line in `GEOMETRY` has it.
"""

from __future__ import annotations

from collections.abc import Callable

import jax

from ncjax.losses.embeddings import (
    cosine_outputs,
    frame_outputs,
    haframe,
    label_embedding,
)
from ncjax.losses.flat import cross_entropy, mse
from ncjax.losses.heads import cascade, cascade_outputs, level_outputs, multi_level
from ncjax.losses.hierarchical import hxe, soft_labels
from ncjax.losses.outputs import Outputs, class_logits
from ncjax.losses.predicted import GEOMETRY

LOSSES: dict[str, Callable[..., jax.Array]] = {
    "cross_entropy": cross_entropy,
    "mse": mse,
    "soft_labels": soft_labels,
    "hxe": hxe,
    "label_embedding": label_embedding,
    "haframe": haframe,
    "multi_level": multi_level,
    "cascade": cascade,
}

# Losses whose outputs are not class logits: hierarchy, options -> `Outputs`.
OUTPUTS: dict[str, Callable[..., Outputs]] = {
    "label_embedding": cosine_outputs,
    "haframe": frame_outputs,
    "multi_level": level_outputs,
    "cascade": cascade_outputs,
}

__all__ = [
    "GEOMETRY",
    "LOSSES",
    "OUTPUTS",
    "Outputs",
    "cascade",
    "class_logits",
    "cross_entropy",
    "haframe",
    "hxe",
    "label_embedding",
    "mse",
    "multi_level",
    "soft_labels",
]
