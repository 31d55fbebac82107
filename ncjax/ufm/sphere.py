"""Class points on the sphere: unit features, unit classifiers, and a temperature.

    f(W, H) = sum_k omega_k log sum_j exp((w_j - w_k).h_k / tau),   |w_k| = |h_k| = 1

Nothing is decayed, so no constant is free.  For K <= d + 1 classes of one size a
simplex with h_k = w_k is the optimum at every tau (Lu & Steinerberger 2022; Yaras et
al. 2022).  Beyond that the optimum tends to the softmax code as tau falls (Jiang et al.
2024), and at a finite tau what is found here is the best of some starts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.codes.assign import assign_similar
from ncjax.codes.known import check_sizes, simple_code
from ncjax.codes.margin import unit_rows
from ncjax.gram import unit_gram
from ncjax.ufm.match import Optimum, OptimumPath
from ncjax.ufm.precision import double
from ncjax.ufm.proof import Proof
from ncjax.ufm.tables import FITS

STARTS = 10
_SAME = 1e-7  # losses that differ by less, as a share, are those of one optimum


class SphereOptimum(NamedTuple):
    """Unit features and classifiers with the least loss that was found; K classes."""

    features: np.ndarray  # h [K, d]
    classifier: np.ndarray  # w [K, d]
    loss: float  # mean over the samples, in nats
    proof: Proof


def sphere_optimum(
    num_classes: int,
    feature_dim: int,
    temperature: float,
    *,
    sizes: Any = 1,
    starts: int = STARTS,
) -> SphereOptimum:
    """The least cross-entropy of cosines over a temperature.

    Args:
        num_classes: number K of classes, at least 2.
        feature_dim: dimension d, at least 1, and 2 for more than 2 classes.
        temperature: tau, positive and finite.
        sizes: samples of each class, one number or [K]; only their ratios count.
        starts: number of random starts, where there is no closed form.

    Raises:
        InputError: for sizes that have no code.
        ValueError: for a temperature or class sizes out of range.

    Example:
        >>> import ncjax
        >>> found = ncjax.ufm.sphere_optimum(4, 3, temperature=0.2)
        >>> found.classifier.shape, str(found.proof)
        ((4, 3), 'closed form')
    """
    check_sizes(num_classes, feature_dim)
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature must be positive and finite, got {temperature}.")
    share = np.asarray(sizes, np.float64) * np.ones(num_classes)
    if not (np.isfinite(share).all() and share.min() > 0):
        raise ValueError(f"Class sizes must be positive and finite, got {sizes}.")
    share = share / share.sum()
    if num_classes <= feature_dim + 1 and np.ptp(share) < 1e-12:
        rows = simple_code(num_classes, feature_dim)
        assert rows is not None, "a simplex has a closed form"
        loss = _loss(rows, rows, temperature, share)
        return SphereOptimum(rows, rows, loss, Proof("closed form"))
    return _search(num_classes, feature_dim, temperature, share, starts)


def sphere_path(
    num_classes: int,
    feature_dim: int,
    temperature: float,
    *,
    sizes: Any = 1,
    gram: np.ndarray | None = None,
    starts: int = STARTS,
) -> OptimumPath:
    """`sphere_optimum` as a path of one optimum, for `ncjax.ufm.match`.

    Which class is on which point of the optimum is open; with a Gram matrix to be
    compared it is the assignment that is nearest to it.

    Args:
        num_classes: number K of classes.
        feature_dim: dimension d.
        temperature: tau.
        sizes: samples of each class.
        gram: Gram matrix of measured class means [K, K], or None.
        starts: number of random starts.
    """
    found = sphere_optimum(
        num_classes, feature_dim, temperature, sizes=sizes, starts=starts
    )
    order = np.arange(num_classes)
    features = found.features @ found.features.T
    # Classes of different sizes have points of their own.
    if gram is not None and np.ptp(np.ones(num_classes) * sizes) == 0:
        similar = unit_gram(gram)
        order = assign_similar((similar + similar.T) / 2, (features + features.T) / 2)
        order = order.order
    features = features[np.ix_(order, order)]
    classifier = (found.classifier @ found.classifier.T)[np.ix_(order, order)]
    optimum = Optimum(
        np.nan, unit_gram(features), unit_gram(classifier), loss=found.loss
    )
    fit = FITS["cross_entropy"](num_classes)
    return OptimumPath(
        (optimum,), fit, lambda c: optimum, lambda c: (optimum, found.proof)
    )


def _loss(features, classifier, temperature, share) -> float:
    logits = features @ classifier.T / temperature
    own = np.diag(logits)[:, None]
    return float(share @ np.logaddexp.reduce(logits - own, axis=1))


@double
def _value(point, temperature, share):
    """The loss of rows [2 K, d] of any length, features first, and its gradient."""

    def loss(point):
        units = point / jnp.linalg.norm(point, axis=1, keepdims=True)
        features, classifier = jnp.split(units, 2)
        logits = features @ classifier.T / temperature
        own = jnp.diag(logits)[:, None]
        return share @ jax.nn.logsumexp(logits - own, axis=1)

    return jax.value_and_grad(loss)(point)


_compiled = double(jax.jit(_value))


def _search(count, dim, temperature, share, starts) -> SphereOptimum:
    """The best of random starts, by L-BFGS; a large temperature comes first."""
    from scipy import optimize  # late: half a second

    def value(flat, tau):
        found, slope = _compiled(flat.reshape(2 * count, dim), tau, share)
        # A loss near 0 is minimised by its logarithm, which has the same minima.
        loss = max(float(found), 1e-300)
        return np.log(loss), np.asarray(slope, np.float64).ravel() / loss

    rng = np.random.default_rng(0)
    found = []
    for _ in range(starts):
        rows = rng.normal(size=(count, dim))
        flat = unit_rows(np.concatenate([rows, rows])).ravel()
        for tau in np.geomspace(max(temperature, 1.0), temperature, 5):
            options = {"maxiter": 2000, "maxfun": 4000, "gtol": 1e-9, "ftol": 1e-15}
            flat = optimize.minimize(
                value, flat, (tau,), jac=True, method="L-BFGS-B", options=options
            ).x
        units = unit_rows(flat.reshape(2 * count, dim))
        loss = _loss(units[:count], units[count:], temperature, share)
        found.append((loss, units))
    losses = np.array([loss for loss, _ in found])
    best = int(losses.argmin())
    there = np.flatnonzero(losses <= losses[best] * (1 + _SAME))
    units = found[best][1]
    proof = Proof("starts", starts=starts, reached=len(there))
    return SphereOptimum(units[:count], units[count:], float(losses[best]), proof)
