"""Cumulative link models as theory needs them: one latent number, fixed thresholds."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import struct
from ncjax.ordinal import get_link, log_probability, make_thresholds
from ncjax.ufm.fits import Fit, Leaf, Pair


@struct.dataclass
class Cumulative(Fit):
    """l_i(z) = -log(g(b_i - z) - g(a_i - z)), for a row between thresholds a_i < b_i.

    It takes one logit, the latent number z, in which it is convex, as the density of g
    is log-concave.  The classifier is a vector w [1, d]; `readout` makes of it the rows
    0, w, 2 w, ... of a linear classifier of the levels (`ncjax.ordinal.to_rows`).
    """

    lower: Leaf  # a [n], -inf for the first level
    upper: Leaf  # b [n], inf for the last level
    link: str = struct.field(pytree_node=False)
    levels: int = struct.field(pytree_node=False)  # K

    @property
    def num_outputs(self) -> int:
        """One, the latent number."""
        return 1

    @property
    def readout(self) -> np.ndarray:
        """0, 1, ..., K - 1, the multiples of w [K, 1]."""
        return np.arange(self.levels, dtype=np.float64)[:, None]

    def losses(self, logits: Leaf) -> Leaf:
        """The losses [n] of latent numbers [n, 1], in nats."""
        lower, upper = jnp.asarray(self.lower), jnp.asarray(self.upper)
        return -log_probability(logits[:, 0], lower, upper, self.link)

    def least(self) -> Leaf:
        """The infimum of each loss [n]: in the middle of an inner level, else 0."""
        lower, upper = jnp.asarray(self.lower), jnp.asarray(self.upper)
        inner = jnp.isfinite(lower) & jnp.isfinite(upper)
        middle = jnp.where(inner, (lower + upper) / 2, 0)
        return jnp.where(inner, -log_probability(middle, lower, upper, self.link), 0)

    def take(self, rows: np.ndarray) -> Cumulative:
        """The loss of other rows: these rows of the thresholds."""
        return self.replace(  # type: ignore[attr-defined]
            lower=self.lower[rows], upper=self.upper[rows]
        )

    def is_convex(self) -> Leaf:
        """True: the density of each link is log-concave."""
        return jnp.ones((), bool)

    def dual(self, logits: Leaf, weights: Leaf, limit: Leaf, price: Pair) -> Pair:
        """The best t in [0, min(1, limit)] of a bound from below for D(t).

        The conjugate is convex and known at two slopes: l*(l'(z)) = z l'(z) - l(z), and
        l*(0) = -inf l.  So -l*(t l'(z)) is at least t (l(z) - z l'(z)) + (1 - t) inf l:
        rigorous for every link, and for t = 1, as at the optimum, D(t) itself.
        """
        total, slopes = jax.value_and_grad(lambda z: jnp.sum(self.losses(z)))(logits)
        del total
        tangents = self.losses(logits) - (slopes * logits)[:, 0]
        least = weights @ self.least()
        gain = weights @ tangents - least - price[0]
        dear = price[1] > 0
        best = jnp.where(dear, gain / jnp.where(dear, price[1], 1), 1.0 * (gain > 0))
        t = jnp.clip(best, 0, jnp.minimum(1, limit))
        return t, least + t * gain - price[1] * t**2 / 2


def ordinal(
    num_classes: int, *, link: str = "logit", gap: Any = 4.0, thresholds: tuple = ()
) -> Cumulative:
    """`ncjax.losses.ordinal` of one row for each level, with fixed thresholds.

    Args:
        num_classes: number of levels K.
        link: "logit" or "probit".
        gap: distance of neighbouring thresholds, if none are given.
        thresholds: b_1 < ... < b_(K-1); () for evenly spaced ones about 0.

    Raises:
        ValueError: for an unknown link, or thresholds that are none.
    """
    get_link(link)
    inner = np.array(make_thresholds(num_classes, thresholds, float(gap)))
    return Cumulative(
        lower=np.append(-np.inf, inner),
        upper=np.append(inner, np.inf),
        link=link,
        levels=num_classes,
    )
