"""How the class vectors of several tasks stand to each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ncjax.blocks import dot
from ncjax.collapse import centred_means
from ncjax.collapse.tiles import in_range, norm, ratio
from ncjax.tasks.labels import parts
from ncjax.tasks.moments import TaskMoments


def task_means(moments: TaskMoments) -> list[Float[Array, "K d"]]:
    """Class means of each task minus their mean over its classes, [K_t, d] each.

    Args:
        moments: moments of the training features.
    """
    return [centred_means(moments.task(t)) for t in range(len(moments.sizes))]


def task_rows(
    classifier: Float[Array | np.ndarray, "S d"], sizes: Sequence[int]
) -> list[Any]:
    """Rows of W of each task minus their mean over its classes, [K_t, d] each.

    Cross-entropy does not see that mean.  Arrays of NumPy stay such, in float64.

    Args:
        classifier: W [S, d], the rows of the first task first.
        sizes: number of classes K_t of each task.
    """
    rows = [classifier[place] for place in parts(sizes)]
    return [one - one.mean(0, keepdims=True) for one in rows]


def cross_cosines(
    first: Float[Array | np.ndarray, "K d"], second: Float[Array | np.ndarray, "L d"]
) -> Float[Array, "K L"]:
    """Cosines between the class vectors of two tasks; NaN for a vector of 0.

    Args:
        first: class vectors of one task, centred [K, d].
        second: class vectors of another task, centred [L, d].
    """
    rows = [in_range(jnp.asarray(x)) for x in (first, second)]
    units = [ratio(x, norm(x, axis=1)[:, None]) for x in rows]
    return dot(units[0], units[1].T)


def cross_task(vectors: Sequence[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Mean and largest |cosine| between class vectors of different tasks; scalars.

    Of random vectors the mean is near sqrt(2 / (pi d)).  NaN for a single task, or
    where a vector is 0.

    Args:
        vectors: class vectors of each task, centred [K_t, d].
    """
    every = [
        jnp.abs(cross_cosines(one, other)).ravel()
        for index, one in enumerate(vectors)
        for other in vectors[index + 1 :]
    ]
    if not every:
        nothing = jnp.full((), jnp.nan)
        return nothing, nothing
    flat = jnp.concatenate(every)
    return jnp.mean(flat), jnp.max(flat)
