"""Made-up features for the collapse tests, and the package compiled."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import collapse
from ncjax.moments import class_moments


def simplex(k, d, seed=0):
    """Unit rows [k, d] of a randomly rotated simplex ETF; d >= k - 1."""
    rng = np.random.default_rng(seed)
    _, _, basis = np.linalg.svd(np.eye(k) - 1 / k)
    rows = basis[: k - 1].T @ np.linalg.qr(rng.normal(size=(d, k - 1)))[0].T
    return rows * np.sqrt(k / (k - 1))


def clusters(k=6, d=9, n=20, std=0.1, seed=0, offset=3.0, balanced=False):
    """Features, labels, classifier, bias, in float64; classes unequally large."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(k, d)) + offset
    counts = np.full(k, n) if balanced else rng.integers(1, 2 * n, k)
    counts[0] = n if balanced else 1  # a singleton
    labels = rng.permutation(np.repeat(np.arange(k), counts))
    features = means[labels] + std * rng.normal(size=(len(labels), d))
    return features, labels, rng.normal(size=(k, d)) + 0.3, rng.normal(size=k)


_class_moments = jax.jit(
    class_moments, static_argnames=("num_classes", "scatter", "largest_norm")
)


def moments_of(features, labels, k=None, scatter="pooled"):
    k = int(labels.max() + 1 if k is None else k)
    return _class_moments(
        jnp.asarray(features),
        jnp.asarray(labels),
        num_classes=k,
        scatter=scatter,
        largest_norm=True,
    )


class Compiled:
    """The package, each function compiled whole: eager primitives take seconds."""

    def __getattr__(self, name):
        def call(*args, **options):
            static = [k for k, v in options.items() if not isinstance(v, jax.Array)]
            return self._jit(name, *static)(*args, **options)

        return call

    @staticmethod
    @functools.cache
    def _jit(name, *static):
        return jax.jit(getattr(collapse, name), static_argnames=static)


compiled = Compiled()
