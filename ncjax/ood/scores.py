"""Scores that tell known examples from outliers, each high for what is known.

Every score is a function of `Known` and features [n, d] alone, gives [n], and can be
compiled.  h is a feature, z = W h + b its logits, c the class that they decide for,
mu_k the class means, mu the mean of all training features.  To add one: write it here
or beside, and add its line to `SCORES` in `ncjax.ood`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ncjax.collapse.tiles import norm, ratio, safe_sqrt, square_distances
from ncjax.moments import dot
from ncjax.ood.known import Known, unit_rows

Features = Float[Array, "n d"]
Scores = Float[Array, "n"]


def msp(known: Known, features: Features) -> Scores:
    """Log of the maximum softmax probability, log max_k softmax(z)_k.

    It orders examples as the probability does.  That itself is 1 in float32 for many of
    them late in training, which the logarithm tells apart.

    References:
        Hendrycks & Gimpel, A Baseline for Detecting Misclassified and
        Out-of-Distribution Examples in Neural Networks, ICLR 2017.
    """
    logits = known.logits(features)
    away = jax.nn.logsumexp(logits, axis=1, where=~_decided(logits))
    return -jnp.logaddexp(0.0, away - jnp.max(logits, axis=1))


def max_logit(known: Known, features: Features) -> Scores:
    """Largest logit, max_k z_k.

    References:
        Hendrycks et al., Scaling Out-of-Distribution Detection for Real-World Settings,
        ICML 2022.
    """
    return jnp.max(known.logits(features), axis=1)


def energy(known: Known, features: Features) -> Scores:
    """Negative free energy log sum_k exp(z_k), at temperature 1.

    References:
        Liu et al., Energy-based Out-of-distribution Detection, NeurIPS 2020.
    """
    return jax.nn.logsumexp(known.logits(features), axis=1)


def react(known: Known, features: Features) -> Scores:
    """Energy of features whose entries are cut off at a percentile of the training's.

    References:
        Sun, Guo & Li, ReAct: Out-of-distribution Detection With Rectified Activations,
        NeurIPS 2021.
    """
    return energy(known, jnp.minimum(features, known.clip))


def knn(known: Known, features: Features) -> Scores:
    """Minus the distance of h/|h| to the k-th nearest training direction.

    References:
        Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, ICML
        2022.
    """
    directions = unit_rows(features)
    cosines = jnp.where(known.there[None], dot(directions, known.bank.T), -jnp.inf)
    values, nearest = jax.lax.top_k(cosines, known.neighbours)
    # 1 - cosine loses what is near; the difference of the two directions does not.
    distances = norm(directions - known.bank[nearest[:, -1]], axis=1)
    return jnp.where(jnp.isfinite(values[:, -1]), -distances, jnp.nan)


def mahalanobis(known: Known, features: Features) -> Scores:
    """-min_k (h - mu_k)' Sigma_W^+ (h - mu_k), Sigma_W the covariance within classes.

    References:
        Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples
        and Adversarial Attacks, NeurIPS 2018; of the last layer only, without noise
        added to the images.
    """
    whitened = dot(known.scaled(features) - known.mean[None], known.within.T)
    centres = dot(known.means - known.mean[None], known.within.T)

    def nearest(least, centre_present):
        centre, present = centre_present
        square = jnp.sum((whitened - centre[None]) ** 2, axis=1)
        return jnp.where(present, jnp.minimum(least, square), least), None

    # Class by class: differences are exact where |x|^2 - 2 x.mu + |mu|^2 is not.
    start = jnp.full(len(features), jnp.inf, whitened.dtype)
    return -jax.lax.scan(nearest, start, (centres, known.present))[0]


def relative_mahalanobis(known: Known, features: Features) -> Scores:
    """`mahalanobis` plus (h - mu)' Sigma_T^+ (h - mu), with all features as one class.

    References:
        Ren et al., A Simple Fix to Mahalanobis Distance for Improving Near-OOD
        Detection, 2021.
    """
    whitened = dot(known.scaled(features) - known.mean[None], known.total.T)
    return mahalanobis(known, features) + jnp.sum(whitened**2, axis=1)


def vim(known: Known, features: Features) -> Scores:
    """Energy minus a virtual logit alpha |R (h + W^+ b)|.

    R projects on the d - D directions in which training features vary least about
    -W^+ b; alpha makes the mean virtual logit the mean largest logit of the training.

    References:
        Wang et al., ViM: Out-Of-Distribution with Virtual-logit Matching, CVPR 2022.
    """
    outside = dot(known.scaled(features) - known.origin[None], known.residual.T)
    return energy(known, features) - known.virtual * norm(outside, axis=1)


def neco(known: Known, features: Features) -> Scores:
    """|P h| / |h|, P on the principal directions of the training features.

    References:
        Ammar et al., NECO: Neural Collapse Based Out-of-Distribution Detection,
        ICLR 2024; there also times the largest logit, for transformers.
    """
    return norm(dot(unit_rows(features), known.principal.T), axis=1)


def nci(known: Known, features: Features) -> Scores:
    """<w_c, h - mu> / |h - mu| + alpha |h|_1.

    References:
        Liu & Qin, Detecting Out-of-distribution through the Lens of Neural Collapse,
        CVPR 2025; alpha is chosen there on a validation set of outliers.
    """
    rows = known.weights[jnp.argmax(known.logits(features), axis=1)]
    away = unit_rows(known.scaled(features) - known.mean[None])
    along = jnp.sum(rows * away, axis=1)
    return along + known.nci_weight * jnp.sum(jnp.abs(features), axis=1)


def fdbd(known: Known, features: Features) -> Scores:
    """Mean over the other classes of |z_c - z_k|/|w_c - w_k|, divided by |h - mu|.

    The distances to the boundaries of the decision, in the unit of the distance from
    the mean.

    References:
        Liu & Qin, Fast Decision Boundary based Out-of-Distribution Detector, ICML 2024.
    """
    logits = known.logits(features)
    decided = jnp.argmax(logits, axis=1)
    gaps = jnp.max(logits, axis=1, keepdims=True) - logits
    rows = known.weights - jnp.mean(known.weights, axis=0, keepdims=True)
    between = safe_sqrt(square_distances(rows, rows))[decided]
    others = ~_decided(logits)
    distances = jnp.mean(ratio(gaps, between), axis=1, where=others) / known.unit
    return ratio(distances, norm(known.scaled(features) - known.mean[None], axis=1))


def _decided(logits: jax.Array) -> jax.Array:
    """True at the class that is decided for [n, K]."""
    return jax.nn.one_hot(jnp.argmax(logits, axis=1), logits.shape[1], dtype=bool)
