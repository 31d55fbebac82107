r"""Directional CDNV, and what it promises: bounds on the error of nearest means.

Of classes i and j with means mu_i, mu_j, covariances Sigma_i and D = mu_j - mu_i:

    V_ij = D' Sigma_i D / |D|^4,

the variance of class i along the axis to class j, in units of the distance.  An example
of class i is nearer to mu_j than to mu_i if its coordinate along the axis is beyond the
middle; by Cantelli's inequality that has probability at most 4 V_ij / (1 + 4 V_ij), and
no smaller constant holds for all distributions.

With means of m examples each the same inequality is applied to
T = |x - mean_j|^2 - |x - mean_i|^2, whose mean and variance are exact functions of
moments of the classes up to the fourth: `few_shot_bound`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ncjax import struct
from ncjax.collapse.tiles import ratio
from ncjax.moments import dot
from ncjax.options import check_value
from ncjax.struct import Leaf

Scalar = Float[Array, ""]
Pairs = Float[Array, "K K"]


@struct.dataclass
class Classes:
    """Moments of the features of K classes, as they are in a data set.

    Lengths are in one unit, in which squares of all features are in range.
    """

    count: Leaf  # [K]
    distances: Leaf  # [K, K] |mu_i - mu_j|^2
    along: Leaf  # [K, K] D' Sigma_i D, D = mu_j - mu_i
    spread: Leaf  # [K] tr Sigma_i
    products: Leaf  # [K, K] tr Sigma_i Sigma_j
    fourth: Leaf  # [K] E |h - mu_i|^4 of class i
    third: Leaf  # [K, K] E (h - mu_j)'D |h - mu_j|^2 of class j, D = mu_j - mu_i


def classes(
    features: Float[Array, "n d"], labels: Int[Array, "n"], num_classes: int
) -> Classes:
    """The moments of classes, from all their features.

    Args:
        features: h [n, d].
        labels: class of each [n], in 0..K-1; rows with another label do not count.
        num_classes: K.
    """
    one_hot = jax.nn.one_hot(labels, num_classes, dtype=features.dtype)
    there = one_hot.sum(1) > 0
    largest = jnp.max(jnp.where(there, jnp.abs(features).max(1), 0))
    features = features / jnp.where(largest > 0, largest, 1)
    count = one_hot.sum(0)
    share = one_hot / jnp.where(count > 0, count, 1)

    def mean(values):
        return dot(share.T, values)

    middle = jnp.mean(features, axis=0, keepdims=True)
    means = mean(features - middle)
    deviations = jnp.where(there[:, None], features - middle - means[labels], 0)
    # The first mean is rounded to its own size, and this to that of the deviations.
    rest = mean(deviations)
    means, deviations = means + rest, deviations - rest[labels]
    deviations = jnp.where(there[:, None], deviations, 0)
    towards = means[None] - means[:, None]  # [i, j]: from i to j
    distances = jnp.sum(towards**2, axis=2)
    squares = jnp.sum(deviations**2, axis=1, keepdims=True)
    covariances = jnp.einsum(
        "nk,na,nb->kab", share, deviations, deviations, precision="highest"
    )
    skew = mean(deviations * squares)  # [j, d]
    return Classes(
        count=count,
        distances=distances,
        along=jnp.einsum(
            "ija,iab,ijb->ij", towards, covariances, towards, precision="highest"
        ),
        spread=mean(squares)[:, 0],
        products=jnp.einsum(
            "iab,jab->ij", covariances, covariances, precision="highest"
        ),
        fourth=mean(squares**2)[:, 0],
        third=jnp.einsum("jd,ijd->ij", skew, towards, precision="highest"),
    )


def directional_cdnv(of: Classes) -> Pairs:
    """V_ij = D' Sigma_i D / |D|^4, D = mu_j - mu_i [K, K].

    NaN on the diagonal, and for classes with fewer than two examples.

    Args:
        of: moments of the classes.

    References:
        Luthra, Salunkhe & Galanti, Directional Neural Collapse, ICML 2026.
    """
    return jnp.where(_pairs(of), ratio(of.along, of.distances**2), jnp.nan)


def known_means_bound(of: Classes) -> Scalar:
    """Bound on the error of the nearest of the true means: sums of 4V / (1 + 4V).

    The mean over classes i of sum_j P(i is taken for j), each at most 1.

    Args:
        of: moments of the classes.
    """
    value = 4 * directional_cdnv(of)
    return _error(of, value / (1 + value))


def few_shot_bound(of: Classes, shots: int) -> Scalar:
    """Bound on the expected error of the nearest of means of m examples of each class.

    Over the draw of the example and of those of all classes, independent and with
    replacement.  P(T < 0) <= Var T / (Var T + (E T)^2) for T = |x - mean_j|^2 -
    |x - mean_i|^2 of an example x of class i, where E T > 0, with m = `shots` and

        E T = |D|^2 + (tr Sigma_j - tr Sigma_i)/m,
        Var T = 4 D'Sigma_i D + 4 D'Sigma_j D/m + 4 tr Sigma_i Sigma_j/m
                + 4 tr Sigma_i^2/m + Var|b|^2 + Var|c|^2 + 4 Cov(D'b, |b|^2),

    b and c the errors of the means of j and i, of which all moments are known exactly.
    Unlike the published asymptotic statement it has no unknown constants.

    Args:
        of: moments of the classes.
        shots: m, examples of each class, at least 1.

    Returns:
        A number in [0, 1]; at 1 it says nothing.  NaN where a class has fewer than two
        examples.

    Raises:
        ValueError: for fewer than one shot.
    """
    check_value("shots", shots, lambda m: m >= 1, "at least 1")
    m = shots
    mean = of.distances + (of.spread[None] - of.spread[:, None]) / m
    own = jnp.diagonal(of.products)  # tr Sigma_i^2
    # Var |b|^2 = (Var |xi|^2 + 2 (m - 1) tr Sigma^2) / m^3, b the mean of m of the xi.
    lengths = (of.fourth - of.spread**2 + 2 * (m - 1) * own) / float(m) ** 3
    variance = 4 * of.along + 4 * of.along.T / m
    variance += 4 * (of.products + own[:, None]) / m
    variance += lengths[None] + lengths[:, None] + 4 * of.third / float(m) ** 2
    chance = ratio(variance, variance + mean**2)
    return _error(of, jnp.where(mean > 0, chance, 1))


def _pairs(of: Classes) -> jax.Array:
    enough = of.count > 1
    return enough[:, None] & enough[None] & ~jnp.eye(len(enough), dtype=bool)


def _error(of: Classes, chance: jax.Array) -> jax.Array:
    """Mean over classes of the sum over others of a bound on each confusion."""
    each = jnp.sum(jnp.where(_pairs(of), jnp.minimum(chance, 1), 0), axis=1)
    found = jnp.mean(jnp.minimum(each, 1))
    return jnp.where(jnp.all(of.count > 1), found, jnp.nan)
