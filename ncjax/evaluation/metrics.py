"""Names of what an evaluation finds: `nc/...`, `layers/NAME/...`, `test/...` and so on.

Everything here is a function of states that are complete: the class moments of the
training features, and the second pass over both sets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import collapse
from ncjax.collapse.superclasses import Level
from ncjax.evaluation.mistakes import Mistakes
from ncjax.evaluation.protocol import LAST
from ncjax.hierarchy import Hierarchy
from ncjax.moments import ClassMoments

if TYPE_CHECKING:
    from ncjax.evaluation.passes import SetPass

Values = Mapping[str, jax.Array]


def results(
    moments: Mapping[str, ClassMoments],
    train: SetPass,
    test: SetPass,
    *,
    classifier: tuple[jax.Array, jax.Array],
    mistakes: Mistakes,
    geometry: np.ndarray | None = None,
    measure: Callable[..., Values] = collapse.measure,
) -> dict[str, jax.Array]:
    """All metrics of a network, by the names under which a run logs them.

    Args:
        moments: moments of the training features of each layer.
        train: the second pass over the training set.
        test: the second pass over the test set.
        classifier: weights W [K, d] and bias b [K] of the last layer.
        mistakes: what was asked of the scores; its tree is the class tree.
        geometry: Gram matrix of the centred class means that theory predicts [K, K].
        measure: what finds the metrics of the moments; see `Target.metrics`.
    """
    found: dict[str, jax.Array] = {}
    for layer, m in moments.items():
        last = layer == LAST
        prefix = "" if last else f"layers/{layer}/"
        seen, unseen = train.layers[layer].compute(), test.layers[layer].compute()
        given = classifier if last else ()
        metrics = dict(measure(m, *given, within_variance=seen["within_variance"]))
        metrics["nc4"] = seen["nc4"]
        if last and mistakes.hierarchy is not None:
            levels = train.layers[LAST].levels
            found |= _of_tree(mistakes.hierarchy, levels, m, classifier[0], seen)
        if last and geometry is not None:
            target = jnp.asarray(geometry, jnp.float32)
            metrics["gram_to_theory"] = collapse.gram_distance(m, target)
        found |= {f"{prefix}nc/{name}": value for name, value in metrics.items()}
        beyond = unseen["within_variance"]
        found[f"{prefix}test/nc1"] = collapse.nc1(m, within_variance=beyond)
        found[f"{prefix}test/nc4"] = unseen["nc4"]
        found[f"{prefix}test/ncc_accuracy"] = unseen["ncc_accuracy"]
        found[f"{prefix}train/ncc_accuracy"] = seen["ncc_accuracy"]
    for split, state in (("train", train), ("test", test)):
        means = mistakes.summary(state.averages.compute())
        found |= {f"{split}/{name}": value for name, value in means.items()}
    return found


def _of_tree(
    tree: Hierarchy,
    levels: Sequence[Level],
    moments: ClassMoments,
    weights: jax.Array,
    train: Values,
) -> dict[str, jax.Array]:
    """Metrics of the last layer that a class tree allows."""
    found = collapse.tree_metrics(moments, tree)
    named = {"nc/gram_to_tree": found.pop("gram")}
    named |= {f"tree/{name}": value for name, value in found.items()}
    for level in levels:
        variance = train[f"{level.name}/within_variance"]
        metrics = collapse.level_metrics(level, moments, variance, weights)
        metrics["nc4"] = train[f"{level.name}/nc4"]
        named |= {f"tree/{level.name}/{name}": v for name, v in metrics.items()}
    return named
