"""What mistakes cost: top-k errors, severity in a class tree, calibration.

Each metric is a mean over examples, or a function of such means, so it does not depend
on how the examples are split into batches or over devices: `Mistakes.values` of every
batch go into `ncjax.averages.Averages`, and `Mistakes.summary` turns the means of all
examples into the metrics.
"""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from ncjax.collapse.registry import MISTAKES, Metric, collect
from ncjax.evaluation.decisions import specific_values
from ncjax.evaluation.order import Order, superclass_probability
from ncjax.hierarchy import Hierarchy
from ncjax.labels import class_indices

BINS = 15  # number of intervals of confidence, for the calibration error


@dataclasses.dataclass(frozen=True, eq=False)
class Mistakes:
    """Which metrics to compute of the classes that a network ranks highest.

    A network gives every example a score for each of K classes; the class of the
    largest score is its decision.  The metrics are:

    - `error`: share of examples whose label is not the decision.
    - `topK_error`: share of examples whose label is not among the k best classes.
    - `ece`: expected calibration error of the softmax of the scores, over 15 bins of
      confidence (Guo et al., ICML 2017).

    With a class tree of height H, where h is the height of the lowest common ancestor
    of the label and another class (Bertinetto et al., CVPR 2020), also:

    - `mistake_severity`: mean h of the decision, over the mistakes alone; NaN, not 0,
      if there are no mistakes.
    - `mistake_severity_depth`: the same with H minus the depth of that ancestor, the
      distance that the data of those authors have, in trees where it is another.
    - `hierarchical_precision`, `_recall`, `_f1`: of the nodes from below the root to
      the decision, the share that leads to the label too; of the nodes that lead to the
      label, the share that leads to the decision; and the harmonic mean of both.  Nodes
      are counted over all examples (Kiritchenko et al., 2006).
    - `ahd@k`: mean h of the k best classes, over all examples; `ahd@1` is the error
      times the severity.
    - `min_distance@k`: mean of the least h among the k best classes.
    - `precision@k`: sum of 1 - h/H over the k best classes, divided by the largest
      possible such sum (Frome et al., NeurIPS 2013, as their code computes it).
    - `levelA_error`: share of examples whose decision lies in another superclass at
      depth A of the tree.
    - `levelA_ece`: with `order`, the calibration error of the superclasses at depth A.
    - `hops`, `exact_order`, `fpa`: with `order`; see `ncjax.evaluation.order.Order`.
    - `specific_right`, `specific_information`: with `specific`, the share of examples
      whose node is right, and the mean bits that it says, when each is decided for the
      deepest node of at least that probability; see `ncjax.evaluation.decisions`.
    - `crm_...`: the same metrics of the classes ranked by their expected h under the
      softmax of the scores, which is conditional risk minimisation (Karthik et al.,
      ICLR 2021).

    Attributes:
        hierarchy: class tree over the K classes, or None.
        top: the numbers k of best classes; those from K on are left out.
        calibration: whether to compute `ece`.
        crm: whether to compute the metrics after conditional risk minimisation.
        confusion: whether to count which class is taken for which; see `confusion`.
        order: whether to compare the order of all classes with that of the tree.
        specific: least probability of the nodes that `ncjax.evaluation.decisions`
            decides for; 0 leaves these decisions out.
    """

    hierarchy: Hierarchy | None = None
    top: tuple[int, ...] = (1, 5, 20)
    calibration: bool = True
    crm: bool = False
    confusion: bool = False
    order: bool = False
    specific: float = 0.0

    def values(
        self, scores: Float[Array, "n K"], labels: Integer[Array, "n"]
    ) -> dict[str, jax.Array]:
        """What is to be averaged over all examples.

        Args:
            scores: scores of the K classes for each example [n, K].
            labels: class of each example [n], in 0..K-1.

        Returns:
            Name -> the value of each example, [n] or [n, bins].

        Raises:
            ValueError: for labels out of range, where they are known: outside `jit`.
        """
        labels = class_indices(labels, scores.shape[1])
        found = self._ranked(scores, labels)
        probability = jax.nn.softmax(scores, axis=1)
        if self.calibration:
            right = scores.argmax(1) == labels
            found["_gap"] = _gaps(probability.max(1), right)
        if self.hierarchy is None:
            return found
        if self.order:
            found |= Order(self.hierarchy).values(scores, labels)
        for depth in self.hierarchy.levels[:-1] if self.order else ():
            inside, groups = superclass_probability(probability, self.hierarchy, depth)
            right = inside.argmax(1) == groups[labels]
            found[f"_gap_level{depth}"] = _gaps(inside.max(1), right)
        if self.specific:
            found |= specific_values(probability, labels, self.hierarchy, self.specific)
        if self.crm:
            heights = jnp.asarray(self.hierarchy.lca_heights(), scores.dtype)
            risk = jnp.matmul(probability, heights, precision="highest")
            ranked = self._ranked(-risk, labels)
            found |= {f"crm_{name}": value for name, value in ranked.items()}
        return found

    def summary(self, means: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """The metrics, from the means over all examples of what `values` gives."""
        found = {k: v for k, v in means.items() if not k.startswith(("_", "crm__"))}
        for name, gaps in means.items():
            if name.startswith("_gap"):
                level = name.removeprefix("_gap").removeprefix("_")
                found[f"{level}_ece".lstrip("_")] = jnp.sum(jnp.abs(gaps))
        for prefix in ("", "crm_"):
            if f"{prefix}ahd@1" in found:
                found |= _of_decisions(means, prefix)
        return found

    def _ranked(self, scores, labels) -> dict[str, jax.Array]:
        """Values of each example, for classes ranked by these scores."""
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
        found |= self._decided(best[:, 0], labels, scores.dtype)
        for depth in self.hierarchy.levels[:-1]:  # at the last these are the classes
            groups = jnp.asarray(self.hierarchy.superclasses(depth)[0])
            found[f"level{depth}_error"] = groups[best[:, 0]] != groups[labels]
        return found

    def _decided(self, decisions, labels, dtype) -> dict[str, jax.Array]:
        """What the metrics of the decisions are made of, beside `ahd@1`."""
        tree = self.hierarchy
        assert tree is not None
        common, depths = tree.lca_depths(), tree.depths[tree.leaves]
        found = {
            "_common": jnp.asarray(common)[labels, decisions].astype(dtype),
            "_nodes_of_decision": jnp.asarray(depths)[decisions].astype(dtype),
            "_nodes_of_label": jnp.asarray(depths)[labels].astype(dtype),
        }
        heights, away = (
            tree.distances(rule, normalise=False) for rule in ("height", "depth")
        )
        if not np.array_equal(heights, away):
            far = jnp.asarray(away)[labels, decisions]
            found["_depth_distance"] = far.astype(dtype)
        return found


def _gaps(confidence: jax.Array, right: jax.Array) -> jax.Array:
    """Confidence minus success of each example, in its bin of confidence [n, bins]."""
    bins = jnp.clip(jnp.ceil(confidence * BINS) - 1, 0, BINS - 1)
    inside = bins[:, None] == jnp.arange(BINS)[None]
    return inside * (confidence - right)[:, None]


def _of_decisions(means: dict[str, jax.Array], prefix: str) -> dict[str, jax.Array]:
    """The metrics of the decisions that are quotients of means."""
    error, found = means[f"{prefix}error"], {}
    kinds = {"mistake_severity": "ahd@1", "mistake_severity_depth": "_depth_distance"}
    for name, of in kinds.items():
        if f"{prefix}{of}" in means:
            severity = jnp.where(error > 0, means[f"{prefix}{of}"] / error, jnp.nan)
            found[f"{prefix}{name}"] = severity
    common, decided, labelled = (
        means[f"{prefix}{name}"]
        for name in ("_common", "_nodes_of_decision", "_nodes_of_label")
    )
    kind = f"{prefix}hierarchical_"
    return found | {
        f"{kind}precision": common / decided,
        f"{kind}recall": common / labelled,
        f"{kind}f1": 2 * common / (decided + labelled),
    }


def confusion(
    decisions: Integer[Array, "n"],
    labels: Integer[Array, "n"],
    num_classes: int,
    weights: Float[Array, "n"] | None = None,
) -> jax.Array:
    """How often an example of class k (row) was taken for class j (column).

    Args:
        decisions: class that the network decides for, for each example [n].
        labels: class of each example [n], in 0..K-1.
        num_classes: number of classes K.
        weights: weight of each example [n]; by default 1.

    Returns:
        Counts, or sums of weights, [K, K].  Inside `jit` an example with a label or a
        decision out of range is in no cell.

    Raises:
        ValueError: for labels or decisions out of range, where they are known: outside
            `jit`.
    """
    labels = class_indices(labels, num_classes, weights=weights)
    decisions = class_indices(decisions, num_classes, weights=weights, name="decisions")
    inside = (labels >= 0) & (labels < num_classes)
    inside &= (decisions >= 0) & (decisions < num_classes)
    # What lies beyond the last cell is not counted.
    cells = jnp.where(inside, labels * num_classes + decisions, num_classes**2)
    counts = jnp.bincount(cells, weights, length=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def confusion_by_level(
    table: np.ndarray, hierarchy: Hierarchy, depth: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The confusion matrix of the superclasses at one depth of a class tree.

    Args:
        table: confusion matrix of the classes [K, K], as `confusion` counts it.
        hierarchy: class tree over the K classes.
        depth: depth in the tree; 0 is the root.

    Returns:
        The matrix [G, G] and the names of the G superclasses.

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
_lower = partial(Metric, smaller_is_better=True)
_on_test = partial(_lower, home="test", part=MISTAKES, compared=("test",))
METRICS: dict[str, Metric] = collect(
    (
        _lower(
            "error",
            "error",
            "share of examples that are not classified as their label",
            home="train",
            part=MISTAKES,
            percent=True,
            compared=("test", "train"),
            curve="log",
            panel="Error",
        ),
        _lower("loss", "loss", "mean loss", home="train", log=True, panel="Loss"),
        # It has a floor, and spans no decades.
        _lower("test/loss", "test loss", "mean loss"),
        _on_test(
            "mistake_severity",
            "mistake severity",
            "mean height of the lowest common ancestor of label and wrong decision",
            curve="linear",
        ),
        _on_test(
            "ahd@1",
            "AHD@1",
            "mean height of the lowest common ancestor of label and decision",
        ),
        _on_test(
            "ahd@5",
            "AHD@5",
            "the same, mean over the five best classes",
        ),
        _on_test(
            "ahd@20",
            "AHD@20",
            "the same, mean over the twenty best classes",
        ),
        _on_test(
            "mistake_severity_depth",
            "mistake severity by depth",
            "mean over the mistakes of the tree's height minus that ancestor's depth",
            compared=(),
        ),
        _on_test(
            "hierarchical_f1",
            "hierarchical F",
            "share of the nodes above label and decision that both have in common",
            smaller_is_better=False,
            compared=(),
        ),
        _on_test(
            "hops",
            "HOPS",
            "agreement of the order of all classes with that of the tree",
            smaller_is_better=False,
        ),
        _on_test(
            "hops@20",
            "HOPS@20",
            "the same of the twenty best classes",
            smaller_is_better=False,
        ),
        _on_test(
            "exact_order",
            "exact order",
            "share of examples whose classes are all ranked as in the tree",
            smaller_is_better=False,
            percent=True,
            compared=(),
        ),
        _on_test(
            "fpa",
            "full-path accuracy",
            "share of examples whose superclass is right at every depth",
            smaller_is_better=False,
            percent=True,
        ),
        _on_test(
            "specific_right",
            "right nodes",
            "share of examples whose deepest node of enough probability is right",
            smaller_is_better=False,
            percent=True,
            compared=(),
        ),
        _on_test(
            "specific_information",
            "information of the nodes",
            "mean bits that this node says of the class",
            smaller_is_better=False,
            compared=(),
        ),
        _on_test(
            "ece",
            "calibration error",
            "expected calibration error over 15 bins of confidence",
            compared=(),
        ),
    )
)
