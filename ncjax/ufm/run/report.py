"""What an experiment says: statements that hold or fail, numbers, a figure."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ncjax.io import write_whole
from ncjax.runs.plots import save
from ncjax.ufm import Trajectory


@dataclasses.dataclass(frozen=True)
class Statement:
    """Something that must be so: |found - expected| <= tolerance, or a bound.

    Attributes:
        text: what it is about.
        found: the number measured.
        expected: the number it is compared with.
        tolerance: largest difference, for "=".
        relation: "=", "<=" or ">=".
    """

    text: str
    found: float
    expected: float
    tolerance: float = 0.0
    relation: str = "="

    @property
    def holds(self) -> bool:
        """Whether it is so; never for NaN."""
        if self.relation == "<=":
            return self.found <= self.expected
        if self.relation == ">=":
            return self.found >= self.expected
        return abs(self.found - self.expected) <= self.tolerance

    def __str__(self) -> str:
        """One line that begins with PASS or FAIL."""
        mark = "PASS" if self.holds else "FAIL"
        if self.relation != "=":
            bound = {"<=": "at most", ">=": "at least"}[self.relation]
            return f"{mark}  {self.text}: {self.found:.3g}, {bound} {self.expected:.3g}"
        off = abs(self.found - self.expected)
        return (
            f"{mark}  {self.text}: {self.found:.9g}, predicted {self.expected:.9g} "
            f"(off by {off:.1g}, allowed {self.tolerance:.1g})"
        )


def at_most(text: str, found: Any, bound: Any) -> Statement:
    """Found <= bound."""
    return Statement(text, float(found), float(bound), relation="<=")


def at_least(text: str, found: Any, bound: Any) -> Statement:
    """Found >= bound."""
    return Statement(text, float(found), float(bound), relation=">=")


def equal(text: str, found: Any, expected: Any, tolerance: Any) -> Statement:
    """|found - expected| <= tolerance."""
    return Statement(text, float(found), float(expected), float(tolerance))


@dataclasses.dataclass
class Report:
    """What an experiment found.

    Attributes:
        title: the model in a line.
        facts: (name, text), printed above the statements.
        statements: PASS or FAIL each.
        rows: lines of metrics.jsonl.
        figure: saved as ufm.png.
    """

    title: str
    facts: list[tuple[str, str]]
    statements: list[Statement]
    rows: list[dict[str, Any]]
    figure: Figure

    @property
    def holds(self) -> bool:
        """Whether every statement does."""
        return all(s.holds for s in self.statements)

    def __str__(self) -> str:
        """The verdict as it is printed."""
        good = sum(s.holds for s in self.statements)
        facts = [f"{name:12} {text}" for name, text in self.facts]
        mark = "PASS" if self.holds else "FAIL"
        end = f"{mark}: {good} of {len(self.statements)} statements hold"
        return "\n".join([self.title, *facts, *map(str, self.statements), end])

    def write(self, folder: Path, config: dict[str, Any]) -> None:
        """config.json, metrics.jsonl, verdict.json and ufm.png."""
        folder.mkdir(parents=True, exist_ok=True)
        verdict = {
            "title": self.title,
            "holds": self.holds,
            "facts": dict(self.facts),
            "statements": [
                dataclasses.asdict(s) | {"holds": s.holds} for s in self.statements
            ],
        }
        for name, value in (("config", config), ("verdict", verdict)):
            text = json.dumps(strict(value), indent=2, allow_nan=False)
            write_whole(folder / f"{name}.json", text + "\n")
        lines = [json.dumps(strict(row), allow_nan=False) for row in self.rows]
        write_whole(folder / "metrics.jsonl", "".join(x + "\n" for x in lines))
        save(self.figure, folder / "ufm.png")


def strict(value: Any) -> Any:
    """For strict JSON: NaN and infinity become null, arrays lists."""
    if isinstance(value, dict):
        return {k: strict(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(v) for v in value]
    if isinstance(value, np.ndarray):
        return strict(value.tolist())
    if isinstance(value, np.generic):
        return strict(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def trajectory_rows(path: Trajectory) -> list[dict[str, Any]]:
    """A row for each recorded time."""
    names = ("objective", "gap", "gradient_norm", "drift", "nc1", "nc2", "nc3")
    rows = []
    for i, time in enumerate(np.asarray(path.times)):
        row = {"time": float(time)}
        row |= {name: float(getattr(path, name)[i]) for name in names}
        row["singular_values"] = np.asarray(path.singular_values[i]).tolist()
        rows.append(row)
    return rows
