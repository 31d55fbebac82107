"""An option of a loss that is no constant: it follows the run, or it is learned."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.hierarchy import Hierarchy
from ncjax.losses.outputs import Scalar
from ncjax.options import check_value, choose


@dataclasses.dataclass(frozen=True, eq=False)
class Moving:
    """An option of a loss that changes in the course of a run.

    Attributes:
        option: name of the option.
        start: its value at the start of the run.
        at: share of the run that is done [], in [0, 1] -> the value []; None means that
            it is learned: a parameter of the network, trained like all others.
        factor: value [] -> number [] by which the loss of every example is multiplied;
            None is 1.
    """

    option: str
    start: Scalar
    at: Callable[[Scalar], jax.Array] | None = None
    factor: Callable[[Scalar], jax.Array] | None = None


# Share of the run that is done -> share of the way from the start to the end.
_WAYS: dict[str, Callable[[Scalar], Scalar]] = {
    "linear": lambda share: share,
    "cosine": lambda share: (1 - jnp.cos(jnp.pi * share)) / 2,
}


def hxe_alpha(
    hierarchy: Hierarchy | None = None,
    *,
    alpha: Scalar = 0.5,
    weighting: str = "height",
    normalise: bool = False,
    alpha_schedule: str = "constant",
    alpha_end: Scalar = 0.0,
    learn_alpha: bool = False,
) -> Moving | None:
    """How the alpha of `hxe` changes in the course of a run.

    With a schedule it goes from `alpha` to `alpha_end`, step by step:
    alpha + (alpha_end - alpha) r, with r = t for "linear" and (1 - cos(pi t)) / 2 for
    "cosine", t the share of the run's steps that are done.

    With `learn_alpha` it is a parameter of the network that starts at `alpha`: the
    optimizer trains it like all others, with the same learning rate and weight decay,
    and it may become negative.  `hxe` as it stands falls whenever alpha rises, whatever
    the network does: no weight grows, and all but those of the leaves (by height), or
    all (by depth), go to 0.  Weights that sum to 1 would end on one level, the easiest.
    What is trained is therefore

        exp(alpha m) HXE(alpha),

    with m the mean height (or depth) of the lower nodes of the edges of all paths,
    whose weights have a geometric mean of 1 over these edges: none of them falls unless
    another one rises.  It is convex in alpha, and least where the losses of the levels,
    times their weights, balance around m.  It is what the uncertainty weighting of
    Kendall et al. becomes for log-variances that are linear in the height, once their
    common factor is put at its optimum; that factor would grow without bound as the
    loss falls to 0.

    What theory says of it: in the unconstrained-features model of a balanced tree a
    level's share of the loss tends to c N_l for small c, whatever its weight, with N_l
    the number of classes that meet the label at level l (`ncjax.hierarchy.hxe`).  The
    derivative of the least objective in alpha is then -c sum_l (l - 1 - m) N_l for
    height weights: it is never 0.  So alpha rises, slowly, until the coarsest level is
    given up, unless weight decay on alpha holds it.  No geometry is predicted.

    Args:
        hierarchy: tree over the K classes; needed for the factor alone.
        alpha: the value at the start.
        weighting: "height" or "depth", the levels that the weights of `hxe` fall with.
        normalise: whether `hxe` divides its weights by their sum; not together with
            `learn_alpha`, whose factor takes the place of that.
        alpha_schedule: "constant", "linear" or "cosine".
        alpha_end: the value at the end of the run, with a schedule.
        learn_alpha: whether alpha is learned.

    Returns:
        How it changes; None if it does not.

    Raises:
        ValueError: for another schedule, an alpha that is not finite, or options that
            exclude each other.

    References:
        Kendall, Gal & Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses,
        CVPR 2018.
    """
    choose("loss.alpha_schedule", alpha_schedule, ("constant", *_WAYS))
    for name, value in (("alpha", alpha), ("alpha_end", alpha_end)):
        check_value(f"loss.{name}", value, math.isfinite, "finite")
    if learn_alpha and (normalise or alpha_schedule != "constant"):
        other = "normalise = True"
        if not normalise:
            other = f"alpha_schedule = {alpha_schedule!r}"
        raise ValueError(
            f"loss.learn_alpha = True excludes loss.{other}: an alpha that is learned "
            "follows no schedule, and its weights have a factor of their own. Leave "
            "one of the two at its default."
        )
    if learn_alpha:
        mean = 0.0 if hierarchy is None else _mean_level(hierarchy, weighting)
        return Moving("alpha", alpha, factor=lambda value: jnp.exp(value * mean))
    if alpha_schedule == "constant":
        needs = "0 unless loss.alpha_schedule is 'linear' or 'cosine'"
        check_value("loss.alpha_end", alpha_end, lambda end: end == 0, needs)
        return None
    way = _WAYS[alpha_schedule]

    def at(share: Scalar) -> jax.Array:
        done = way(share)
        return jnp.asarray((1 - done) * alpha + done * alpha_end)  # exact at both ends

    return Moving("alpha", alpha, at)


def _mean_level(hierarchy: Hierarchy, weighting: str) -> float:
    """Mean height or depth of the lower nodes of all edges of all paths."""
    levels = hierarchy.heights if weighting == "height" else hierarchy.depths
    above = np.arange(hierarchy.height)[:, None] < hierarchy.depths[hierarchy.leaves]
    return float(levels[hierarchy.lineage[1:]][above].mean())
