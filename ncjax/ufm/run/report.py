"""What an experiment says: statements that hold or fail, numbers, a figure."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncjax import style
from ncjax.io import write_json, write_lines
from ncjax.runs.about import about, recipe_of
from ncjax.table import Part, Result, Table
from ncjax.ufm import Trajectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure
else:
    Figure = Any  # matplotlib is loaded when a figure is drawn


@dataclasses.dataclass(frozen=True)
class Statement:
    """Something that must be so: |found - expected| <= tolerance, or a bound.

    Attributes:
        text: what the statement is about.
        found: the number measured.
        expected: the number that it is compared with.
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
    """The statement found <= bound; `text` says what was found."""
    return Statement(text, float(found), float(bound), relation="<=")


def at_least(text: str, found: Any, bound: Any) -> Statement:
    """The statement found >= bound; `text` says what was found."""
    return Statement(text, float(found), float(bound), relation=">=")


def equal(text: str, found: Any, expected: Any, tolerance: Any) -> Statement:
    """The statement |found - expected| <= tolerance; `text` says what was found."""
    return Statement(text, float(found), float(expected), float(tolerance))


def no_error(text: str, off: Any, bound: Any) -> Statement:
    """The statement |off| <= bound for all numbers `off`; `text` says what is off."""
    return at_most(f"{text}, largest error", np.abs(off).max(), bound)


@dataclasses.dataclass(frozen=True)
class Report(Result):
    """What an experiment found.

    Attributes:
        title: the model in one line.
        facts: (name, text) pairs, printed above the statements.
        statements: statements, each of which holds or fails.
        rows: lines of metrics.jsonl.
        figure: the figure, saved as ufm.png.
    """

    title: str
    facts: list[tuple[str, str]]
    statements: list[Statement]
    rows: list[dict[str, Any]]
    figure: Figure

    @property
    def holds(self) -> bool:
        """Whether every statement holds."""
        return all(s.holds for s in self.statements)

    def to_rows(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl."""
        return self.rows

    def plot(self, columns: int | None = None) -> Figure:
        """The figure.

        Args:
            columns: 1 or 2 for so many columns of a page; None for a screen.
        """
        return style.on_page(self.figure, columns)

    def parts(self) -> list[Part]:
        """The title, the facts, the statements and the verdict."""
        facts = Table([("", "fact"), *self.facts])
        lines = [str(statement).split("  ", 1) for statement in self.statements]
        statements = Table([("", "statement"), *lines])
        return [f"**{self.title}**", facts, statements, self._verdict()]

    def __str__(self) -> str:
        """The same, a line for each."""
        width = max([12, *(len(name) for name, _ in self.facts)])
        facts = [f"{name:{width}} {text}" for name, text in self.facts]
        statements = map(str, self.statements)
        return "\n".join([self.title, *facts, *statements, self._verdict()])

    def __repr__(self) -> str:
        """The model and the verdict."""
        return f"<Report on {self.title}; {self._verdict()}>"

    def _verdict(self) -> str:
        good = sum(s.holds for s in self.statements)
        mark = "PASS" if self.holds else "FAIL"
        return f"{mark}: {good} of {len(self.statements)} statements hold"

    def write(self, folder: Path, config: dict[str, Any]) -> None:
        """Writes config.json, metrics.jsonl, verdict.json, ufm.png and report.html.

        Args:
            folder: the folder; it is made if it does not exist.
            config: the configuration, for config.json, with what made it as "about".
        """
        folder.mkdir(parents=True, exist_ok=True)
        verdict = {
            "title": self.title,
            "holds": self.holds,
            "facts": dict(self.facts),
            "statements": [
                dataclasses.asdict(s) | {"holds": s.holds} for s in self.statements
            ],
        }
        write_json(
            folder / "config.json", config | {"about": about() | recipe_of(config)}
        )
        write_json(folder / "verdict.json", verdict)
        write_lines(folder / "metrics.jsonl", self.rows)
        style.save(self.figure, folder / "ufm.png")
        from ncjax.report.live import live_report  # late: it loads Flax

        live_report(folder).write()


def trajectory_rows(path: Trajectory) -> list[dict[str, Any]]:
    """One row of numbers for each recorded time."""
    names = ("objective", "gap", "gradient_norm", "drift", "nc1", "nc2", "nc3")
    return [
        {"time": time}
        | {name: getattr(path, name)[i] for name in (*names, "singular_values")}
        for i, time in enumerate(path.times)
    ]
