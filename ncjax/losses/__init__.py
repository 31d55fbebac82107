"""Losses: pure, per example, pluggable by name.

A loss maps the network's outputs, most often logits [n, K], and integer labels [n] to
one value for each example [n]; it never reduces, so masking and averaging live in one
place (`ncjax.training.step`).  Only `haf`, `ntce`, `nonl` and `supcon` look at more
than one example of a batch.  A label outside 0..K-1 is an error or, inside `jit`, a
value of NaN.  Options are keyword arguments; `config.loss` offers every option of
every loss here by itself.  A loss with a keyword `hierarchy` gets the class tree, one
with a keyword `vectors` the fixed class vectors of the classifier, one with a keyword
`tasks` the number of classes of each task.

To add one: write the function, add a line to `LOSSES`, add a test.  A loss on class
logits works with every classifier.  If a loss takes other outputs than one logit for
each class, a line in `OUTPUTS` says what they are; if it is meant for another
classifier than the linear one, a line in `CLASSIFIER_OF` names it; if its labels are
not classes, a line in `TARGETS_OF` says what they are; if theory predicts its geometry,
a line in `GEOMETRY` has it; if one of its options can follow the run or be learned, a
line in `MOVING` says how.

What any loss can be trained with besides, such as `cpcc`, stands in
`ncjax.losses.regularisers`.
"""

from __future__ import annotations

from collections.abc import Callable

import jax

from ncjax.losses.contrastive import nonl, ntce, supcon
from ncjax.losses.cpcc import cpcc as cpcc
from ncjax.losses.embeddings import dot_regression, haframe, label_embedding
from ncjax.losses.flat import cross_entropy, hardmax, mse, normface
from ncjax.losses.hace import hace
from ncjax.losses.haf import haf
from ncjax.losses.heads import cascade, cascade_outputs, level_outputs, multi_level
from ncjax.losses.hier_cos import hier_cos, hier_cos_outputs
from ncjax.losses.hierarchical import hxe, soft_labels
from ncjax.losses.moving import Moving, hxe_alpha
from ncjax.losses.ordinal import ordinal, ordinal_outputs
from ncjax.losses.outputs import Outputs
from ncjax.losses.predicted import GEOMETRY as GEOMETRY
from ncjax.losses.regularisers import REGULARISERS as REGULARISERS
from ncjax.losses.sets import bce, pick_all_label
from ncjax.losses.tasks import sum_of_tasks as sum_of_tasks
from ncjax.losses.vectors import huber

LOSSES: dict[str, Callable[..., jax.Array]] = {
    "cross_entropy": cross_entropy,
    "mse": mse,
    "normface": normface,
    "ntce": ntce,
    "nonl": nonl,
    "hardmax": hardmax,
    "dot_regression": dot_regression,
    "supcon": supcon,
    "soft_labels": soft_labels,
    "hxe": hxe,
    "hace": hace,
    "label_embedding": label_embedding,
    "haframe": haframe,
    "multi_level": multi_level,
    "haf": haf,
    "cascade": cascade,
    "hier_cos": hier_cos,
    "ordinal": ordinal,
    "huber": huber,
    "pick_all_label": pick_all_label,
    "bce": bce,
    "sum_of_tasks": sum_of_tasks,
}

# Losses that take other outputs than class logits: a function of the hierarchy or of
# the number of classes, and of options of its own -> `Outputs`.
OUTPUTS: dict[str, Callable[..., Outputs]] = {
    "multi_level": level_outputs,
    "haf": level_outputs,
    "cascade": cascade_outputs,
    "hier_cos": hier_cos_outputs,
    "ordinal": ordinal_outputs,
}

# Losses with an option that can follow the run or be learned: a function of the
# hierarchy and of options of the loss and of its own -> `Moving`, or None.
MOVING: dict[str, Callable[..., Moving | None]] = {"hxe": hxe_alpha}

# The classifier that `config.classifier.name = "auto"` means, where not "linear".
CLASSIFIER_OF: dict[str, str] = {
    "label_embedding": "label_embedding",
    "haframe": "haframe",
    "normface": "spherical",
    "ntce": "spherical",
    "nonl": "spherical",
    "hardmax": "spherical",
    "dot_regression": "fixed",
    "supcon": "fixed",
    "ordinal": "ordinal",
}

# The targets that a loss can be trained on, where not the class alone; names in
# `ncjax.targets.TARGETS`.
TARGETS_OF: dict[str, tuple[str, ...]] = {
    "mse": ("class", "vector"),
    "huber": ("vector",),
    "pick_all_label": ("set",),
    "bce": ("set",),
    "ordinal": ("ordinal",),
    "sum_of_tasks": ("tasks",),
}


def targets_of(loss: str) -> tuple[str, ...]:
    """Names of the targets that a loss can be trained on, its own first."""
    return TARGETS_OF.get(loss, ("class",))


def losses_for(target: str) -> list[str]:
    """Names of the losses that can be trained on a target."""
    return [name for name in LOSSES if target in targets_of(name)]
