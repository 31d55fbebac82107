"""What was measured: the result, its table, and a sentence on every number."""

from __future__ import annotations

import dataclasses
import math
import os
import textwrap
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ncjax.moments import ClassMoments

Ideal = Callable[[int, int], float | None]  # (K, d) -> value at collapse, None if any


def _zero(k: int, d: int) -> float:
    del k, d
    return 0.0


def _one(k: int, d: int) -> float:
    del k, d
    return 1.0


def _any(k: int, d: int) -> None:
    del k, d


def _infinity(k: int, d: int) -> float:
    del k, d
    return math.inf


def _rank(k: int, d: int) -> float:
    return float(min(k - 1, d))


def _simplex(k: int, d: int) -> float | None:
    """Mean log kernel at a simplex, where there is room for one."""
    return -0.5 * math.log(2 * k / (k - 1)) if d >= k - 1 else None


def _room(k: int, d: int) -> float | None:
    """0 where there is room for a simplex, else it cannot be."""
    return 0.0 if d >= k - 1 else None


def _margin(k: int, d: int) -> float | None:
    """The greatest one-vs-rest distance, where it has a closed form."""
    return k / (k - 1) if d >= k - 1 else 1.0 if k <= 2 * d else None


def _nc2(k: int, d: int) -> float:
    """The least NC2 that d dimensions allow."""
    return math.sqrt(max(0.0, 2 - 2 * math.sqrt(min(1.0, d / (k - 1)))))


# name: (value at collapse, what it means); in the order in which they are printed.
SENTENCES: dict[str, tuple[Ideal, str]] = {
    "nc1": (_zero, "spread within classes over distance between their means"),
    "nc2": (_nc2, "distance of {nc2} to a simplex (equal norms and angles)"),
    "nc3": (_zero, "distance of classifier and centred class means"),
    "nc4": (_zero, "share of samples not classified as their nearest class mean"),
    "ncc_accuracy": (_one, "accuracy of the nearest class mean"),
    "accuracy": (_one, "accuracy of the network itself"),
    "test_nc1": (_zero, "NC1 of the test features about the training means"),
    "test_nc4": (_zero, "NC4 of the test features"),
    "test_ncc_accuracy": (_one, "test accuracy of the nearest training mean"),
    "test_accuracy": (_one, "test accuracy of the network itself"),
    "nc5": (_zero, "|cosine| of the class means and the mean outlier (OOD)"),
    "neco_in": (_one, "NECO score of known data: their share along the means"),
    "neco_ood": (_zero, "NECO score of outliers"),
    "neco_auroc": (_one, "chance that an outlier has the lower NECO score"),
    "nc1_floor": (_any, "the NC1 that rounding of the features alone would give"),
    "trace_ratio": (_zero, "total variance within over between classes"),
    "cdnv": (_zero, "variance over squared distance, mean of all class pairs"),
    "snr": (_infinity, "squared distance over variance, mean of all class pairs"),
    "vci": (_zero, "variability collapse index, blind to linear maps; 0 to 1"),
    "rank": (_rank, "dimensions that the centred class means span"),
    "numerical_rank": (_rank, "the same, counting weak directions less"),
    "nc2_means": (_nc2, "distance of the class means to a simplex"),
    "equinorm": (_zero, "relative spread of the norms of the centred means"),
    "equiangularity": (_room, "standard deviation of their cosines"),
    "max_angle": (_room, "mean distance of their cosines from -1/(K-1)"),
    "uniformity": (_simplex, "mean log inverse distance of their directions"),
    "uniformity_var": (_room, "variance of that over class pairs"),
    "uniformity_riesz": (_simplex, "Riesz energy of their directions, as a mean log"),
    "one_vs_rest": (_margin, "least distance of a direction to the hull of the others"),
    "nc2_w": (_nc2, "distance of the classifier to a simplex"),
    "equinorm_w": (_zero, "relative spread of the norms of its rows"),
    "equiangularity_w": (_room, "standard deviation of the cosines of its rows"),
    "max_angle_w": (_room, "mean distance of these cosines from -1/(K-1)"),
    "one_vs_rest_w": (_margin, "the same of the rows of the classifier"),
    "nc3_etf": (_nc2, "distance of W times class means to a simplex"),
    "nc3_papyan": (_zero, "distance of W and class means, both of norm 1"),
    "nc3_cosine": (_zero, "1 - cosine of each row of W and its mean, on average"),
    "uniform_duality": (_zero, "variance over classes of these cosines"),
    "shape_residual": (_zero, "distance of W and means that no rotation removes"),
    "misalignment": (_zero, "distance of W and means that a rotation removes"),
    "bias_collapse": (_zero, "norm of the logits at the mean of all classes"),
}

_NC2 = {"nc2_means": "class means", "nc2_w": "classifier"}


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Neural collapse of a set of features; prints as a table.

    Attributes:
        values: metric -> number, as `SENTENCES` has them; `nc1`, `nc2`, `nc3`, `nc4`
            are those of the preset.  NaN where undefined.
        measured: what was measured, and how: source, n, d, K, dtype, preset, ...
        warnings: what a reader of the numbers must know.
        moments: of the training features.
        class_names: of class 0, 1, ..., if known.
    """

    values: dict[str, float]
    measured: dict[str, Any]
    warnings: tuple[str, ...]
    moments: ClassMoments
    class_names: tuple[str, ...] | None = None

    def __getitem__(self, name: str) -> float:
        """One number."""
        if name not in self.values:
            raise KeyError(
                f"Unknown or not measured: {name!r}. Available: "
                f"{', '.join(self.values)}."
            )
        return self.values[name]

    def to_dict(self) -> dict[str, Any]:
        """The numbers and, under `measured`, what was measured; ready for JSON.

        Values that are not finite, which JSON does not have, are None.
        """
        values = {k: v if math.isfinite(v) else None for k, v in self.values.items()}
        return values | {"measured": self.measured | {"warnings": list(self.warnings)}}

    def __str__(self) -> str:
        """The table."""
        number, width = self.measured["classes_present"], self.measured["d"]
        about = _NC2[self.measured["convention"]["nc2"]]
        cells = []
        for name, value in self.values.items():
            ideal, sentence = SENTENCES[name]
            if name in ("nc2", "nc3"):  # copies of what the convention calls so
                ideal, _ = SENTENCES[self.measured["convention"][name]]
            sentence = sentence.format(nc2=f"the {about}")
            if name == "nc1" and self.measured["nc1_below_floor"]:
                sentence = "below the precision of the features; " + sentence
            cells.append(
                (name, _digits(value), _digits(ideal(number, width)), sentence)
            )
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
        return "\n\n".join([self._header(), table, *notes])

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
            verdict = {
                True: ", and NC1 is below",
                False: ", and NC1 is above",
                None: "",
            }
            lines.append(
                f"precision floor of NC1, from rounding to {about['dtype']}: "
                f"{floor:.2g}{verdict[about['nc1_below_floor']]}"
            )
        return "\n".join(
            line
            if not i
            else textwrap.fill(line, 88, initial_indent="  ", subsequent_indent="    ")
            for i, line in enumerate(lines)
        )


def _digits(value: float | None) -> str:
    """Four digits; a dash where there is nothing to say."""
    if value is None:
        return "-"
    if math.isnan(value):
        return "undefined"
    return "0" if value == 0 else f"{value:.4g}"


def write_whole(path: str | os.PathLike, content: bytes) -> None:
    """Writes a file whole or not at all."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
