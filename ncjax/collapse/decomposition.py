"""The MSE loss on the central path, and off it: the decomposition of Han et al.

For fixed features the regularised MSE loss is quadratic in the classifier.  Its minimum
is the *central path*; the loss there splits into a part of the within-class covariance
(NC1) and one of the class means (NC2 and NC3), and what the actual classifier adds is
the part off the path.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ncjax.collapse.means import centred_means, class_weights, global_mean, total_cov
from ncjax.moments import ClassMoments, dot

Number = float | Float[Array, ""]


class MSEDecomposition(NamedTuple):
    """Parts of the regularised MSE loss, each at least 0; they sum to it."""

    nc1: jax.Array  # [] variability of the features, seen by the ridge classifier
    nc2_nc3: jax.Array  # [] class means against their targets
    off_path: jax.Array  # [] the classifier against the ridge classifier


def ridge_classifier(
    moments: ClassMoments,
    weight_decay: Number,
    *,
    bias_decay: Number | None = None,
    use_bias: bool = True,
) -> tuple[Float[Array, "K d"], Float[Array, "K"]]:
    """The classifier W [K, d] and bias b [K] of least regularised MSE loss.

    The loss is that of `mse_decomposition`, which explains the other arguments too.

    Args:
        moments: class moments of the features, with `scatter="pooled"`.
        weight_decay: l > 0.
        bias_decay: l_b >= 0, by default l.
        use_bias: whether the last layer has a bias; else b is 0.
    """
    best = _ridge(moments, weight_decay, bias_decay, use_bias)
    return best.classifier / best.scale, best.bias


def mse_decomposition(
    moments: ClassMoments,
    classifier: Float[Array, "K d"],
    bias: Float[Array, "K"] | None,
    weight_decay: Number,
    *,
    bias_decay: Number | None = None,
) -> MSEDecomposition:
    """Splits the regularised MSE loss of a last layer into three parts.

    L(W, b) = (1/2N) sum_i |W h_i + b - e_{y_i}|^2 + (l/2) |W|_F^2 + (l_b/2) |b|^2,
    the mean of `ncjax.losses.mse` with weight decay l.  With (V, c) its minimum for
    these features and p_k = n_k/N,

        nc1      = (1/2) tr(V (Sigma_W + l I) V') + (l_b/2) |c|^2
        nc2_nc3  = (1/2) sum_k p_k |V mu_k + c - e_k|^2
        off_path = (1/2) tr(D A D'),  D = [W, b] - [V, c],  A the Hessian,

    and L = nc1 + nc2_nc3 + off_path exactly, for balanced and unbalanced classes.
    Empty classes keep their row: the loss has it.  A part that is larger than its type
    can hold is infinite or NaN.

    `torch.nn.MSELoss`, the mean over classes too, is 2/K of this loss; Han et al. take
    (1/2) the sum over classes, as here, with their lambda being l.

    Args:
        moments: class moments of the features, with `scatter="pooled"`.
        classifier: W [K, d].
        bias: b [K], or None for a last layer without a bias.
        weight_decay: l > 0.
        bias_decay: l_b >= 0, by default l.

    Raises:
        ValueError: if a decay is out of range.

    References:
        Han, Papyan & Donoho, Neural Collapse Under MSE Loss, ICLR 2022.
    """
    found = _ridge(moments, weight_decay, bias_decay, bias is not None)
    best, moments, mean = found.classifier, found.moments, found.mean
    within = dot(dot(best, moments.within_cov), best.T)
    nc1 = jnp.trace(within) + found.decay * jnp.sum(best**2)
    decay = weight_decay if bias_decay is None else bias_decay
    nc1 = nc1 + decay * jnp.sum(found.bias**2)

    # Logits of the class means, from the centred means: V mu + c = V (mu_k - mu) + ...
    centre = dot(best, mean) + found.bias
    logits = dot(centred_means(moments, global_mean="samples"), best.T) + centre[None]
    residual = logits - jnp.eye(moments.num_classes, dtype=logits.dtype)
    fit = dot(class_weights(moments, "samples"), jnp.sum(residual**2, axis=1))

    # A = [[S + (1 - rho) m m', m], [m', 1 + l_b]] splits by its Schur complement S.
    difference = classifier * found.scale - best
    off = jnp.sum(dot(difference, found.system) * difference)
    if bias is not None:
        step = bias - found.bias + (1 - found.rho) * dot(difference, mean)
        off = off + jnp.sum(step**2) / (1 - found.rho)
    return MSEDecomposition(nc1 / 2, fit / 2, off / 2)


class _Ridge(NamedTuple):
    """The ridge classifier; features, and all that follows from them, over `scale`."""

    classifier: jax.Array  # [K, d] W scale
    bias: jax.Array  # [K]
    mean: jax.Array  # [d] mean feature m
    system: jax.Array  # [d, d] S
    rho: Number  # l_b / (1 + l_b); 1 without a bias
    decay: Number  # l / scale^2
    moments: ClassMoments
    scale: jax.Array  # []


def _ridge(moments, weight_decay, bias_decay, use_bias) -> _Ridge:
    """The ridge classifier.

    With b eliminated, W S = sum_k p_k (e_k - p)(mu_k - m)' + rho p m' and
    S = Sigma_T + rho m m' + l I, p being the class shares.
    """
    if isinstance(weight_decay, int | float) and weight_decay <= 0:
        raise ValueError(f"weight_decay must be positive, got {weight_decay}.")
    decay = weight_decay if bias_decay is None else bias_decay
    if isinstance(decay, int | float) and decay < 0:
        raise ValueError(f"bias_decay must be at least 0, got {decay}.")
    rho = decay / (1 + decay) if use_bias else 1.0
    # Squares of huge features are out of range; those of tiny ones are nothing to l.
    scale = jnp.maximum(moments.unit, 1)
    moments = dataclasses.replace(
        moments,
        pivot=moments.pivot / scale,
        offset=moments.offset / scale,
        unit=moments.unit / scale,
    )
    inner = weight_decay / scale / scale
    share = class_weights(moments, "samples")
    mean = global_mean(moments, "samples")
    centred = centred_means(moments, global_mean="samples")
    weighted = share[:, None] * centred
    system = total_cov(moments) + rho * mean[:, None] * mean[None]
    system = system + inner * jnp.eye(len(mean), dtype=mean.dtype)
    # sum_k p_k (mu_k - m) = 0, so that the - p in (e_k - p) drops out.
    cross = weighted + rho * share[:, None] * mean[None]
    best = jax.scipy.linalg.solve(system, cross.T, assume_a="pos").T
    bias = (1 - rho) * (share - dot(best, mean))
    return _Ridge(best, bias, mean, system, rho, inner, moments, scale)
