"""What a metric is: its function, its value at collapse, and how people read it.

A module of this folder lists the metrics of its functions as `METRICS`, right beside
them; `ncjax.collapse.METRICS` collects all.  Measurements, tables, figures, comparisons
and reports read the registry and nothing else, so a metric is written in one place.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

Needs = Literal["moments", "within", "scatter", "norm", "normalised", "classifier"]
Value = Callable[[Any], Any]  # `ncjax.collapse.measure.Inputs` -> scalar
# (number of classes K, feature width d) -> value at collapse; None: not known.
Limit = Callable[[int, int], float | None]
# (number of classes K, feature width d) -> whether it is computed without being asked.
Unasked = Callable[[int, int], bool]
# What leaves the geometry of features and classifier as it is.
Change = Literal["shift", "scale", "rotate", "permute", "scale W"]

# Headings of the tables of a comparison.
MISTAKES, COLLAPSE, TREE = "Mistakes", "Collapse", "Geometry of the tree"
OTHER = "Other metrics"


def always(value: float | None) -> Limit:
    """The same value at collapse, at any number of classes and feature width."""
    return lambda num_classes, feature_dim: value


zero, one, infinity, unknown = map(always, (0.0, 1.0, math.inf, None))


def at_any_size(num_classes: int, feature_dim: int) -> bool:
    """Whether it is computed at this K and d: it always is."""
    return True


def crowded(num_classes: int, feature_dim: int) -> bool:
    """Whether K > d + 1: there are more classes than a simplex has room for."""
    return num_classes > feature_dim + 1


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
        function: inputs -> scalar; None where `ncjax.collapse.measure` does not find
            the metric: it takes single features, or is no matter of collapse.
        needs: what `function` needs of its inputs: class "moments" alone, "within" (the
            variance within classes along the class means), the "scatter" matrix, the
            largest "norm", the moments of the "normalised" features, or the
            "classifier" as well; a tuple where it needs several.
        limit: (K, d) -> value at collapse, None where there is none to be known.
        unasked: (K, d) -> whether it is computed without being asked for by name; not
            where it takes long, or says nothing.
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
            the table of a run too.  "" for none.  Those of a tree are shown for losses
            that know one.
    """

    key: str
    title: str
    sentence: str = ""
    function: Value | None = None
    needs: Needs | tuple[Needs, ...] = "moments"
    limit: Limit = unknown
    unasked: Unasked = at_any_size
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


# What most metrics are: a distance that falls to 0, or a share that rises to 1.
to_zero = functools.partial(Metric, limit=zero, smaller_is_better=True)
to_one = functools.partial(Metric, limit=one, smaller_is_better=False)
# The same of the classifier, alone or beside the class means.
of_classifier = functools.partial(to_zero, needs="classifier")
# NC1 to NC4.
headline = functools.partial(to_zero, headline=True, part=COLLAPSE, compared=("nc",))


def of_both(
    key: str, title: str, sentence: str, of_means: Value, of_rows: Value, **options: Any
) -> tuple[Metric, Metric]:
    """A metric of the class means, and the same of the rows of the classifier.

    Args:
        key: its key; that of the other ends in `_w`.
        title: its title; that of the other ends in " of W".
        sentence: what it means, of the "centred class means"; that of the other says
            "rows of W" in their place.
        of_means: inputs -> its value.
        of_rows: inputs -> the value of the other.
        **options: further fields of both, where they are not those of `to_zero`.
    """
    return (
        to_zero(key, title, sentence, of_means, **options),
        of_classifier(
            key.removesuffix("_means") + "_w",
            title.removesuffix(" of the means") + " of W",
            sentence.replace("centred class means", "rows of W"),
            of_rows,
            **options,
        ),
    )


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
