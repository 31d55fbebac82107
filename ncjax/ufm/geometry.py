"""The geometry of an optimum, measured with the functions of `ncjax.collapse`."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import collapse
from ncjax.labels import class_indices
from ncjax.moments import class_moments
from ncjax.ufm.model import Params
from ncjax.ufm.precision import double


class Geometry(NamedTuple):
    """The geometry of class means and classifier at a point; K classes."""

    gram: jax.Array  # [K, K] Gram matrix of the centred class means
    cosines: jax.Array  # [K, K] their cosines; 0 where a mean is the global mean
    singular_values: jax.Array  # [K] of the class-mean logits W Hbar, without a bias
    rank: jax.Array  # [] number of them above 1e-6 max(largest, 1)
    nc1: jax.Array  # [] `ncjax.collapse.nc1`; 0 in the class-mean form
    nc2: jax.Array  # [] `ncjax.collapse.nc2` of the class means
    nc3: jax.Array  # [] `ncjax.collapse.nc3` of class means and classifier
    nc3_papyan: jax.Array  # [] |W/|W| - Mc/|Mc||^2, Mc the centred class means


@double
def geometry(params: Params, labels: Any = None) -> Geometry:
    """Measured Gram matrix, cosines, rank and NC metrics of a point.

    Args:
        params: parameters with "W" [K, d] and "H" [n, d]; for models other than
            `Problem` give `model.point(params)`.
        labels: class of each row of H [n]; by default n = K and row k is of class k.

    Raises:
        TypeError: for labels that are no integers.
        ValueError: if W and H differ in width, n from K where there are no labels, or
            for labels out of range.
    """
    classifier, features = jnp.asarray(params["W"]), jnp.asarray(params["H"])
    num_classes = len(classifier)
    if classifier.shape[1] != features.shape[1]:
        raise ValueError(
            f"W {classifier.shape} and H {features.shape} must have one width."
        )
    if labels is None:
        if len(features) != num_classes:
            raise ValueError(
                f"H has {len(features)} rows for {num_classes} classes: give labels."
            )
        labels = np.arange(num_classes)
    return _geometry(classifier, features, class_indices(labels, num_classes))


@jax.jit
def _geometry(classifier, features, labels):
    moments = class_moments(features, labels, len(classifier))
    means = collapse.centred_means(moments)
    gram = means @ means.T
    norms = jnp.sqrt(jnp.diag(gram))
    safe = jnp.where(norms > 0, norms, 1)
    values = jnp.linalg.svd(classifier @ moments.means.T, compute_uv=False)
    return Geometry(
        gram=gram,
        cosines=gram / safe[:, None] / safe,
        singular_values=values,
        rank=jnp.sum(values > 1e-6 * jnp.maximum(values[0], 1)),
        nc1=collapse.nc1(moments),
        nc2=collapse.nc2(moments),
        nc3=collapse.nc3(moments, classifier),
        nc3_papyan=collapse.nc3_papyan(moments, classifier),
    )
