"""What is compared: the one table of metrics."""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Metric:
    """How one metric is averaged, printed and drawn.

    Attributes:
        key: its name in metrics.jsonl.
        title: how people read it.
        part: the table in which it stands.
        smaller_is_better: or, for NC1-NC4, more collapsed; None where neither.
        log: intervals and tests on the logarithm: it spans decades.
        percent: printed as a percentage.
        curve: the axis of its curve; None: not drawn unless asked for.
        shown: compared where the runs have it; the others are compared on demand.
    """

    key: str
    title: str
    part: str
    smaller_is_better: bool | None = None
    log: bool = False
    percent: bool = False
    curve: Literal["log", "linear"] | None = None
    shown: bool = True

    @property
    def heading(self) -> str:
        """The title, its unit, and an arrow towards the better."""
        arrow = {True: " ↓", False: " ↑", None: ""}[self.smaller_is_better]
        return self.title + (", %" if self.percent else "") + arrow


_ERRORS, _COLLAPSE, _TREE = "Mistakes", "Collapse", "Geometry of the tree"
OTHER = "Other metrics"

METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric("test/error", "test error", _ERRORS, True, percent=True, curve="log"),
        Metric("train/error", "train error", _ERRORS, True, percent=True),
        Metric(
            "test/mistake_severity", "mistake severity", _ERRORS, True, curve="linear"
        ),
        Metric("test/ahd@1", "AHD@1", _ERRORS, True),
        Metric("test/ahd@5", "AHD@5", _ERRORS, True),
        Metric("nc/nc1", "NC1", _COLLAPSE, True, log=True, curve="log"),
        Metric("test/nc1", "test NC1", _COLLAPSE, True, log=True),
        Metric("nc/nc2", "NC2", _COLLAPSE, True, curve="log"),
        Metric("nc/nc3", "NC3", _COLLAPSE, True, curve="log"),
        Metric("nc/nc4", "NC4", _COLLAPSE, True, percent=True),
        Metric(
            "nc/gram_to_tree", "Gram distance to the tree", _TREE, True, curve="log"
        ),
        Metric(
            "nc/gram_to_theory", "Gram distance to theory", _TREE, True, curve="log"
        ),
        Metric("tree/sibling_cosine", "sibling cosine", _TREE, curve="linear"),
        # On demand.
        Metric("train/loss", "train loss", OTHER, True, log=True, shown=False),
        Metric("test/loss", "test loss", OTHER, True, shown=False),
        Metric("running/loss", "running loss", OTHER, True, log=True, shown=False),
        Metric("test/nc4", "test NC4", OTHER, True, percent=True, shown=False),
        Metric("nc/cdnv", "CDNV", OTHER, True, log=True, shown=False),
        Metric("nc/trace_ratio", "trace ratio", OTHER, True, log=True, shown=False),
        Metric("nc/snr", "SNR", OTHER, False, log=True, shown=False),
        Metric("nc/nc3_papyan", "NC3 (Papyan)", OTHER, True, log=True, shown=False),
    )
}


def describe(key: str) -> Metric:
    """The metric of that name; one that the table does not have is taken as it is.

    NC1 and its like span decades in every layer and for superclasses too.
    """
    like = METRICS.get(f"nc/{key.rpartition('/')[2]}")
    log = like is not None and like.log
    return METRICS.get(key, Metric(key, key, OTHER, log=log, shown=False))
