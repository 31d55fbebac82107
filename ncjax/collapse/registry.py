"""What a metric is: its function, its value at collapse, and how people read it.

A module of this folder lists the metrics of its functions as `METRICS`, right beside
them; `ncjax.collapse.METRICS` collects all.  Measurements, tables, figures, comparisons
and reports read the registry and nothing else, so a metric is written in one place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import jax

    from ncjax.collapse.measure import Inputs

Needs = Literal["moments", "within", "scatter", "classifier"]
# (number of classes K, feature width d) -> value at collapse; None: not known.
Limit = Callable[[int, int], float | None]
# What leaves the geometry of features and classifier as it is.
Change = Literal["shift", "scale", "rotate", "permute", "scale W"]

# Headings of the tables of a comparison.
MISTAKES, COLLAPSE, TREE = "Mistakes", "Collapse", "Geometry of the tree"
OTHER = "Other metrics"


def zero(num_classes: int, feature_dim: int) -> float:
    """0 at collapse, at any number of classes and feature width."""
    del num_classes, feature_dim
    return 0.0


def one(num_classes: int, feature_dim: int) -> float:
    """1 at collapse, at any number of classes and feature width."""
    del num_classes, feature_dim
    return 1.0


def infinity(num_classes: int, feature_dim: int) -> float:
    """Infinite at collapse, at any number of classes and feature width."""
    del num_classes, feature_dim
    return float("inf")


def unknown(num_classes: int, feature_dim: int) -> None:
    """No value stands for collapse."""
    del num_classes, feature_dim


@dataclasses.dataclass(frozen=True)
class Metric:
    """One metric: how it is found, what it means, how it is averaged, printed, drawn.

    Attributes:
        key: its name.  In the rows of a run the last part of a longer key, such as
            `nc/nc1`, `test/nc1` or `layers/01_stem/nc/nc1`; see
            `ncjax.runs.metrics.describe`.  A key may itself have several parts, where
            one part alone would mean something else.
        title: how people read it.
        sentence: what it means, for the table of `ncjax.measure`.
        needs: what `function` needs of its inputs: class "moments" alone, "within" (the
            variance within classes along the class means), the "scatter" matrix, or the
            "classifier" as well.
        function: inputs -> scalar; None where `ncjax.collapse.measure` does not find
            the metric: it takes single features, or is no matter of collapse.
        limit: (K, d) -> value at collapse, None where there is none to be known.
        on_request: computed only where it is asked for by name, because it takes long.
        changes_with: the changes that leave the geometry as it is, but not this metric:
            a common "shift" of the features, their "scale" or rotation ("rotate"),
            another order of the classes ("permute"), the scale of the classifier.
        gradient: whether it has one, so that it can be a regulariser.
        headline: printed before all others.
        on_test: what the value on the test set means; "" where there is none.
        home: first part of the key in the rows of a run for the value that bears the
            title alone, of the training set if there is one: "nc" for `nc/nc1`.
        part: table of a comparison in which it stands.
        smaller_is_better: or, for NC1 to NC4, more collapsed; None where neither is.
        log: averages, intervals and tests take the logarithm, for it spans decades.
        percent: printed as a percentage.
        compared: first parts of the keys that are compared without being asked for,
            such as ("nc", "test"); the first of them gets the curve.
        curve: axis of its curve in comparisons; None: drawn only if asked for.
        panel: title of its panel in collapse.png and layers.png; it then has a row in
            the table of a run too.  "" for none.
    """

    key: str
    title: str
    sentence: str = ""
    needs: Needs = "moments"
    function: Callable[[Inputs], jax.Array] | None = None
    limit: Limit = unknown
    on_request: bool = False
    changes_with: tuple[Change, ...] = ()
    gradient: bool = True
    headline: bool = False
    on_test: str = ""
    home: str = "nc"
    part: str = OTHER
    smaller_is_better: bool | None = None
    log: bool = False
    percent: bool = False
    compared: tuple[str, ...] = ()
    curve: Literal["log", "linear"] | None = None
    panel: str = ""

    @property
    def heading(self) -> str:
        """The title, its unit, and an arrow towards the better."""
        arrow = {True: " ↓", False: " ↑", None: ""}[self.smaller_is_better]
        return self.title + (", %" if self.percent else "") + arrow


def collect(*groups: Iterable[Metric]) -> dict[str, Metric]:
    """Key -> metric, headlines first, else in the order given.

    Args:
        groups: the metrics of each module.

    Raises:
        ValueError: if two metrics have the same key.
    """
    metrics = [metric for group in groups for metric in group]
    found: dict[str, Metric] = {}
    for metric in sorted(metrics, key=lambda metric: not metric.headline):
        if metric.key in found:
            raise ValueError(f"Two metrics have the key {metric.key!r}.")
        found[metric.key] = metric
    return found
