"""What was measured: the result, its table, and a sentence on every number."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ncjax.codes import best_margin
from ncjax.collapse import METRICS
from ncjax.collapse.registry import crowded
from ncjax.io import plain
from ncjax.moments import ClassMoments
from ncjax.options import unknown
from ncjax.table import Part, Result, Table

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
class Measurement(Result):
    """Neural collapse of a set of features; prints as a table.

    Attributes:
        values: key -> number, as `ncjax.collapse.METRICS` describes them, with `test_`
            before those of the test set; `nc1` to `nc4` are those of the preset.  NaN
            where a metric is undefined.
        measured: what was measured, and how: source, n, d, K, dtype, preset, ...
        warnings: what a reader of the numbers must know.
        moments: class moments of the training features.
        class_names: names of class 0, 1, ..., if they are known.
        detection: score of `ncjax.ood.SCORES` -> "auroc", "fpr95" and "aupr", of
            out-of-distribution features against the test features, where both were
            given.
    """

    values: dict[str, float]
    measured: dict[str, Any]
    warnings: tuple[str, ...]
    moments: ClassMoments
    class_names: tuple[str, ...] | None = None
    detection: Mapping[str, Mapping[str, float]] = dataclasses.field(
        default_factory=dict
    )

    def __getitem__(self, name: str) -> float:
        """One number, by its key."""
        if name not in self.values:
            raise KeyError(unknown("or not measured metric", name, self.values))
        return self.values[name]

    def to_dict(self) -> dict[str, Any]:
        """The numbers and, under `measured`, what was measured; ready for JSON.

        Values that are not finite, which JSON does not have, are None.
        """
        measured = self.measured | {"warnings": list(self.warnings)}
        more = {"ood": self.detection} if self.detection else {}
        return plain(self.values | more | {"measured": measured})

    def to_rows(self) -> list[dict[str, Any]]:
        """Key, value, value at collapse and meaning of each number."""
        return [
            {"metric": name, "value": value, "ideal": ideal, "meaning": sentence}
            for name, value in self.values.items()
            for ideal, sentence in [self._describe(name)]
        ]

    def parts(self) -> list[Part]:
        """The header; the warnings, for they may make the numbers void; the table."""
        head = ("metric", "value", "ideal", "meaning")
        cells = [
            (
                row["metric"],
                digits(row["value"]),
                digits(row["ideal"]),
                row["meaning"],
            )
            for row in self.to_rows()
        ]
        notes = [
            textwrap.fill(f"warning: {text}", 88, subsequent_indent="  ")
            for text in self.warnings
        ]
        return [
            self._header(),
            *notes,
            Table([head, *cells], "<>><"),
            *self._outliers(),
        ]

    def _outliers(self) -> list[Part]:
        """How well each score parts test features from outliers, the best first."""
        if not self.detection:
            return []
        head = ("OOD score", "AUROC", "FPR95", "AUPR")
        ranked = sorted(self.detection.items(), key=lambda x: -x[1]["auroc"])
        rows = [
            (name, *(digits(of[key]) for key in ("auroc", "fpr95", "aupr")))
            for name, of in ranked
        ]
        note = "Positives of FPR95 and AUPR are the test features."
        return [Table([head, *rows], "<>", notes=(note,))]

    def plot(self, columns: int | None = None) -> Figure:
        """Spectrum and cosines of the class means, and the spread of each class.

        Args:
            columns: 1 or 2 for so many columns of a page; None for a screen.
        """
        from ncjax.measurement.figure import figure  # late: matplotlib takes a second

        return figure(self.moments, self._title(), self.class_names, columns)

    figure = plot  # its older name

    def __repr__(self) -> str:
        """The headlines of the numbers."""
        return f"<Measurement of {self.measured['source']}: {self._headlines()}>"

    def _headlines(self) -> str:
        return ", ".join(
            f"{metric.title} {self.values[key]:.3g}"
            for key, metric in METRICS.items()
            if metric.headline and key in self.values
        )

    def _title(self) -> str:
        """What was measured, and the headlines of its numbers."""
        about, source = self.measured, self.measured["source"]
        source = source if len(source) <= 60 else "..." + source[-57:]
        return (
            f"{source}:  {about['n']:,} features of width {about['d']:,}, "
            f"{about['classes_present']:,} classes\n"
            f"{textwrap.fill(self._headlines(), 110)}"
        )

    def _describe(self, name: str) -> tuple[float | None, str]:
        """The value at collapse, and a sentence on what a number means."""
        about = self.measured
        # NC2 and NC3 are copies of the metrics that the convention calls so.
        key = about["convention"][name] if name in ("nc2", "nc3") else name
        metric = METRICS[key.removeprefix(TEST)]
        sentence = metric.sentence if key in METRICS else metric.on_test
        if name == "nc1" and about["nc1_below_floor"]:
            sentence = "below the precision of the features; " + sentence
        return metric.limit(about["classes_present"], about["d"]), sentence

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
        classes, width = about["classes_present"], about["d"]
        if crowded(classes, width) and width > 1:
            lines.append(f"GNC2: {best_margin(classes, width)[1]}")
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
