"""Hyperspherical uniformity: how evenly directions fill the sphere, at any K and d.

Directions are u_k = m_k/|m_k|: of the centred class means if `rows` are moments, or of
an array [K, d].  Unlike NC2 this has a meaning for K > d + 1, where no ETF exists.
Two equal directions are infinitely far from it; without a direction it is NaN.
"""

from __future__ import annotations

import math

import jax.numpy as jnp

from ncjax.collapse.means import Present, Rows, Scalar, select_rows
from ncjax.collapse.registry import Metric
from ncjax.collapse.simplex import zero_with_room
from ncjax.collapse.tiles import log_sum_exp_pairs, mean_pairs, square_distances


def log_kernel(rows: Rows, present: Present = None) -> tuple[Scalar, Scalar]:
    """Mean and variance over pairs of -log |u_j - u_k|, u_k = m_k/|m_k|.

    The mean is least, -log(2K/(K-1))/2, and the variance 0 at a simplex ETF (which
    needs d >= K-1); below that dimension, least where directions are most even.

    Args:
        rows: moments (their centred class means) or [K, d].
        present: [K], the classes that count.

    References:
        Liu et al., Generalizing and Decoupling Neural Collapse via Hyperspherical
        Uniformity Gap, ICLR 2023; Wu & Papyan, Linguistic Collapse, NeurIPS 2024.
    """
    rows, present = select_rows(rows, present, row_normalise=True)
    number = jnp.sum(present).astype(rows.dtype)
    # About the value at an ETF, so that one pass gives the variance.
    shift = -0.5 * jnp.log(2 * number / (number - 1))

    def powers(left, right, _, mask):
        excess = _log_inverse(left[0], right[0], mask) - shift
        return excess, excess**2

    mean, square = mean_pairs(powers, present, (rows,))
    return mean + shift, jnp.maximum(square - mean**2, 0)


def riesz_kernel(
    rows: Rows, present: Present = None, *, exponent: float | None = None
) -> Scalar:
    """Riesz energy as a mean distance: (1/s) log mean_{j != k} |u_j - u_k|^-s.

    The energy itself, mean |u_j - u_k|^-s, leaves the range of float32 at s = 510; in
    this form it has the unit of `log_kernel`, whose limit it is for s -> 0, and as
    s -> infinity it is -log of the least distance (Tammes' problem).  exp(s value)
    gives the energy back.  At an ETF, -log(2K/(K-1))/2 for every s.

    Args:
        rows: moments (their centred class means) or [K, d].
        present: [K], the classes that count.
        exponent: s, not 0; by default d - 2, for which the kernel is harmonic, or 1 if
            d = 2.

    Raises:
        ValueError: if `exponent` is 0.

    References:
        Liu et al., Generalizing and Decoupling Neural Collapse via Hyperspherical
        Uniformity Gap, ICLR 2023.
    """
    if exponent == 0:
        raise ValueError("exponent must not be 0; that limit is log_kernel.")
    rows, present = select_rows(rows, present, row_normalise=True)
    exponent = (rows.shape[1] - 2 or 1) if exponent is None else exponent
    number = jnp.sum(present).astype(rows.dtype)

    def energy(left, right, _, mask):
        return exponent * _log_inverse(left[0], right[0], mask)

    total = log_sum_exp_pairs(energy, present, (rows,))
    return (total - jnp.log(number * (number - 1))) / exponent


def _log_inverse(left, right, mask):
    """-log |u_j - u_k|, 0 off the mask; infinite where only rounding differs."""
    square = jnp.where(mask, square_distances(left, right), 1)
    equal = square <= (8 * jnp.finfo(square.dtype).eps) ** 2
    return jnp.where(equal, jnp.inf, -0.5 * jnp.log(jnp.where(equal, 1, square)))


def _of_simplex(num_classes: int, feature_dim: int) -> float | None:
    """Both kernels at a simplex, where there is room for one."""
    if feature_dim < num_classes - 1:
        return None
    return -0.5 * math.log(2 * num_classes / (num_classes - 1))


METRICS = (
    Metric(
        "uniformity",
        "uniformity",
        "mean log inverse distance of the directions of the means",
        lambda x: x.uniformity[0],
        limit=_of_simplex,
    ),
    Metric(
        "uniformity_var",
        "variance of uniformity",
        "variance of that over class pairs",
        lambda x: x.uniformity[1],
        limit=zero_with_room,
    ),
    Metric(
        "uniformity_riesz",
        "Riesz uniformity",
        "Riesz energy of the directions of the means, as a mean log",
        lambda x: riesz_kernel(*x.means),
        limit=_of_simplex,
    ),
)
