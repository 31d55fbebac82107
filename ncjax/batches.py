"""How class moments take in a batch of features; `ncjax.moments` says what they are."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from ncjax.blocks import class_dot, class_sum
from ncjax.units import common_unit, unit_near

Moments = TypeVar("Moments", bound=Any)  # `ncjax.moments.ClassMoments`

# Features up to 2^32, or down to 2^-33, have the unit 1, and batches mostly the same.
_STEP = 64
# About so many rows of a block tell how large its features are.
_SAMPLED = 32


class Rows(NamedTuple):
    """A batch, as the scatter takes it; see `take_means`."""

    residual: jax.Array  # [n, d] features minus a centre of their class, over the unit
    mass: jax.Array  # [n] weights, 0 for labels out of range
    labels: jax.Array  # [n] labels in 0..K-1
    rescale: jax.Array  # [] what earlier squares are multiplied with


def take_means(
    moments: Moments,
    features: Float[Array, "n d"],
    labels: Integer[Array, "n"],
    weights: Array | None = None,
) -> tuple[Moments, Rows]:
    """The moments with one more batch but for their scatter, and what that is to get.

    The new scatter is scatter * rescale + sum_i mass_i r_i r_i' with the residuals
    r_i of the batch.

    Squares are taken not about the mean of the batch but about
    mean_B - sqrt(n_A / (n_A + n_B)) delta, which gives S_B and the correction of
    `merge` in one product, with no K x d x d one.
    """
    num_classes, dtype = len(moments.count), moments.count.dtype
    n = features.shape[0]
    resolution = jnp.asarray(jnp.finfo(features.dtype).eps, dtype)
    features = features.astype(dtype)
    inside = (labels >= 0) & (labels < num_classes)
    labels = jnp.where(inside, labels, 0)
    mass = jnp.where(inside, 1 if weights is None else weights, 0).astype(dtype)
    outside = ~inside if weights is None else ~inside & (weights != 0)

    rows = jnp.where(mass > 0, jnp.arange(n), n)
    first = jax.ops.segment_min(rows, labels, num_classes)
    new = features[jnp.clip(first, 0, n - 1)]
    new = jnp.where((first < n)[:, None], new, 0)
    seen = moments.count > 0
    pivot = jnp.where(seen[:, None], moments.pivot, new)

    added = class_sum(mass, labels, num_classes)
    count = moments.count + added
    residual = features - pivot[labels]
    mean = class_sum(residual, labels, num_classes, mass)
    mean = mean / jnp.where(added > 0, added, 1)[:, None]
    both = seen & (added > 0)
    delta = jnp.where(both[:, None], mean - moments.offset, 0)
    gain = (added / jnp.where(both, count, 1))[:, None]
    share = jnp.where(both, moments.count / jnp.where(both, count, 1), 1)
    centre = mean - jnp.sqrt(share)[:, None] * delta
    # Some rows tell the size of all; to look at each takes as long as the rest.
    size = jnp.max(jnp.abs(features[:: max(1, n // _SAMPLED)]), initial=0)
    unit, inverse, rescale = common_unit(moments.unit, unit_near(size, _STEP))
    residual = (residual - centre[labels]) * inverse
    squares = jnp.sum(residual**2, 1)
    spread = class_sum(mass * squares, labels, num_classes)
    largest = moments.largest
    if largest is not None:
        # |h|^2 from what is known: to square the features takes as long as all else.
        subtracted = (pivot + centre) * inverse
        norms = squares + 2 * class_dot(residual, subtracted, labels)
        norms = norms + jnp.sum(subtracted**2, 1)[labels]
        norms = jnp.where(mass > 0, norms, 0)
        largest = jnp.maximum(largest * rescale, jnp.max(norms, initial=0))
    state = dataclasses.replace(
        moments,
        count=count,
        pivot=pivot,
        offset=jnp.where(seen[:, None], moments.offset + gain * delta, mean),
        spread=moments.spread * rescale + spread,
        resolution=jnp.maximum(moments.resolution, resolution),
        unit=unit,
        left_out=moments.left_out + jnp.sum(outside).astype(dtype),
        largest=largest,
    )
    return state, Rows(residual, mass, labels, rescale)
