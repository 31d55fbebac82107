"""Losses as the theory needs them: numbers in tables, a value and a dual value.

Almost every loss of `ncjax.losses` is one of three kinds, told apart by tables only:

    Entropic:   l(T z) = sum_a c_a logsumexp(z[S_a]) - <y, z>   (CE, soft labels, HXE,
                HACE, a classifier for each level, a softmax among siblings)
    Quadratic:  l(z) = |z - y|^2 / 2                            (MSE, regression)
    Logistic:   l(z) = c sum_k (log(1 + e^{z_k}) - y_k z_k)     (BCE of sets of labels)

T is a temperature, 1 as a rule.  The tables and T are leaves of a pytree: problems that
differ in them, as by `beta`, `alpha` or the label smoothing, share one compilation and
can be stacked.  Any other loss is a `Plain` one; it can be minimised, but as its dual
is not known it cannot be certified.

Dual value: with theta_i = -grad l_i(z_i) and the conjugate l_i*, every t in [0, limit],
limit = mu / |Theta|_2, bounds the optimum from below by
D(t) = -sum_i omega_i l_i*(-t theta_i).  The bounds here are closed forms, by
Fenchel-Rockafellar duality of F(Z) + mu |Z|_*.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import entr

from ncjax import struct

Leaf = Any  # an array: NumPy where a problem is made, traced where it is solved
Pair = tuple[Leaf, Leaf]


class Fit(abc.ABC):
    """The loss of n rows of logits, of any kind.

    Logits are the outputs of the last layer [n, M]; as a rule there is one for each
    class, M = K.
    """

    @property
    @abc.abstractmethod
    def num_outputs(self) -> int:
        """M, the number of logits in a row."""

    @property
    def readout(self) -> Leaf | None:
        """A [K, M] such that the rows of A W classify; None: the identity."""
        return None

    @abc.abstractmethod
    def losses(self, logits: Leaf) -> Leaf:
        """l_i(z_i) [n] of logits [n, K]."""

    @abc.abstractmethod
    def take(self, rows: np.ndarray) -> Fit:
        """The loss of other rows: row `rows[i]` of this one becomes row i."""

    @abc.abstractmethod
    def is_convex(self) -> Leaf:
        """Whether the loss is known to be convex in the logits, bool []."""

    @abc.abstractmethod
    def dual(self, logits: Leaf, weights: Leaf, limit: Leaf, price: Pair) -> Pair:
        """A t in [0, limit], and the bound D(t) - p t - q t^2/2, both [].

        Every t gives a bound; a loss takes the best t that it knows.

        Args:
            logits: Z [n, K], the point at which Theta is taken.
            weights: omega [n] of the rows, which sum to 1.
            limit: largest t that is dual feasible [].
            price: (p, q), what t and t^2/2 cost, each [].
        """


@struct.dataclass
class Entropic(Fit):
    """l_i(T z) = sum_a c_ai logsumexp(z_j, group_a(j) = own_ai) - <y_i, z> - offset_i.

    Group 0 holds all logits.  For each row y = sum_a c_a y^a, with y^a the part of y in
    the group that counts in the row, divided by its sum.  The loss is convex where all
    c_a >= 0.
    """

    targets: Leaf  # y [n, M]
    factors: Leaf  # c [A, n]
    groups: Leaf  # [A, M], number of the group that each logit is in
    own: Leaf  # [A, n], number of the group that counts in each row
    offset: Leaf  # [n]
    temperature: Leaf  # T []

    @property
    def num_outputs(self) -> int:
        """M, the number of logits in a row."""
        return self.targets.shape[-1]

    def losses(self, logits: Leaf) -> Leaf:
        """The losses [n] of logits [n, M], in nats."""
        logits = logits / self.temperature
        value = -jnp.sum(self.targets * logits, axis=1) - self.offset
        for a, factor in enumerate(self.factors):
            value += factor * jax.nn.logsumexp(logits, axis=1, where=self._below(a))
        return value

    def take(self, rows: np.ndarray) -> Entropic:
        """The loss of other rows: these rows of all tables."""
        return Entropic(
            targets=self.targets[rows],
            factors=self.factors[:, rows],
            groups=self.groups,
            own=self.own[:, rows],
            offset=self.offset[rows],
            temperature=self.temperature,
        )

    def is_convex(self) -> Leaf:
        """Whether no factor is negative []; rounding of them is forgiven."""
        return jnp.all(self.factors >= -1e-15)

    def dual(self, logits: Leaf, weights: Leaf, limit: Leaf, price: Pair) -> Pair:
        """T = min(1, limit) and D = sum_i omega_i sum_a c_a H(q^a), less the price.

        q^a = (1 - t) y^a + t softmax(z[S_a]), with y^a the target within the group: for
        one-hot y the q of HXE, for one group the q of cross-entropy.  The conjugate of
        l(z/T) is l*(T u), and Theta has a factor 1/T: so T is in z alone.
        """
        logits = logits / self.temperature
        t = jnp.minimum(1, limit)
        total = -self.offset
        for a, factor in enumerate(self.factors):
            below = self._below(a)
            inside = jax.nn.softmax(logits, axis=1, where=below)
            target = jnp.where(True if below is None else below, self.targets, 0)
            sums = jnp.sum(target, axis=1, keepdims=True)
            target = target / jnp.where(sums > 0, sums, 1)  # 0 only where c_a is
            mixed = (1 - t) * target + t * inside
            total += factor * jnp.sum(entr(mixed), axis=1)
        return t, weights @ total - price[0] * t - price[1] * t**2 / 2

    def _below(self, a: int) -> Leaf | None:
        """Whether a logit is in the group of a row [n, M]; None: all are."""
        return self.own[a][:, None] == self.groups[a] if a else None


@struct.dataclass
class Quadratic(Fit):
    """l_i(z) = |z - y_i|^2 / 2."""

    targets: Leaf  # y [n, K]

    @property
    def num_outputs(self) -> int:
        """K, the number of logits in a row."""
        return self.targets.shape[-1]

    def losses(self, logits: Leaf) -> Leaf:
        """The losses [n] of logits [n, K]."""
        return 0.5 * jnp.sum((logits - self.targets) ** 2, axis=1)

    def take(self, rows: np.ndarray) -> Quadratic:
        """The loss of other rows: these rows of the targets."""
        return Quadratic(self.targets[rows])

    def is_convex(self) -> Leaf:
        """True: squares are convex."""
        return jnp.ones((), bool)

    def dual(self, logits: Leaf, weights: Leaf, limit: Leaf, price: Pair) -> Pair:
        """T = min((A - p)/(B + q), limit), not under 0, and D = t A - t^2 B/2.

        Here A = sum omega <r, y>, B = sum omega |r|^2 and r = y - z; D is less the
        price.
        """
        residual = self.targets - logits
        a = weights @ jnp.sum(residual * self.targets, axis=1) - price[0]
        b = weights @ jnp.sum(residual**2, axis=1) + price[1]
        best = a / jnp.where(b > 0, b, 1)
        t = jnp.clip(jnp.minimum(best, limit), 0)
        return t, t * a - t**2 * b / 2


@struct.dataclass
class Logistic(Fit):
    """l_i(z) = c sum_k (log(1 + e^{z_k}) - y_ik z_k), with y in [0, 1]."""

    targets: Leaf  # y [n, K]
    factor: Leaf  # c []

    @property
    def num_outputs(self) -> int:
        """K, the number of logits in a row."""
        return self.targets.shape[-1]

    def losses(self, logits: Leaf) -> Leaf:
        """The losses [n] of logits [n, K], in nats."""
        terms = jax.nn.softplus(logits) - self.targets * logits
        return self.factor * jnp.sum(terms, axis=1)

    def take(self, rows: np.ndarray) -> Logistic:
        """The loss of other rows: these rows of the targets."""
        return dataclasses.replace(self, targets=self.targets[rows])

    def is_convex(self) -> Leaf:
        """True: a sum of log-sum-exps of (z_k, 0) is convex."""
        return self.factor >= 0

    def dual(self, logits: Leaf, weights: Leaf, limit: Leaf, price: Pair) -> Pair:
        """T = min(1, limit) and D = c sum omega sum_k H(q_k), less the price.

        H is the entropy of a yes or no, and q = (1 - t) y + t sigmoid(z).
        """
        t = jnp.minimum(1, limit)
        mixed = (1 - t) * self.targets + t * jax.nn.sigmoid(logits)
        # 1 - sigmoid(z) would lose what is small.
        rest = (1 - t) * (1 - self.targets) + t * jax.nn.sigmoid(-logits)
        total = self.factor * jnp.sum(entr(mixed) + entr(rest), axis=1)
        return t, weights @ total - price[0] * t - price[1] * t**2 / 2


@struct.dataclass
class Plain(Fit):
    """Any function like those of `ncjax.losses`; its options are static."""

    labels: Leaf  # [n], class of each row
    function: Callable = struct.field(pytree_node=False)
    options: tuple = struct.field(pytree_node=False)  # (name, value), sorted
    outputs: int = struct.field(pytree_node=False)  # M, what the function takes

    @property
    def num_outputs(self) -> int:
        """M, the number of logits in a row."""
        return self.outputs

    def losses(self, logits: Leaf) -> Leaf:
        """The losses [n] of logits [n, M]."""
        return self.function(logits, jnp.asarray(self.labels), **dict(self.options))

    def take(self, rows: np.ndarray) -> Plain:
        """The loss of other rows: these rows of the labels."""
        return dataclasses.replace(self, labels=self.labels[rows])

    def is_convex(self) -> Leaf:
        """False: nothing is known about the function."""
        return jnp.zeros((), bool)

    def dual(self, logits: Leaf, weights: Leaf, limit: Leaf, price: Pair) -> Pair:
        """The limit, and minus infinity: no bound is known."""
        del logits, weights, price
        return limit, jnp.asarray(-jnp.inf)
