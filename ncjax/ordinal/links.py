"""Cumulative link models: the probability of each level, in log space.

A level is a class with a place in an order.  K levels lie between the thresholds
b_1 < ... < b_(K-1) of one latent number z, with b_0 = -inf and b_K = inf:

    P(y <= q | z) = g(b_(q+1) - z),   P(y = q | z) = g(b_(q+1) - z) - g(b_q - z),

for q = 0..K-1 and g a symmetric distribution function, the link.  The difference is
never taken: for thresholds that are near each other, or a z far from both, all its
digits would cancel.

References:
    McCullagh, Regression Models for Ordinal Data, JRSS B 42, 1980.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ncjax.options import unknown

_LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)
_TAIL = -8.0  # below it 12 terms of a continued fraction are exact to rounding
_NARROW, _FLAT = 1.0, 8.0  # bounds of where quadrature is exact to rounding
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


@dataclasses.dataclass(frozen=True)
class Link:
    """A distribution function g with g(-x) = 1 - g(x) and a log-concave density.

    Attributes:
        below: x -> log g(x), of any shape.
        between: (x, gap) -> log(g(x) - g(x - gap)), of one shape, for gap > 0; exact
            to rounding and with finite gradients for |x| up to 1e8.
    """

    below: Callable[[jax.Array], jax.Array]
    between: Callable[[jax.Array, jax.Array], jax.Array]


def log_logistic_between(x: jax.Array, gap: jax.Array) -> jax.Array:
    """Logarithm of s(x) - s(x - gap), s(x) = 1/(1 + exp(-x)).

    s(x) - s(x - gap) = s(x) s(gap - x) (1 - exp(-gap)).
    """
    outside = jax.nn.softplus(-x) + jax.nn.softplus(x - gap)
    return jnp.log(-jnp.expm1(-gap)) - outside


@jax.custom_jvp
def log_normal(x: jax.Array) -> jax.Array:
    """Logarithm of Phi(x), Phi the standard normal distribution function."""
    tail, fraction = _tail(x)
    near = jax.scipy.special.log_ndtr(jnp.where(tail, 0, x))
    y = jnp.where(tail, x, _TAIL)
    far = -(y**2) / 2 - _LOG_ROOT_2PI - jnp.log(1 / fraction - y)
    return jnp.where(tail, far, near)


@log_normal.defjvp
def _log_normal_jvp(primals, tangents):
    # JAX's own derivative is the exp of a difference of squares: at -1e4 it is noise.
    return log_normal(primals[0]), hazard(primals[0]) * tangents[0]


@jax.custom_jvp
def hazard(x: jax.Array) -> jax.Array:
    """The ratio phi(x)/Phi(x), the derivative of log Phi(x), also far in the tail."""
    tail, fraction = _tail(x)
    near = jnp.where(tail, 0, x)
    log_density = -(near**2) / 2 - _LOG_ROOT_2PI
    return jnp.where(tail, 1 / fraction - x, jnp.exp(log_density - log_normal(near)))


@hazard.defjvp
def _hazard_jvp(primals, tangents):
    (x,), value = primals, hazard(primals[0])
    tail, fraction = _tail(x)
    excess = jnp.where(tail, 1 / fraction, x + value)  # of the value over -x
    return value, -value * excess * tangents[0]


def _tail(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Whether x is in the tail, and there the inverse of phi(x)/Phi(x) + x.

    It is y + 2/(y + 3/(y + 4/(y + ...))) with y = -x (Laplace).
    """
    tail = x < _TAIL
    y = fraction = jnp.where(tail, -x, -_TAIL)
    for k in range(12, 1, -1):
        fraction = y + k / fraction
    return tail, fraction


def log_normal_between(x: jax.Array, gap: jax.Array) -> jax.Array:
    """Logarithm of Phi(x) - Phi(x - gap).

    For a narrow interval by quadrature over it, with the density of its middle taken
    out; else as log Phi(x) + log(1 - Phi(x - gap)/Phi(x)) at the end that is nearer to
    0, the interval being turned to the side where x <= gap - x.
    """
    upper = jnp.where(2 * x > gap, gap - x, x)
    middle = -jnp.abs(x - gap / 2)
    narrow = (gap <= _NARROW) & (-middle * gap <= _FLAT)

    m, h = jnp.where(narrow, middle, 0), jnp.where(narrow, gap, 1)
    at = h[..., None] / 2 * jnp.asarray(_NODES, h.dtype)
    weights = jnp.asarray(_WEIGHTS / 2, h.dtype)
    inside = jnp.sum(weights * jnp.exp(-m[..., None] * at - at**2 / 2), axis=-1)
    by_quadrature = jnp.log(h * inside) - m**2 / 2 - _LOG_ROOT_2PI

    x, h = jnp.where(narrow, 0, upper), jnp.where(narrow, 4, gap)
    m, tail = jnp.where(narrow, -2, middle), x < _TAIL
    far, near = jnp.where(tail, x, _TAIL), jnp.where(tail, 0, x)
    # log of Phi(x - h)/Phi(x): the squares are subtracted by hand in the tail.
    ratio = jnp.where(
        tail,
        h * m + jnp.log(hazard(far) / hazard(far - h)),
        log_normal(near - h) - log_normal(near),
    )
    wide = log_normal(x) + jnp.log1p(-jnp.exp(ratio))
    return jnp.where(narrow, by_quadrature, wide)


LINKS: dict[str, Link] = {
    "logit": Link(jax.nn.log_sigmoid, log_logistic_between),
    "probit": Link(log_normal, log_normal_between),
}


def get_link(name: str) -> Link:
    """The link of this name.

    Raises:
        ValueError: listing the names that there are.
    """
    if name not in LINKS:
        raise ValueError(unknown("link", name, LINKS))
    return LINKS[name]


def log_probability(
    latent: Float[Array, "..."],
    lower: Float[Array, "..."],
    upper: Float[Array, "..."],
    link: str = "logit",
) -> Float[Array, "..."]:
    """Logarithm of g(upper - z) - g(lower - z), the probability of a level.

    Args:
        latent: z.
        lower: threshold below the level; -inf for the first level.
        upper: threshold above it, larger than `lower`; inf for the last level.
        link: a name in `LINKS`.

    Returns:
        The log-probability, in nats.

    Raises:
        ValueError: for an unknown link.
    """
    chosen, first = get_link(link), jnp.isneginf(lower)
    ends = first | jnp.isposinf(upper)
    # No branch may see an infinity: its gradient would be NaN times 0.
    side = jnp.where(ends, jnp.where(first, upper - latent, latent - lower), 0)
    gap = jnp.where(ends, 1, upper - lower)
    x = jnp.where(ends, 0, upper - latent)
    return jnp.where(ends, chosen.below(side), chosen.between(x, gap))


def bounds(thresholds: Float[Array, "... t"]) -> tuple[jax.Array, jax.Array]:
    """The thresholds below and above each level, each [..., K], with -inf and inf."""
    infinite = jnp.full_like(thresholds[..., :1], jnp.inf)
    lower = jnp.concatenate([-infinite, thresholds], axis=-1)
    return lower, jnp.concatenate([thresholds, infinite], axis=-1)


def log_probabilities(
    latent: Float[Array, "n"], thresholds: Float[Array, "n t"], link: str = "logit"
) -> Float[Array, "n K"]:
    """Logarithms of P(y = q | z) of all levels q; see `log_probability`."""
    lower, upper = bounds(thresholds)
    each = jnp.broadcast_to(latent[:, None], lower.shape)
    return log_probability(each, lower, upper, link)
