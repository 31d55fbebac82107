"""Classifiers whose class vectors stay fixed.

With `label_embedding` and `haframe` the outputs [n, K] of the last layer are a learned
embedding e of an example.  They are measured as its features, and the fixed vectors
are their classifier, without a bias.  With `fixed` the features themselves are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.typing import Dtype

from ncjax.classifiers.assigned import EPOCHS, all_alike, assigned, check_assign
from ncjax.classifiers.classifier import LAYER, Classifier, check_project
from ncjax.classifiers.frames import describe_rows, frame_rows, orthonormal
from ncjax.classifiers.linear import LinearLayer
from ncjax.classifiers.setting import Setting
from ncjax.classifiers.vectors import frame_gram, sibling_vectors
from ncjax.hierarchy import Hierarchy
from ncjax.losses.embeddings import inverse_norm
from ncjax.losses.outputs import FixedVectors, check_tree
from ncjax.options import check_value


def label_embedding(
    num_classes: int, *, hierarchy: Hierarchy, distance: str = "height"
) -> Classifier:
    """An embedding e, whose score of class A is its cosine with a fixed vector phi_A.

    phi_A . phi_B = 1 - d(A, B), with d the distance of two classes in the tree, at most
    1.  1 - D is positive definite: it is a sum of nested blocks of ones with weights of
    at least 0, and those of the leaves are above 0.

    Args:
        num_classes: K, the number of classes.
        hierarchy: tree over the K classes.
        distance: rule of `Hierarchy.distances`, "height" or "depth".

    Raises:
        ValueError: for another rule of distance, or a tree of other classes.

    References:
        Barz & Denzler, Hierarchy-Based Image Embeddings for Semantic Image Retrieval,
        WACV 2019.  Their recursion for phi is the Cholesky factor of 1 - D; these are
        the same vectors rotated, its symmetric root, which a tree makes cheap.
    """
    check_tree(hierarchy, num_classes, "the classifier")
    gram = 1 - hierarchy.distances(distance).astype(np.float64)
    vectors = sibling_vectors(gram, hierarchy)
    return _embedding(
        vectors, lambda outputs: vectors.apply(outputs * inverse_norm(outputs))
    )


def haframe(
    num_classes: int,
    *,
    hierarchy: Hierarchy,
    frame_gamma: float = 3.0,
    distance: str = "height",
) -> Classifier:
    """An embedding e, whose score of class c is its inner product with a frame vector.

    The frame vectors w_c have length 1 and w_a . w_b = s_ab of `frame_gram`.

    Args:
        num_classes: K, the number of classes.
        hierarchy: tree over the K classes.
        frame_gamma: gamma, above 0; the larger, the nearer the frame is to a simplex
            ETF.
        distance: rule of `Hierarchy.distances`, "height" or "depth".

    Raises:
        ValueError: for options out of range, or a tree of other classes.

    References:
        Liang & Davis, Inducing Neural Collapse to a Fixed Hierarchy-Aware Frame for
        Reducing Mistake Severity, ICCV 2023.
    """
    check_tree(hierarchy, num_classes, "the classifier")
    vectors = sibling_vectors(frame_gram(hierarchy, frame_gamma, distance), hierarchy)
    return _embedding(vectors, vectors.apply)


def _embedding(
    vectors: FixedVectors, scores: Callable[[jax.Array], jax.Array]
) -> Classifier:
    """A learned linear layer into the space of the class vectors."""

    def weights(variables: Mapping) -> tuple[jax.Array, jax.Array]:
        del variables  # nothing of the classifier is learned
        rows = jnp.asarray(vectors.rows, jnp.float32)
        return rows, jnp.zeros(len(rows))

    return Classifier(
        layer=partial(LinearLayer, len(vectors.gram)),
        scores=scores,
        weights=weights,
        vectors=vectors,
        measured="outputs",
    )


def fixed(
    num_classes: int,
    *,
    hierarchy: Hierarchy | None = None,
    setting: Setting | None = None,
    target: str = "simplex",
    file: str = "",
    norm: float = 1.0,
    rotation: int = 0,
    frame_gamma: float = 3.0,
    distance: str = "height",
    assign: str = "none",
    assign_epochs: tuple[int, ...] = EPOCHS,
    project: int = 0,
) -> Classifier:
    """The features themselves, whose score of class k is w_k . h with a fixed w_k.

    No bias, and nothing to learn.  The vectors have the inner products of a target, up
    to scale, and lie in a random subspace of feature space.

    Args:
        num_classes: K, the number of classes.
        hierarchy: tree over the K classes; the target "tree" needs it, and `assign`
            "quadratic" and "worst".
        setting: the run, which knows the width of the features and keeps codes.
        target: what the vectors are: "simplex", "orthogonal", "tree" (the inner
            products of `haframe`), "code" (the widest margin in as many dimensions as
            there are features), or from a file, "vectors" [K, r] or "gram" [K, K].
        file: .npy file of the targets "vectors" and "gram".
        norm: root mean square of the lengths of the vectors.
        rotation: seed of the random subspace and of the rotation in it.
        frame_gamma: gamma of the target "tree", above 0.
        distance: rule of distance in the tree, "height" or "depth".
        assign: which class gets which vector: "none" (the order of the target),
            "quadratic" (near in the tree, near vectors), "worst" (the opposite), or
            "linear" (nearest to the class means, after the epochs `assign_epochs`).
        assign_epochs: epochs after which "linear" assigns, integers from 1 on.
        project: width of a learned linear layer between the features of the model and
            the classifier; 0 for none.  What comes out of a ReLU has no negative
            entries, which keeps it from most frames.

    Raises:
        ValueError: as `ncjax.classifiers.frames.frame_rows`, `check_assign` and
            `assigned` of `ncjax.classifiers.assigned`; and, once the width of the
            features is known, for fewer features than the vectors have dimensions.

    References:
        Zhu et al., A Geometric Analysis of Neural Collapse, NeurIPS 2021, with a
        simplex, and as many features as classes.
    """
    check_project(project)
    check_assign(assign, assign_epochs)
    check_value("rotation", rotation, lambda s: 0 <= s < 2**32, "in 0..2^32 - 1")
    setting = (setting or Setting()).behind(project)
    rows = frame_rows(
        num_classes,
        target=target,
        file=file,
        norm=norm,
        hierarchy=hierarchy,
        frame_gamma=frame_gamma,
        distance=distance,
        setting=setting,
    )
    rows, order = assigned(
        rows, assign, hierarchy=hierarchy, distance=distance, setting=setting
    )
    note = " ".join(filter(None, [describe_rows(target, rows), order]))

    def turn(width: int) -> np.ndarray:
        return orthonormal(width, rows.shape[1], rotation)

    def apply(outputs: jax.Array) -> jax.Array:
        return outputs @ jnp.asarray(vectors.at(outputs.shape[1]), outputs.dtype).T

    def weights(variables: Mapping) -> tuple[jax.Array, jax.Array]:
        frame = variables["batch_stats"][LAYER]["frame"]
        return frame, jnp.zeros(num_classes, frame.dtype)

    vectors = FixedVectors(rows, rows @ rows.T, apply, turn)
    if assign == "linear":  # the vectors are those of the network's variables
        return Classifier(
            partial(AssignedLayer, vectors.at),
            lambda logits: logits,
            weights,
            gram=vectors.gram if all_alike(vectors.gram) else None,
            project=project,
            note=note,
            assign_epochs=assign_epochs,
        )
    layer = partial(FrameLayer, vectors.at)
    return Classifier(layer, apply, weights, vectors, project=project, note=note)


class FrameLayer(nn.Module):
    """Features [n, d] as they are; the class vectors [K, d] are kept with the network.

    Attributes:
        frame: width d of the features -> class vectors [K, d].
        dtype: type of the computation, not used here.
        axis_name: not used here; other classifiers average over the devices.
    """

    frame: Callable[[int], np.ndarray]
    dtype: Dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        features: jax.Array,
        train: bool = False,
        labels: jax.Array | None = None,
    ) -> jax.Array:
        """Features [n, d] -> the same, in training and in evaluation alike."""
        rows = jnp.asarray(self.frame(features.shape[-1]), jnp.float32)
        self.variable("batch_stats", "frame", lambda: rows)
        return features


class AssignedLayer(FrameLayer):
    """Features [n, d] -> logits w_k . h, of class vectors that may change places.

    Their order [K, d] is that of the network's variables, not of the program.
    """

    @nn.compact
    def __call__(
        self,
        features: jax.Array,
        train: bool = False,
        labels: jax.Array | None = None,
    ) -> jax.Array:
        """Features [n, d] -> logits [n, K], in training and in evaluation alike."""
        rows = jnp.asarray(self.frame(features.shape[-1]), jnp.float32)
        frame = self.variable("batch_stats", "frame", lambda: rows)
        return features.astype(self.dtype) @ frame.value.astype(self.dtype).T
