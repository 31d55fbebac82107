"""The frame nearest to the class means, in closed form: a classifier that follows them.

Of all frames with a given Gram matrix G = R R', R [K, r], those are W = R V' with
orthonormal columns V [d, r].  The one nearest to means M [K, d] is that of the polar
factor of M'R, which one r x r eigendecomposition gives, r <= K.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.typing import Dtype
from jaxtyping import Array, Float

from ncjax.blocks import class_sum, dot
from ncjax.classifiers.classifier import LAYER, Classifier, check_project
from ncjax.classifiers.frames import describe_rows, frame_rows
from ncjax.classifiers.setting import Setting
from ncjax.classifiers.spherical import check_momentum, temperature_of, unit_rows
from ncjax.hierarchy import Hierarchy
from ncjax.options import check_value


def nearest(
    num_classes: int,
    *,
    hierarchy: Hierarchy | None = None,
    setting: Setting | None = None,
    target: str = "simplex",
    file: str = "",
    norm: float = 1.0,
    frame_gamma: float = 3.0,
    distance: str = "height",
    temperature: float = 0.1,
    scale: float = 0.0,
    momentum: float = 0.9,
    proximal: float = 1e-3,
    differentiable: bool = True,
    project: int = 0,
) -> Classifier:
    """Logits w_k . h/(|h| tau), W the frame of a target that is nearest to the means.

    In each step the running means of the directions h/|h| of the classes, centred,
    M [K, d], take in the batch, and with G = R R' the Gram matrix of the target

        V = argmin |M/|M| - R V'/|R||^2 + (proximal/2) |V - V_before|^2, W = R V',

    over V [d, r] with orthonormal columns: the polar factor of
    2 M'R/(|M| |R|) + proximal V_before.

    Args:
        num_classes: K, the number of classes.
        hierarchy: tree over the K classes; only the target "tree" needs it.
        setting: the run, which knows the width of the features and keeps codes.
        target: the Gram matrix; see `fixed`.
        file: .npy file of the targets "vectors" and "gram".
        norm: root mean square of the lengths of the vectors.
        frame_gamma: gamma of the target "tree", above 0.
        distance: rule of distance of the target "tree", "height" or "depth".
        temperature: tau, positive and finite.
        scale: s = 1/tau; see `spherical`.  Markou et al. have s = 5.
        momentum: m in [0, 1), what the running means keep in a step.
        proximal: weight of the distance from the frame before, at least 0.
        differentiable: the gradient passes through the polar factor into the features
            of the batch; else W is a constant of the step.
        project: width of a linear layer before it; see `spherical`.

    Raises:
        ValueError: as `ncjax.classifiers.frames.frame_rows`; for options out of range;
            and, once the width of the features is known, for fewer features than the
            frame has dimensions.

    References:
        Markou, Ajanthan & Gould, Guiding Neural Collapse, NeurIPS 2024, who find the
        frame of a simplex by iterations on a manifold, and differentiate the optimum
        implicitly.  Their frames have a direction along the sum of all rows too, which
        no logit sees.
    """
    tau = temperature_of(temperature, scale)
    check_momentum(momentum)
    check_project(project)
    least = lambda x: 0 <= x < math.inf  # noqa: E731
    check_value("proximal", proximal, least, "at least 0 and finite")
    rows = frame_rows(
        num_classes,
        target=target,
        file=file,
        norm=norm,
        hierarchy=hierarchy,
        frame_gamma=frame_gamma,
        distance=distance,
        setting=(setting or Setting()).behind(project),
    )

    def weights(variables: Mapping) -> tuple[jax.Array, jax.Array]:
        turn = variables["batch_stats"][LAYER]["turn"]
        found = dot(jnp.asarray(rows, turn.dtype), turn.T) / tau
        return found, jnp.zeros(num_classes, found.dtype)

    layer = partial(NearestLayer, Frame(rows), tau, momentum, proximal, differentiable)
    return Classifier(
        layer,
        lambda logits: logits,
        weights,
        measured="directions",
        gram=rows @ rows.T,
        project=project,
        note=describe_rows(target, rows),
    )


class Frame:
    """Rows R [K, r] as an attribute of a module, which must be hashable."""

    def __init__(self, rows: np.ndarray):
        """Keeps the rows."""
        self.rows = rows


class NearestLayer(nn.Module):
    """Features [n, d] -> products of their directions and the nearest frame.

    Attributes:
        frame: the rows R [K, r] of the target.
        temperature: tau.
        momentum: what the running means keep in a step.
        proximal: weight of the distance from the frame before.
        differentiable: whether the gradient passes through the frame.
        dtype: type of the products; all else is float32.
        axis_name: name of the mapped axis over whose devices batches are summed.
    """

    frame: Frame
    temperature: float
    momentum: float
    proximal: float
    differentiable: bool
    dtype: Dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        features: jax.Array,
        train: bool = False,
        labels: jax.Array | None = None,
    ) -> jax.Array:
        """Features [n, d] -> logits [n, K], of the frame after it has moved."""
        rows = jnp.asarray(self.frame.rows, jnp.float32)
        (number, rank), width = rows.shape, features.shape[-1]
        if rank > width:
            raise ValueError(
                f"The frame has {rank} dimensions, and the features have {width}. "
                "Choose a wider network, or a target of lower rank."
            )

        def start() -> jax.Array:
            draw = jax.random.normal(self.make_rng("params"), (width, rank))
            return jnp.linalg.qr(draw)[0]

        turn = self.variable("batch_stats", "turn", start)
        means = self.variable("batch_stats", "means", jnp.zeros, (number, width))
        units, now = unit_rows(features.astype(jnp.float32)), turn.value
        if train and labels is not None:
            moved = self._moved(means.value, units, labels)
            now = nearest_turn(moved, rows, now, self.proximal)
            means.value, turn.value = jax.lax.stop_gradient((moved, now))
            if not self.differentiable:
                now = turn.value
        vectors = dot(rows, now.T).astype(self.dtype)
        return units.astype(self.dtype) @ vectors.T / self.temperature

    def _moved(self, means, units, labels):
        """The running means [K, d] with a batch; a class without examples stays."""
        found = (
            class_sum(units, labels, len(means)),
            class_sum(jnp.ones(len(labels)), labels, len(means)),
        )
        if self.axis_name is not None:
            found = jax.lax.psum(found, self.axis_name)
        sums, number = found
        new = sums / jnp.maximum(number, 1)[:, None]
        there = (number > 0)[:, None]
        return jnp.where(there, means + (1 - self.momentum) * (new - means), means)


def nearest_turn(
    means: Float[Array, "K d"],
    rows: Float[Array, "K r"],
    before: Float[Array, "d r"],
    proximal: float = 0.0,
) -> Float[Array, "d r"]:
    """V [d, r], orthonormal, for which R V' is nearest to the centred means.

    The polar factor of 2 M'R/(|M| |R|) + proximal V_before, with M the means minus
    their mean.

    Args:
        means: class means [K, d].
        rows: R [K, r], a root of the Gram matrix of the target.
        before: V of the step before [d, r], orthonormal.
        proximal: weight of the distance from it.
    """
    centred = means - means.mean(0)[None]
    size = jnp.sqrt(jnp.sum(centred**2))
    known = size > 0
    centred = centred / jnp.where(known, size, 1)
    product = 2 * dot(centred.T, rows) / jnp.sqrt(jnp.sum(rows**2))
    product = product + proximal * before
    # Without any means there is no direction to go.
    return polar_factor(jnp.where(known, product, before))


@jax.custom_jvp
def polar_factor(matrix: Float[Array, "d r"]) -> Float[Array, "d r"]:
    """V = A (A'A)^(-1/2), the nearest matrix with orthonormal columns.

    Args:
        matrix: A [d, r], d >= r, of rank r.  Where it lacks rank, to rounding, columns
            of V are less than orthonormal.

    References:
        Higham, Functions of Matrices, 2008, chapter 8.
    """
    return _polar(matrix)[0]


def _polar(matrix):
    """V, and eigenvalues p [r] and eigenvectors E [r, r] of (A'A)^(1/2)."""
    scale = jnp.sqrt(jnp.sum(matrix**2))
    matrix = matrix / jnp.where(scale > 0, scale, 1)
    values, vectors = jnp.linalg.eigh(dot(matrix.T, matrix))
    # Eigenvalues that are rounding would be infinite factors.
    least = 8 * jnp.finfo(matrix.dtype).eps * values[-1]
    roots = jnp.sqrt(jnp.maximum(values, least))
    found = dot(dot(matrix, vectors) / roots[None], vectors.T)
    return _orthonormal(found), roots * scale, vectors


def _orthonormal(found: jax.Array) -> jax.Array:
    """Newton-Schulz: mends what the squares in A'A have lost of the digits.

    Singular values lie between 0 and 1 but for rounding.  One near 1 takes two or three
    steps, and a small one a step more for every factor of 1.5.
    """
    identity = jnp.eye(found.shape[1], dtype=found.dtype)
    near = 4 * jnp.finfo(found.dtype).eps

    def error(found):
        return identity - dot(found.T, found)

    def step(state):
        found, off, number = state
        found = found + 0.5 * dot(found, off)
        return found, error(found), number + 1

    def goes_on(state):
        _, off, number = state
        return (jnp.max(jnp.abs(off)) > near) & (number < 30)

    return jax.lax.while_loop(goes_on, step, (found, error(found), 0))[0]


@polar_factor.defjvp
def _polar_jvp(primals, tangents):
    """Derivative of the polar factor V of A, along dA.

    dV = V Omega + (I - V V') dA P^-1 with P Omega + Omega P = V'dA - dA'V.

    In the eigenbasis of P the equation is divided by sums p_i + p_j.  A gradient
    through the eigenvectors would be divided by differences, which are 0 at collapse.
    """
    (matrix,), (change,) = primals, tangents
    found, roots, vectors = _polar(matrix)
    along = dot(found.T, change)
    turned = dot(vectors.T, dot(along - along.T, vectors))
    omega = turned / (roots[:, None] + roots[None])
    across = change - dot(found, along)
    inverse = dot(dot(across, vectors) / roots[None], vectors.T)
    return found, dot(found, dot(dot(vectors, omega), vectors.T)) + inverse
