"""What mistakes cost: top-k errors, severity in a class tree, calibration.

Each metric is a mean over examples of a few values, or a function of such means, so
they are exact under any batching and sharding: `values` of every batch, averaged over
the data, then `summary` once.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ncjax.collapse.registry import MISTAKES, Metric, collect
from ncjax.hierarchy import Hierarchy

BINS = 15  # of confidence, for the calibration error


@dataclasses.dataclass(frozen=True, eq=False)
class Mistakes:
    """Metrics of ranked classes against labels.

    With `scores` [n, K], the largest is the decision.  `values` gives means' summands,
    `summary` from their means:

    - `error`, `topK_error`: the label is not among the k best.
    - `ece`: expected calibration error of the softmax of the scores over 15 bins of
      confidence (Guo et al., ICML 2017).

    and with a tree, with h the height of the lowest common ancestor (Bertinetto et al.,
    CVPR 2020):

    - `mistake_severity`: mean h between label and decision over mistakes alone; NaN,
      not 0, without mistakes.
    - `ahd@k`: mean h over the k best classes and all examples; `ahd@1` = error x
      severity.
    - `min_distance@k`: least h among the k best.
    - `precision@k`: sum of 1 - h/H over the k best, over the largest possible sum
      (Frome et al., NeurIPS 2013, as that code has it).
    - `levelA_error`: the decision lies in another superclass at depth A.
    - `crm_...`: the same for classes ranked by their expected h under the softmax of
      the scores, conditional risk minimisation (Karthik et al., ICLR 2021).

    Attributes:
        hierarchy: tree over the K classes, or None.
        top: the ks; those from K on are left out.
        calibration: also `ece`.
        crm: also the metrics after conditional risk minimisation.
        confusion: also count which class is taken for which; see `confusion`.
    """

    hierarchy: Hierarchy | None = None
    top: tuple[int, ...] = (1, 5)
    calibration: bool = True
    crm: bool = False
    confusion: bool = False

    def values(
        self, scores: Float[Array, "n K"], labels: Int[Array, "n"]
    ) -> dict[str, jax.Array]:
        """Values of each example, [n] or [n, bins]."""
        found = self._ranked(scores, labels)
        probability = jax.nn.softmax(scores, axis=1)
        if self.calibration:
            confidence = probability.max(1)
            right = scores.argmax(1) == labels
            bins = jnp.clip(jnp.ceil(confidence * BINS) - 1, 0, BINS - 1)
            inside = bins[:, None] == jnp.arange(BINS)
            found["_gap"] = inside * (confidence - right)[:, None]
        if self.hierarchy is not None and self.crm:
            heights = jnp.asarray(self.hierarchy.lca_heights(), scores.dtype)
            risk = jnp.matmul(probability, heights, precision="highest")
            ranked = self._ranked(-risk, labels)
            found |= {f"crm_{name}": value for name, value in ranked.items()}
        return found

    def summary(self, means: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """Metrics from the means over all examples of what `values` gave."""
        found = {k: v for k, v in means.items() if not k.startswith("_")}
        if "_gap" in means:
            found["ece"] = jnp.sum(jnp.abs(means["_gap"]))
        for prefix in ("", "crm_"):
            if f"{prefix}ahd@1" in found:
                error, distance = found[f"{prefix}error"], found[f"{prefix}ahd@1"]
                found[f"{prefix}mistake_severity"] = jnp.where(
                    error > 0, distance / error, jnp.nan
                )
        return found

    def _ranked(self, scores, labels) -> dict[str, jax.Array]:
        num_classes = scores.shape[1]
        ks = sorted({k for k in self.top if 1 < k < num_classes} | {1})
        best = jax.lax.top_k(scores, ks[-1])[1] if ks[-1] > 1 else None
        # Ties go to the first class, in argmax as in the rest of the library.
        best = scores.argmax(1)[:, None] if best is None else best
        hit = best == labels[:, None]
        found = {"error": ~hit[:, 0]}
        found |= {f"top{k}_error": ~hit[:, :k].any(1) for k in ks if k > 1}
        if self.hierarchy is None:
            return found
        table = self.hierarchy.lca_heights()
        heights = jnp.asarray(table)[labels[:, None], best].astype(scores.dtype)
        highest = self.hierarchy.height
        sorted_rows = np.sort(table, axis=1)
        for k in ks:
            found[f"ahd@{k}"] = heights[:, :k].mean(1)
            if k == 1:
                continue
            found[f"min_distance@{k}"] = heights[:, :k].min(1)
            possible = (1 - sorted_rows[:, :k] / highest).sum(1)
            gained = (1 - heights[:, :k] / highest).sum(1)
            found[f"precision@{k}"] = (
                gained / jnp.asarray(possible, scores.dtype)[labels]
            )
        for depth in self.hierarchy.levels[:-1]:  # at the last these are the classes
            groups = jnp.asarray(self.hierarchy.superclasses(depth)[0])
            found[f"level{depth}_error"] = groups[best[:, 0]] != groups[labels]
        return found


def confusion(
    decisions: Int[Array, "n"],
    labels: Int[Array, "n"],
    num_classes: int,
    weights: Float[Array, "n"] | None = None,
) -> jax.Array:
    """How often class k (row) was taken for class j (column) [K, K]."""
    cells = labels * num_classes + decisions
    counts = jnp.bincount(cells, weights, length=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def confusion_by_level(
    table: np.ndarray, hierarchy: Hierarchy, depth: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """A confusion matrix [K, K] summed over the superclasses at a depth.

    Returns:
        [G, G] and the names of the G superclasses.

    Raises:
        ValueError: if the matrix is not [K, K] for the K classes of the tree.
    """
    table = np.asarray(table)
    if table.shape != (hierarchy.num_classes,) * 2:
        raise ValueError(
            f"The confusion matrix has shape {table.shape}, the tree has "
            f"{hierarchy.num_classes} classes."
        )
    groups, names = hierarchy.superclasses(depth)
    member = (groups == np.arange(len(names))[:, None]).astype(table.dtype)
    return member @ table @ member.T, names


# What a run finds beside the collapse metrics; the loss is that of training.
METRICS: dict[str, Metric] = collect(
    (
        Metric(
            "error",
            "error",
            "share of examples that are not classified as their label",
            home="train",
            part=MISTAKES,
            smaller_is_better=True,
            percent=True,
            compared=("test", "train"),
            curve="log",
            panel="Error",
        ),
        Metric(
            "loss",
            "loss",
            "mean loss",
            home="train",
            smaller_is_better=True,
            log=True,
            panel="Loss",
        ),
        # It has a floor, and spans no decades.
        Metric("test/loss", "test loss", "mean loss", smaller_is_better=True),
        Metric(
            "mistake_severity",
            "mistake severity",
            "mean height of the lowest common ancestor of label and wrong decision",
            home="test",
            part=MISTAKES,
            smaller_is_better=True,
            compared=("test",),
            curve="linear",
        ),
        Metric(
            "ahd@1",
            "AHD@1",
            "mean height of the lowest common ancestor of label and decision",
            home="test",
            part=MISTAKES,
            smaller_is_better=True,
            compared=("test",),
        ),
        Metric(
            "ahd@5",
            "AHD@5",
            "the same, mean over the five best classes",
            home="test",
            part=MISTAKES,
            smaller_is_better=True,
            compared=("test",),
        ),
        Metric(
            "ece",
            "calibration error",
            "expected calibration error over 15 bins of confidence",
            home="test",
            part=MISTAKES,
            smaller_is_better=True,
        ),
    )
)
