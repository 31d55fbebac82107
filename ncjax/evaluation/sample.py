"""A fixed sample of the training set as the class means see it: a frame of a movie.

Which plane a movie shows is decided when it is made.  A frame therefore keeps the
features in the basis of their class means, in at most as many numbers as there are
classes, out of which every view follows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.collapse.means import right_singular
from ncjax.hierarchy import Hierarchy
from ncjax.moments import ClassMoments

MOST_CLASSES, MOST_EXAMPLES = 20, 300
KEY = "frame/"  # under which the arrays of a frame stand among the metrics


@dataclasses.dataclass(frozen=True)
class Sample:
    """The examples that are watched.

    Attributes:
        classes: labels of the C classes that are watched [C]; in the order of the tree,
            if there is one.
        rows: places of the examples in the training set [n].
        place: place of each example's class in `classes` [n].
    """

    classes: np.ndarray
    rows: np.ndarray
    place: np.ndarray


def choose_sample(labels: Any, num_classes: int, tree: Hierarchy | None) -> Sample:
    """The first examples of each class: 300 in all, of at most 20 classes.

    Of more classes some at equal distances are watched.  The choice depends on nothing
    but the labels, so that a run that goes on watches the same examples.

    Args:
        labels: class of each example of the training set [N], in 0..K-1.
        num_classes: number of classes K.
        tree: a class tree, in whose order the classes stand; None: order of the labels.
    """
    labels = np.asarray(labels)
    order = np.arange(num_classes)
    if tree is not None:
        order = np.lexsort(tree.lineage[::-1])
    count = min(num_classes, MOST_CLASSES)
    at = np.linspace(0, num_classes - 1, count).round().astype(int)
    classes, most = order[at], MOST_EXAMPLES // count
    each = [np.flatnonzero(labels == label)[:most] for label in classes]
    place = np.repeat(np.arange(count), [len(rows) for rows in each])
    return Sample(classes, np.concatenate(each), place)


def make_frame(
    sample: Sample,
    images: jax.Array | np.ndarray,
    features: Callable[[Any, jax.Array], jax.Array],
    classifier: Callable[[Any], tuple[Any, Any]],
) -> Callable[[Any, ClassMoments], dict[str, jax.Array]]:
    """The function that makes a frame of a network.

    Args:
        sample: the examples that are watched.
        images: raw images of these examples [n, h, w, c].
        features: (variables, raw images) -> features [n, d].
        classifier: variables -> weights W [K, d] and bias b [K] of the last layer.

    Returns:
        (variables, moments of the whole training set) -> `frame_of` of the features.
    """

    def frame(variables: Any, moments: ClassMoments) -> dict[str, jax.Array]:
        found = features(variables, jnp.asarray(images)).astype(jnp.float32)
        weights, _ = classifier(variables)
        about = (moments.means, found, jnp.asarray(weights, jnp.float32))
        return frame_of(*about, sample.classes, sample.place)

    return frame


def frame_of(
    class_means: jax.Array,
    features: jax.Array,
    weights: jax.Array,
    classes: np.ndarray,
    place: np.ndarray,
) -> dict[str, jax.Array]:
    """Means, features and classifier in an orthonormal basis of the watched means.

    The basis has r = min(C, d) directions, the right singular vectors of the class
    means minus the global mean.  For two classes, whose means span a line, the second
    direction is that in which the features of the sample spread most beside it.

    Args:
        class_means: means of all K classes [K, d].
        features: features of the sample [n, d].
        weights: weights W of the last layer [K, d].
        classes: labels of the watched classes [C].
        place: place of each example's class in `classes` [n].

    Returns:
        `means` [C, r], minus the mean of all class means; `deviations` [n, r] of the
        features from the mean of their class; `weights` [C, r], minus the mean of all
        rows of W; and `weight_norm` [], the root of the mean squared norm of these rows
        with the part outside of the basis.
    """
    means = class_means[classes] - class_means.mean(0)
    deviations = features - class_means[classes][place]
    rank = min(means.shape)
    basis = right_singular(means)[1][:rank]
    if len(class_means) == 2 and rank == 2:
        beside = deviations - (deviations @ basis[0])[:, None] * basis[0]
        basis = jnp.stack([basis[0], right_singular(beside)[1][0]])
    rows = weights[classes] - weights.mean(0)
    return {
        "means": means @ basis.T,
        "deviations": deviations @ basis.T,
        "weights": rows @ basis.T,
        "weight_norm": jnp.sqrt((rows**2).sum(1).mean()),
    }


def part_frame(found: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metrics without the frame, and the arrays of the frame; {} without one."""
    frame = {k.removeprefix(KEY): x for k, x in found.items() if k.startswith(KEY)}
    return {k: x for k, x in found.items() if not k.startswith(KEY)}, frame
