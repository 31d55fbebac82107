"""Unconstrained features on the sphere: cross-entropy at a falling temperature.

    L(W, H) = mean_i log(1 + sum_{j != y_i} exp((w_j - w_{y_i}) . h_i / tau))

over unit w_k and unit h_i, two of each class.  The margin rho of W at the optimum is
within tau log(K (K-1) / log 2) of the greatest there is, rho* (derived here): the
softmax code has L <= (K-1) exp(-rho*/tau), and each feature of the class with the
margin rho has a gap (w_k - w_j) . h of at most rho, so that L >= log(2)
exp(-rho/tau) / K.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import codes
from ncjax.compiling import quick_jit

COLD = 1e-4  # the last temperature
HOT, WARM = 1.0, 0.05  # where it begins to fall
EACH = 2  # features of a class
_STAGES = 10  # a decade, in which the temperature falls by equal factors
_TINY = -20.0  # below this log(log(1 + e^x)) is x - e^x/2 to all digits


class Ends(NamedTuple):
    """Where the starts of a size ended.

    Attributes:
        vectors: W of each start at the end of each temperature [n, S, K, d].
        losses: tau log L there [n, S].
        spread: for each start the greatest distance of features of one class [n].
    """

    vectors: np.ndarray
    losses: np.ndarray
    spread: np.ndarray

    def margins(self) -> np.ndarray:
        """The margin of W at the end of each start [n]."""
        return _margins(self.vectors[:, -1])

    def path(self) -> np.ndarray:
        """Margins of the best start of `margins` at each temperature [S]."""
        return _margins(self.vectors[self.margins().argmax()])

    def of_least_loss(self) -> tuple[np.ndarray, np.ndarray]:
        """At each temperature the least tau log L of a start, and its margin [S]."""
        least = self.losses.argmin(axis=0)
        margins = _margins(self.vectors[least, np.arange(len(least))])
        return self.losses.min(axis=0), margins


def _margins(codes_: np.ndarray) -> np.ndarray:
    return np.array([codes.one_vs_rest_distance(w) for w in codes_])


def bound(num_classes: int, temperature: float) -> float:
    """How far from the greatest margin that of the optimum of L can be."""
    return temperature * math.log(num_classes * (num_classes - 1) / math.log(2))


def falling(hottest: float, coldest: float = COLD) -> np.ndarray:
    """Temperatures [S] from the hottest to the coldest, ten to a decade."""
    stages = round(_STAGES * math.log10(hottest / coldest))
    return np.geomspace(hottest, coldest, stages + 1)


def flow(
    num_classes: int,
    feature_dim: int,
    temperatures: np.ndarray,
    *,
    starts: int,
    steps: int,
) -> Ends:
    """Descends L from random starts while its temperature falls; float64.

    Args:
        num_classes: K.
        feature_dim: d.
        temperatures: tau in the order in which L has them [S].
        starts: number of random starts; each is the same whatever their number.
        steps: number of steps at each temperature.
    """
    with jax.enable_x64(True):
        taus = jnp.asarray(temperatures, jnp.float64)
        found = _flows(num_classes, feature_dim, starts, steps, taus)
        vectors, features, losses = map(np.asarray, found)
    own = features.reshape(starts, EACH, num_classes, feature_dim)
    spread = np.linalg.norm(own[:, 0] - own[:, 1], axis=-1).max(axis=-1)
    return Ends(vectors, losses, spread)


@functools.partial(quick_jit, level=1, static_argnums=(0, 1, 2, 3))
def _flows(num_classes, feature_dim, starts, steps, taus):
    """W [n, S, K, d] and tau log L [n, S] by stage; H at the end [n, 2 K, d]."""
    shape = num_classes * (1 + EACH), feature_dim

    def one(place):
        key = jax.random.fold_in(jax.random.key(0), place)
        points = _unit(jax.random.normal(key, shape, jnp.float64))

        def step(carry, place, tau):
            points, mean, square, time = carry
            slope = jax.grad(_log_loss)(points, tau, num_classes)
            # Adam, with one length of step for all coordinates of a point: turning the
            # points turns the step, and no class waits while another is the worst.
            mean = 0.9 * mean + 0.1 * slope
            square = 0.99 * square + 0.01 * jnp.sum(slope**2, axis=1)
            mend = (1 - 0.9**time) / jnp.sqrt(1 - 0.99**time)
            # At each temperature the steps become as short as they need be.
            length = tau * (1 + jnp.cos(jnp.pi * place / steps)) / 2
            length = length / (mend * (jnp.sqrt(square) + 1e-12))
            points = _unit(points - length[:, None] * mean)
            return (points, mean, square, time + 1), None

        def stage(carry, tau):
            down = functools.partial(step, tau=tau)
            carry, _ = jax.lax.scan(down, carry, jnp.arange(steps))
            loss = _log_loss(carry[0], tau, num_classes)
            return carry, (carry[0][:num_classes], loss)

        carry = points, jnp.zeros(shape), jnp.zeros(shape[0]), 1.0
        (points, _, _, _), (vectors, losses) = jax.lax.scan(stage, carry, taus)
        return vectors, points[num_classes:], losses

    return jax.vmap(one)(jnp.arange(starts))


def _log_loss(points, tau, num_classes):
    """The value tau log L: it falls with L, and its slope stays as tau falls."""
    points = _unit(points)
    vectors, features = points[:num_classes], points[num_classes:]
    labels = jnp.arange(len(features)) % num_classes
    scores = jnp.matmul(features, vectors.T, precision="highest") / tau
    own = jnp.take_along_axis(scores, labels[:, None], axis=1)
    others = labels[:, None] != jnp.arange(num_classes)
    worst = jax.nn.logsumexp(scores - own, axis=1, where=others)
    small = worst < _TINY
    loss = jnp.log(jax.nn.softplus(jnp.where(small, _TINY, worst)))
    loss = jnp.where(small, worst - jnp.exp(jnp.minimum(worst, _TINY)) / 2, loss)
    return tau * (jax.nn.logsumexp(loss) - jnp.log(len(features)))


def _unit(points):
    return points / jnp.linalg.norm(points, axis=1, keepdims=True)
