"""The geometry that theory predicts for a loss when regularisation vanishes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ncjax.gram import centred_gram, gram_cosines, gram_distance, gram_nc2, simplex_gram
from ncjax.hierarchy import Hierarchy
from ncjax.hierarchy.soft_labels import soft_label_limit


def simplex(hierarchy: Hierarchy) -> np.ndarray:
    """P = I - 11'/K, the Gram of a simplex ETF, [K, K]."""
    return simplex_gram(hierarchy.num_classes)


def tree_distances(hierarchy: Hierarchy, *, distance: str = "height") -> np.ndarray:
    """-P D P [K, K]: squared distances of the means proportional to tree distances.

    The limit of the unconstrained-features optimum of soft labels with a free bias, for
    any beta above 0 and any tree: Zbar -> -beta P D P.
    """
    return soft_label_limit(hierarchy.distances(distance), free_bias=True)


# Gram of the centred class means, up to scale; losses without a prediction are absent.
# All are of rank K - 1.  Where d < K - 1 they have no room, and none is predicted
# (`ncjax.training.network`): on the sphere the limit is then a softmax code, which has
# the largest margin (GNC2), but leaves open which class is where.
# A temperature changes that scale alone, as it is the same as larger weight decays.
# With fixed class vectors it is `frame_limit`, whatever the loss.
GEOMETRY: dict[str, Callable[..., np.ndarray]] = {
    "cross_entropy": simplex,
    "mse": simplex,
    # On the sphere.
    "normface": simplex,
    "ntce": simplex,
    "nonl": simplex,
    "hardmax": simplex,
    "hxe": simplex,
    "hace": simplex,
    "soft_labels": tree_distances,
}


def frame_limit(loss: str, gram: np.ndarray) -> np.ndarray:
    """Gram of the class means where the vectors of the classes do not learn [K, K].

    Means have the directions of the vectors.  Under `haframe` their lengths are not
    the same: those of cross-entropy go as 1 / (1 - s), with s the largest inner product
    of the vector of a class with another, so that all margins are alike.  In trees
    whose classes all look alike the lengths do too.

    Args:
        loss: name of the loss.
        gram: inner products of the vectors, which have length 1 [K, K].
    """
    if loss != "haframe":
        return centred_gram(gram)
    nearest = np.max(gram - 2 * np.eye(len(gram)), axis=1)
    lengths = 1 / (1 - nearest)
    return centred_gram(gram * np.outer(lengths, lengths))


def limit_values(geometry: np.ndarray, hierarchy: Hierarchy) -> dict[str, float]:
    """What metrics of the class means are in such a limit, under the keys of a run.

    Args:
        geometry: Gram matrix of the centred class means [K, K].
        hierarchy: class tree over the K classes.
    """
    heights = hierarchy.lca_heights()
    siblings = heights == heights[heights > 0].min()
    return {
        "nc/nc2": gram_nc2(geometry),
        "nc/gram_to_tree": gram_distance(geometry, tree_distances(hierarchy)),
        "tree/sibling_cosine": float(gram_cosines(geometry)[siblings].mean()),
    }
