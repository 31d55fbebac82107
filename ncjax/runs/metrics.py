"""The metrics in the rows of a run: what each key means.

A key is the place of a value and, last, the key of its metric: `nc/nc1` of the training
features, `test/nc1` of the test features about the training means, `train/loss`,
`layers/01_stem/nc/nc1`, `tree/level1/nc1`, `probe/NAME/KEY`.
"""

from __future__ import annotations

import dataclasses
from collections import ChainMap
from collections.abc import Mapping

from ncjax.collapse import METRICS as COLLAPSE
from ncjax.collapse.registry import Metric
from ncjax.evaluation.mistakes import METRICS as MISTAKES
from ncjax.evaluation.risk import METRICS as RISK
from ncjax.multilabel import METRICS as SETS, OF_OUTPUTS as OF_SCORES
from ncjax.ordinal import METRICS as ORDINAL, OF_OUTPUTS as OF_LEVELS
from ncjax.probes import METRICS as PROBES
from ncjax.regression import METRICS as REGRESSION, OF_OUTPUTS
from ncjax.tasks import METRICS as TASKS

# How often a network is wrong, and how far in the class tree; both small at best.
ERROR, SEVERITY = "test/error", "test/mistake_severity"

# All that a run may have; the last registry is printed first.
_METRICS = ChainMap(
    *(PROBES, SETS, OF_SCORES, ORDINAL, OF_LEVELS, TASKS, REGRESSION, OF_OUTPUTS),
    *(COLLAPSE, RISK, MISTAKES),
)


def describe(key: str) -> Metric:
    """The metric of a key, under that key; an unknown one is taken as it is.

    The longest end of the key that is registered counts: `test/loss` may be described
    otherwise than `loss`.  What a probe finds may have the name of another metric, so
    its own name must be part of that end: `NAME/KEY`, or `NAME/PLACE/KEY` where it
    measures the same in several places.
    """
    parts = key.split("/")
    ends = 2 if parts[0] == "probe" else len(parts)
    for start in range(ends):
        tail = "/".join(parts[start:])
        if tail in _METRICS:
            return _placed(_METRICS[tail], "/".join(parts[:start]), key)
    if parts[0] == "probe" and (tail := f"{parts[1]}/{parts[-1]}") in _METRICS:
        return _placed(_METRICS[tail], "/".join(parts[2:-1]), key)
    return Metric(key, key)


def meaning(key: str) -> str:
    """The sentence on the metric of a key; else its title; "" for an unknown one."""
    metric = describe(key)
    return metric.sentence or ("" if metric.title == key else metric.title)


def _placed(metric: Metric, place: str, key: str) -> Metric:
    """A metric at a place: its title says where it is not that of the home."""
    title = metric.title
    if place == "train":
        title = f"train {title}"
    elif place and place != metric.home:
        short = place in ("test", "running")
        title = f"{place} {title}" if short else f"{title} ({place})"
    compared = place in metric.compared
    curve = metric.curve if not compared or place == metric.compared[0] else None
    return dataclasses.replace(metric, key=key, title=title, curve=curve)


def compared() -> list[Metric]:
    """The metrics that are compared without being asked for, under their keys."""
    return [
        describe(f"{place}/{metric.key}")
        for metric in _METRICS.values()
        for place in metric.compared
    ]


def panels() -> list[Metric]:
    """The metrics with a panel in the figure and a row in the table of a run."""
    return [metric for metric in _METRICS.values() if metric.panel]


def headlines() -> list[Metric]:
    """The metrics that are printed before all others, of every target."""
    return [m for found in (COLLAPSE, REGRESSION, ORDINAL) for m in _headlines(found)]


def _headlines(registry: Mapping[str, Metric]) -> list[Metric]:
    return [m for m in registry.values() if m.headline and m.panel]


def outcomes() -> list[str]:
    """Keys of what comes of training: errors, R^2, MAE, and the headline metrics."""
    of_classes = "train/error", "test/error", *map(home_of, _headlines(COLLAPSE))
    vectors = "train/r2", "test/r2", *map(home_of, _headlines(REGRESSION))
    return [*of_classes, *vectors, "test/mae", *map(home_of, _headlines(ORDINAL))]


def home_of(metric: Metric) -> str:
    """Key of the value of a registered metric on the training set."""
    return f"{metric.home}/{metric.key}"
