"""Classifiers: how the features of a network become outputs, pluggable by name.

The last layer of every network comes from here, whatever the network.  To add one:
write a function `name(num_classes, *, <options>) -> Classifier` in a file of its own,
add a line to `CLASSIFIERS`, add a test.  `config.classifier` offers the function's
options by itself.  A function with a keyword `hierarchy` gets the class tree; one with
a keyword `setting` the width of the features, and a place to keep what takes long to
find; one with a keyword `outputs` serves losses that take other outputs than one logit
for each class (`ncjax.losses.OUTPUTS`).
"""

from __future__ import annotations

from collections.abc import Callable

from ncjax.classifiers.classifier import LAYER as LAYER, Classifier
from ncjax.classifiers.fixed import fixed, haframe, label_embedding
from ncjax.classifiers.linear import linear
from ncjax.classifiers.nearest import nearest
from ncjax.classifiers.ordinal import ordinal
from ncjax.classifiers.setting import Setting as Setting
from ncjax.classifiers.spherical import class_means, spherical

CLASSIFIERS: dict[str, Callable[..., Classifier]] = {
    "linear": linear,
    "label_embedding": label_embedding,
    "haframe": haframe,
    "fixed": fixed,
    "spherical": spherical,
    "class_means": class_means,
    "nearest": nearest,
    "ordinal": ordinal,
}

# Classifiers whose options fit one number of classes alone, so that they cannot be
# tried out before the data are known.
OF_DATA = ("ordinal",)
