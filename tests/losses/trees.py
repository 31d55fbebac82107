"""Trees and outputs that the tests of losses and classifiers share."""

import numpy as np

from ncjax.hierarchy import BUILTIN, Hierarchy

CIFAR = BUILTIN["cifar10"]()
# A leaf under the root, leaves of three depths, and a chain of single children.
UNEVEN = Hierarchy(
    ["root", "x", "y", "chain", "link", *"abcdef"],
    [-1, 0, 1, 0, 3, 0, 1, 2, 2, 4, 1],
)
TREES = {"cifar10": CIFAR, "uneven": UNEVEN}


def draw(tree, n=40, scale=3.0):
    rng = np.random.default_rng(0)
    logits = scale * rng.normal(size=(n, tree.num_classes))
    return logits, rng.integers(0, tree.num_classes, n).astype(np.int32)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
