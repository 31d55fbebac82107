"""What was measured: the result, its table, and a sentence on every number."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from typing import TYPE_CHECKING, Any

from ncjax.collapse import METRICS
from ncjax.io import plain
from ncjax.moments import ClassMoments
from ncjax.options import suggest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Before the key of a metric: its value on the test set.
TEST = "test_"


def in_order(values: dict[str, float]) -> dict[str, float]:
    """The numbers as they are printed: headlines, those of the test set, all others."""
    headlines = [key for key, metric in METRICS.items() if metric.headline]
    tests = [TEST + key for key, metric in METRICS.items() if metric.on_test]
    order = dict.fromkeys([*headlines, *tests, *METRICS])
    return {key: values[key] for key in order if key in values}


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Neural collapse of a set of features; prints as a table.

    Attributes:
        values: key -> number, as `ncjax.collapse.METRICS` describes them, with `test_`
            before those of the test set; `nc1` to `nc4` are those of the preset.  NaN
            where a metric is undefined.
        measured: what was measured, and how: source, n, d, K, dtype, preset, ...
        warnings: what a reader of the numbers must know.
        moments: class moments of the training features.
        class_names: names of class 0, 1, ..., if they are known.
    """

    values: dict[str, float]
    measured: dict[str, Any]
    warnings: tuple[str, ...]
    moments: ClassMoments
    class_names: tuple[str, ...] | None = None

    def __getitem__(self, name: str) -> float:
        """One number, by its key."""
        if name not in self.values:
            raise KeyError(
                f"Unknown or not measured: {name!r}. Available: "
                f"{', '.join(self.values)}.{suggest(name, self.values)}"
            )
        return self.values[name]

    def to_dict(self) -> dict[str, Any]:
        """The numbers and, under `measured`, what was measured; ready for JSON.

        Values that are not finite, which JSON does not have, are None.
        """
        measured = self.measured | {"warnings": list(self.warnings)}
        return plain(self.values | {"measured": measured})

    def figure(self) -> Figure:
        """Spectrum and cosines of the class means, and the spread of each class."""
        from ncjax.measurement.figure import figure  # late: matplotlib takes a second

        return figure(self)

    def __str__(self) -> str:
        """The warnings, for they may make the numbers void, and the table."""
        cells = [self._cells(name, value) for name, value in self.values.items()]
        head = ("metric", "value", "ideal", "meaning")
        widths = [max(len(row[i]) for row in [head, *cells]) for i in range(3)]
        lines = [
            f"  {name:{widths[0]}} {value:>{widths[1]}} {ideal:>{widths[2]}}  {text}"
            for name, value, ideal, text in [head, *cells]
        ]
        notes = [
            textwrap.fill(f"warning: {text}", 88, subsequent_indent="  ")
            for text in self.warnings
        ]
        table = "\n".join(line.rstrip() for line in lines)
        return "\n\n".join([self._header(), *notes, table])

    def _cells(self, name: str, value: float) -> tuple[str, str, str, str]:
        """A row of the table: key, value, value at collapse, and what it means."""
        about = self.measured
        # NC2 and NC3 are copies of the metrics that the convention calls so.
        key = about["convention"][name] if name in ("nc2", "nc3") else name
        metric = METRICS[key.removeprefix(TEST)]
        sentence = metric.sentence if key in METRICS else metric.on_test
        if name == "nc1" and about["nc1_below_floor"]:
            sentence = "below the precision of the features; " + sentence
        ideal = metric.limit(about["classes_present"], about["d"])
        return name, digits(value), digits(ideal), sentence

    def _header(self) -> str:
        about = self.measured
        least, most = about["class_sizes"]
        sizes = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        lines = [
            f"Neural collapse of {about['source']}",
            f"{about['n']:,} {about['dtype']} features of width {about['d']:,}, "
            f"{about['classes_present']:,} classes of {sizes}",
            f"preset {about['preset']}, {about['classifier'] or 'no classifier'}, "
            f"computed in {about['state_dtype']}",
        ]
        floor = self.values.get("nc1_floor", math.nan)
        if math.isfinite(floor):
            verdict = {True: ", and NC1 is below", False: ", and NC1 is above"}
            lines.append(
                f"precision floor of NC1, from rounding to {about['dtype']}: "
                f"{floor:.2g}{verdict.get(about['nc1_below_floor'], '')}"
            )
        indent = {"initial_indent": "  ", "subsequent_indent": "    "}
        first, *rest = lines
        return "\n".join([first, *(textwrap.fill(line, 88, **indent) for line in rest)])


def digits(value: float | None) -> str:
    """Four digits; a dash where nothing is to be said."""
    if value is None:
        return "-"
    if math.isnan(value):
        return "undefined"
    return "0" if value == 0 else f"{value:.4g}"
