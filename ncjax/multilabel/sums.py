"""Whether the mean of a set of two labels is the sum of the means of its labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ncjax.blocks import dot
from ncjax.collapse.means import centred_means
from ncjax.collapse.tiles import in_range, norm, ratio
from ncjax.multilabel.conventions import DEFAULT, Convention
from ncjax.multilabel.labels import pair_labels
from ncjax.multilabel.moments import SetMoments


class Pairs(NamedTuple):
    """The sets of two labels beside the sums of what their labels are alone."""

    means: Any  # [p, d] mu_S, in the unit of the largest sum
    sums: Any  # [p, d] s_S, in the same unit
    present: Any  # [p] sets that occur, each label of which occurs alone
    known: Any  # [p] sets each label of which occurs alone


def pairs_of(moments: SetMoments, *, centred: bool = True) -> Pairs:
    """Means of sets and sums of means, minus their means over the sets that occur.

    Args:
        moments: moments of the training features.
        centred: whether these means are subtracted.
    """
    low, high = pair_labels(moments.num_classes)
    alone = moments.single.count > 0
    known = alone[low] & alone[high]
    present = known & (moments.pairs.count > 0)
    if centred:
        single, means = centred_means(moments.single), _centred(moments)
    else:
        single, means = moments.single.means, moments.pairs.means
    sums = jnp.where(known[:, None], single[low] + single[high], 0)
    if centred:
        count = jnp.maximum(jnp.sum(present), 1)
        mean = jnp.sum(jnp.where(present[:, None], means, 0), 0) / count
        means = means - mean[None]
        mean = jnp.sum(jnp.where(present[:, None], sums, 0), 0) / count
        sums = sums - mean[None]
    means = jnp.where(present[:, None], means, 0)
    rows = in_range(jnp.concatenate([sums, means]))
    return Pairs(rows[len(low) :], rows[: len(low)], present, known)


def _centred(moments: SetMoments) -> jax.Array:
    """Means of the sets minus a common one, not rounded by a large common part."""
    if len(moments.pairs.count) > 1:
        return centred_means(moments.pairs)
    return moments.pairs.means  # of the one set of two labels; it becomes 0


def set_angles(
    moments: SetMoments, convention: Convention = DEFAULT
) -> dict[str, jax.Array]:
    """Mean angles of the means of sets to the right and to wrong sums, in degrees.

    Args:
        moments: moments of the training features.
        convention: whether means are subtracted, and what a wrong set is.

    Returns:
        `set_angle`, the mean over the sets S of two labels of the angle of mu_S and
        s_S; `set_angle_wrong`, that of mu_S and s_T over other sets T; and
        `set_angle_ratio`, the first over the second.  Sets that do not occur, or a
        label of which never occurs alone, are left out.  NaN where no angle is left: no
        such set, or a mean or sum of 0.

    References:
        Li et al., Neural Collapse in Multi-label Learning with Pick-all-label Loss,
        ICML 2024.
    """
    pairs = pairs_of(moments, centred=convention.centred)
    means, sums = (
        ratio(rows, norm(rows, axis=1)[:, None]) for rows in (pairs.means, pairs.sums)
    )
    # Of arccos the small angles would be rounding.
    right = 2 * jnp.arctan2(norm(means - sums, axis=1), norm(means + sums, axis=1))
    right = jnp.where(jnp.isnan(means[:, 0] + sums[:, 0]), jnp.nan, right)
    every = jnp.arccos(jnp.clip(dot(means, sums.T), -1, 1))  # [S, T]
    if convention.wrong == "all":
        allowed = pairs.present[:, None] & pairs.known[None]
    else:
        allowed = pairs.present[:, None] & pairs.present[None]
        allowed &= ~jnp.eye(len(means), dtype=bool)
    angle, wrong = _mean(right, pairs.present), _mean(every, allowed)
    found = {"set_angle": angle, "set_angle_wrong": wrong}
    found = {key: jnp.rad2deg(value) for key, value in found.items()}
    return found | {"set_angle_ratio": ratio(angle, wrong)}


def set_scale(moments: SetMoments) -> Float[Array, ""]:
    """How long the means of sets of two labels are, in units of the sums.

    The multiple a of the sums that is nearest to the means, both centred:
    a = sum_S <mu_S, s_S> / sum_S |s_S|^2.  In theory it is at most 1
    (`ncjax.ufm.theory.pick_all_label`).  NaN without such sets.
    """
    pairs = pairs_of(moments)
    sums = jnp.where(pairs.present[:, None], pairs.sums, 0)
    return ratio(jnp.sum(pairs.means * sums), jnp.sum(sums**2))


def _mean(values: jax.Array, chosen: jax.Array) -> jax.Array:
    """Mean of the chosen values; NaN where there are none."""
    return ratio(jnp.sum(jnp.where(chosen, values, 0)), jnp.sum(chosen))
