"""Optima of the losses whose classifier, vectors of the tree, does not learn.

Only the outputs e_k [M] of each class are free, and the classes do not see each other:

    f(E) = sum_k omega_k (l_k(e_k) + (lambda/2) |e_k|^2),   lambda = lH N = K c,

with N samples in all and c = n lH; class sizes do not matter.  No loss here is convex,
yet every optimum is proven:

    `label_embedding`  in closed form
    `haframe`          by a quadratic on the sphere of directions
    `hier_cos`         by a convex function of the coordinates on the path
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.hierarchy import Hierarchy
from ncjax.losses import LOSSES
from ncjax.losses.hier_cos import hier_cos_outputs, path_targets
from ncjax.losses.outputs import FixedVectors
from ncjax.options import fill, options_of, unknown
from ncjax.ufm.model import number
from ncjax.ufm.newton import minimise
from ncjax.ufm.precision import double


class FrameOptimum(NamedTuple):
    """Outputs of the classes at a global optimum; K classes, M outputs."""

    outputs: np.ndarray  # e [K, M]
    vectors: np.ndarray  # what classifies them [K, M]
    losses: np.ndarray  # l_k(e_k) [K], without the penalty
    objective: float  # f for classes of one size
    gap: float  # f - a bound of min f from below; nan where it is a closed form


def frame_optimum(
    loss: str, *, hierarchy: Hierarchy, c: Any, **options: Any
) -> FrameOptimum | None:
    """The global optimum of a loss whose class vectors do not learn.

    Args:
        loss: a name in `FRAMES`.
        hierarchy: tree over the K classes.
        c: n lH > 0, weight decay of the outputs times the samples of a class.
        **options: options of the loss, and of the classifier of its name if it has one.

    Returns:
        The optimum; None where all coordinates of some class would be 0.

    Raises:
        ValueError: for an unknown loss or option, or one out of range.

    Example:
        >>> import ncjax
        >>> tree = ncjax.hierarchy.balanced(2, 2)
        >>> found = ncjax.ufm.frame_optimum("haframe", hierarchy=tree, c=1e-2)
        >>> found.outputs.shape, bool(found.gap < 1e-9)
        ((4, 4), True)
    """
    if loss not in FRAMES:
        raise ValueError(unknown("loss of fixed vectors", loss, FRAMES))
    from ncjax.classifiers import CLASSIFIERS  # late: it loads Flax

    functions = [f[loss] for f in (LOSSES, CLASSIFIERS) if loss in f]
    known = {name: x for f in functions for name, x in options_of(f).items()}
    if strange := [name for name in options if name not in known]:
        raise ValueError(
            f"The loss {loss!r} has no option {strange[0]!r}. "
            f"Available: {', '.join(known) or 'none'}."
        )
    decay = hierarchy.num_classes * float(number("c", c, positive=True))
    return FRAMES[loss](hierarchy, decay, known | options)


@functools.cache
def class_vectors(loss: str, hierarchy: Hierarchy, **options: Any) -> FixedVectors:
    """The vectors of the classifier of a loss, which has the same name.

    Args:
        loss: a name in `FRAMES` that is one of `ncjax.classifiers.CLASSIFIERS` too.
        hierarchy: tree over the K classes.
        **options: options of the classifier; others are left out.
    """
    from ncjax.classifiers import CLASSIFIERS  # late: it loads Flax

    make = CLASSIFIERS[loss]
    made = fill(make, options_of(make) | options, hierarchy=hierarchy)
    vectors = made(hierarchy.num_classes).vectors
    assert vectors is not None, "the classifiers of these losses are fixed"
    return vectors


def label_embedding(
    tree: Hierarchy, decay: float, options: dict[str, Any]
) -> FrameOptimum:
    """Each e_k along its own vector: 1 - cos is 0 there, its least value.

    The length of e_k does not matter to the loss, so that f has an infimum of 0, for
    e_k -> 0, and no minimum; the outputs here have length 1.
    """
    del decay  # its cost is as small as one likes
    rows = class_vectors("label_embedding", tree, **options).rows
    return FrameOptimum(rows, rows, np.zeros(len(rows)), 0.0, np.nan)


@double
def haframe(
    tree: Hierarchy, decay: float, options: dict[str, Any]
) -> FrameOptimum | None:
    """Newton's method from the vectors themselves, and a bound that proves it.

    Let e = r u with |u| = 1.  Cross-entropy is convex in e, so at least its tangent at
    a point, of gradient g; the matching is a quadratic q(u).  The least of the tangent
    and the penalty over r >= 0 is at least -(g.u)^2 / (2 lambda): what is left is a
    quadratic on the sphere,

        min_{|u| = 1} w q(u) - (g.u)^2 / (2 lambda)  >=  -b'(Q + mu)^-1 b - mu + const,

    for every mu that makes Q + mu positive definite, with equality at the optimum for
    its own mu.  The point e = 0 is compared by itself.
    """
    vectors = class_vectors("haframe", tree, **options)
    found = _haframe(vectors, decay, float(options["cosine_weight"]))
    outputs, losses, gaps = map(np.asarray, found)
    if np.abs(outputs).max() < 1e-6:
        return None
    return _optimum(outputs, vectors.rows, losses, decay, gaps)


@functools.partial(jax.jit, static_argnums=0)
def _haframe(vectors, decay, weight):
    """Outputs [K, K], losses [K] and gaps [K] of all classes."""
    rows, gram = jnp.asarray(vectors.rows), jnp.asarray(vectors.gram)

    def loss(e, label):
        e, labels = e[None], label[None]
        return LOSSES["haframe"](e, labels, vectors=vectors, cosine_weight=weight)[0]

    def of_class(label):
        found = minimise(
            lambda e: loss(e, label) + decay / 2 * e @ e, 3 * rows[label], 1e-13, 200
        )
        bound = _haframe_bound(found.point, label, rows, gram, decay, weight)
        return found.point, loss(found.point, label), found.value - bound

    return jax.lax.map(of_class, jnp.arange(len(rows)))


def _haframe_bound(e, label, rows, gram, decay, weight):
    """The bound of `haframe` on l(e) + (lambda/2) |e|^2 of one class []."""
    logits = rows @ e
    g = rows.T @ (jax.nn.softmax(logits) - jax.nn.one_hot(label, len(rows)))
    tangent = jax.nn.logsumexp(logits) - logits[label] - g @ e
    row = gram[label]
    quadratic = weight * rows.T @ rows - jnp.outer(g, g) / (2 * decay)
    b = weight * rows.T @ row
    u = e / jnp.linalg.norm(e)
    values, basis = jnp.linalg.eigh(quadratic)
    # The multiplier of the point, if the matrix is positive definite with it.
    least = 1e-13 * (1 + jnp.abs(values).max()) - values[0]
    mu = jnp.maximum(u @ b - u @ quadratic @ u, least)
    on_sphere = -jnp.sum((basis.T @ b) ** 2 / (values + mu)) - mu
    square = weight * row @ row
    at_zero = jnp.log(len(rows)) + square
    return jnp.minimum(tangent + square + on_sphere, at_zero)


@double
def hier_cos(
    tree: Hierarchy, decay: float, options: dict[str, Any]
) -> FrameOptimum | None:
    """Coordinates on the path of each class alone, by Newton's method.

    Coordinates off the path raise every term.  Without them R_a = 0, and with x = |e|
    on the path of L nodes there is left

        log(sum_l e^(x_l) + M - L) - <t, x> + (lambda/2) |x|^2 + sum_l t_l log t_l,

    strictly convex.  The signs of e do not matter to the loss; those here are positive.
    """
    del options  # level_weight: its term is 0 at the optimum
    targets, entropies = path_targets(tree)
    outputs, values, gaps = map(np.asarray, _on_paths(jnp.asarray(targets), decay))
    if outputs[targets > 0].min() <= 1e-6:
        return None  # not attained: R_a jumps where a whole depth is 0
    losses = values - entropies - decay / 2 * np.sum(outputs**2, axis=1)
    vectors = hier_cos_outputs(tree).readout
    assert vectors is not None, "its outputs are not the classes"
    return _optimum(outputs, vectors, losses, decay, gaps)


@jax.jit
def _on_paths(targets, decay):
    """Coordinates [K, M], values [K] and gaps [K] of all classes."""

    def of_class(target):
        inside = target > 0

        def value(x):
            x = jnp.where(inside, x, 0)
            return jax.nn.logsumexp(x) - target @ x + decay / 2 * x @ x

        found = minimise(value, jnp.where(inside, 1.0, 0.0), 1e-13, 200)
        # A function of curvature lambda lies at most |grad|^2 / (2 lambda) lower.
        gap = found.gradient_norm**2 / (2 * decay)
        return jnp.where(inside, found.point, 0), found.value, gap

    return jax.lax.map(of_class, targets)


def _optimum(outputs, vectors, losses, decay, gaps) -> FrameOptimum:
    value = losses + decay / 2 * np.sum(outputs**2, axis=1)
    gap = max(float(np.max(gaps)), 0.0)
    return FrameOptimum(outputs, vectors, losses, float(value.mean()), gap)


# (tree, lambda, all options) -> the optimum, or None; the losses of `tables.FIXED`.
FRAMES: dict[str, Callable[..., FrameOptimum | None]] = {
    "label_embedding": label_embedding,
    "haframe": haframe,
    "hier_cos": hier_cos,
}
