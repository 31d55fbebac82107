"""Hadamard initialisation: a flow whose singular vectors never move.

With K a power of two, Phi the Hadamard matrix over sqrt(K), W = Phi diag(a) R and
H = Phi diag(b) R (rows), R R' = I, cross-entropy without decay keeps W and H of that
form; the strengths s = a b follow K - 1 scalar equations (`ncjax.ufm.theory.hadamard`).

References:
    Garrod, Keating & Thrampoulidis, arXiv 2512.04006.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.ufm.model import Params
from ncjax.ufm.precision import double
from ncjax.ufm.theory.hadamard import sylvester_matrix


def hadamard_basis(num_classes: int) -> np.ndarray:
    """Phi [K, K], orthonormal; column 0 is the constant mode.

    Args:
        num_classes: number K of classes.

    Raises:
        ValueError: unless K is a power of two.
    """
    return sylvester_matrix(num_classes) / np.sqrt(num_classes)


def random_basis(num_classes: int, seed: int = 0) -> np.ndarray:
    """A random orthonormal basis [K, K] whose column 0 is the constant mode.

    Args:
        num_classes: number K of classes.
        seed: seed of the random numbers.
    """
    drawn = np.random.default_rng(seed).standard_normal((num_classes, num_classes))
    drawn[:, 0] = 1
    basis, _ = np.linalg.qr(drawn)
    return basis * np.sign(basis[0, 0])


def modal_start(
    strengths: Any,
    *,
    basis: np.ndarray | None = None,
    feature_dim: int | None = None,
    imbalance: Any = 0.0,
    seed: int = 0,
) -> Params:
    """W = Phi diag(a) R, H = Phi diag(b) R with a b = s, a^2 - b^2 = imbalance.

    Args:
        strengths: strengths s [K-1] of all modes but the constant one, which gets 0.
        basis: Phi [K, K], orthonormal; by default `hadamard_basis`.
        feature_dim: width d >= K - 1 of the features; by default K.
        imbalance: a^2 - b^2, one number or [K-1].
        seed: seed of the random rotation R [K-1, d].

    Raises:
        ValueError: for K no power of two, or d too small.
    """
    strengths = np.asarray(strengths, np.float64)
    number = len(strengths) + 1
    basis = hadamard_basis(number) if basis is None else np.asarray(basis)
    width = number if feature_dim is None else feature_dim
    if width < number - 1:
        raise ValueError(
            f"feature_dim={width} is too small: {number - 1} modes need as many."
        )
    drawn = np.random.default_rng(seed).standard_normal((width, number - 1))
    rotation = np.linalg.qr(drawn)[0].T
    size = np.hypot(imbalance, 2 * strengths)
    a = np.sqrt((size + imbalance) / 2)
    b = np.sign(strengths) * np.sqrt((size - imbalance) / 2)
    return {"W": basis[:, 1:] * a @ rotation, "H": basis[:, 1:] * b @ rotation}


def mode_strengths(params: Params, basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strengths of the modes of Z = H W', and how much of Z lies between the modes.

    Args:
        params: "W" and "H" [..., K, d], with leading axes as in a `Trajectory`.
        basis: Phi [K, K].

    Returns:
        The strengths s [..., K-1], and the Frobenius norm of all other entries of
        Phi' Z Phi divided by that of Z [...]: 0 as long as the singular vectors are
        those of the basis.
    """
    logits = np.asarray(params["H"]) @ np.swapaxes(np.asarray(params["W"]), -1, -2)
    inside = basis.T @ logits @ basis
    strengths = np.diagonal(inside, axis1=-2, axis2=-1)[..., 1:]
    total = np.sum(inside**2, axis=(-2, -1))
    # Summed entry by entry: the difference of the two sums would lose all digits.
    modes, between = np.arange(1, len(basis)), inside.copy()
    between[..., modes, modes] = 0
    return strengths, np.sqrt(np.sum(between**2, axis=(-2, -1)) / total)


@double
def strength_flow(strengths: Any, times: Any) -> Any:
    """The scalar equations ds_k/dt = (2/K) s_k (1 - pi_k), integrated [T, K-1].

    Args:
        strengths: strengths s at time 0 [K-1], where the factors are balanced, a = b.
        times: times at which s is wanted, increasing from 0 [T].
    """
    import diffrax  # noqa: F401  # here, when used, and not while a function is traced

    strengths, times = np.asarray(strengths), np.asarray(times, np.float64)
    return _strength_flow(strengths, times, sylvester_matrix(len(strengths) + 1))


@jax.jit
def _strength_flow(strengths, times, signs):
    import diffrax

    number, modes = len(signs), signs[:, 1:]

    # Integrated in s = log(1 + t), as in `ncjax.ufm.flow`.
    def velocity(s, x, args):
        pi = jax.nn.softmax(modes @ x / number) @ modes
        return jnp.exp(s) * 2 / number * x * (1 - pi)

    ends = jnp.log1p(times)
    return diffrax.diffeqsolve(
        diffrax.ODETerm(velocity),
        diffrax.Tsit5(),
        ends[0],
        ends[-1],
        None,
        strengths,
        saveat=diffrax.SaveAt(ts=ends),
        stepsize_controller=diffrax.PIDController(1e-10, 1e-12),
        max_steps=200_000,
    ).ys
