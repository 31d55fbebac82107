"""Results as they are shown: printed, in a notebook, as Markdown and in pandas.

A result is a subclass of `Result`.  It says of which parts it consists, paragraphs and
tables of text, and which rows of numbers it holds; how both are shown stands here.
"""

from __future__ import annotations

import abc
import csv
import dataclasses
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ncjax.extras import install

_LEAST = 8  # characters of a column that has a name above it


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells of text.

    Attributes:
        cells: rows of cells, the first of which is the heading.
        sides: side of the cells of each column, "<" left or ">" right; the last one
            holds for all columns that follow.
        above: names above groups of columns, from the second column on, each with the
            number of its columns; none in Markdown.
        notes: lines to be read below the table.
        fold: number of characters after which the columns of text go on below, beside
            the first column again; 0: never.
    """

    cells: Sequence[Sequence[str]]
    sides: str = "<"
    above: Sequence[tuple[str, int]] = ()
    notes: Sequence[str] = ()
    fold: int = 0

    def text(self) -> str:
        """Columns of equal width, two spaces apart, and the notes."""
        least = _LEAST if self.above else 0
        widths = [max(least, *map(len, x)) for x in zip(*self.cells, strict=True)]
        blocks: list[list[tuple[str, list[int]]]] = [[]]
        used = widths[0]
        for name, columns in self._groups():
            needed = sum(widths[column] + 2 for column in columns)
            if blocks[-1] and 0 < self.fold < used + needed:
                blocks.append([])
                used = widths[0]
            blocks[-1].append((name, columns))
            used += needed
        parts = ("\n".join(self._block(groups, widths)) for groups in blocks)
        return "\n".join(["\n\n".join(parts), *self.notes])

    def _groups(self) -> list[tuple[str, list[int]]]:
        """The columns after the first that stay together, with the name above them."""
        found, at = [], 1
        for name, count in self.above:
            found.append((name, list(range(at, at + count))))
            at += count
        return found + [("", [column]) for column in range(at, len(self.cells[0]))]

    def _block(
        self, groups: Sequence[tuple[str, list[int]]], widths: Sequence[int]
    ) -> list[str]:
        """The lines of some columns, beside the first."""
        lines, sides = [], self._sides()
        if any(name for name, _ in groups):
            names = (
                name.rjust(sum(widths[column] + 2 for column in columns))
                for name, columns in groups
            )
            lines.append((" " * widths[0] + "".join(names)).rstrip())
        columns = [0, *(column for _, own in groups for column in own)]
        for row in self.cells:
            cells = (f"{row[k]:{sides[k]}{widths[k]}}" for k in columns)
            lines.append("  ".join(cells).rstrip())
        return lines

    def markdown(self) -> str:
        """A table of Markdown, aligned, and the notes."""
        rows = [[text.replace("|", "\\|") for text in row] for row in self.cells]
        widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]

        def line(cells: Sequence[str]) -> str:
            padded = (text.ljust(w) for text, w in zip(cells, widths, strict=True))
            return f"| {' | '.join(padded)} |"

        rule = f"|{'|'.join('-' * (w + 2) for w in widths)}|"
        found = "\n".join([line(rows[0]), rule, *map(line, rows[1:])])
        return "\n\n".join([found, *(["  \n".join(self.notes)] if self.notes else [])])

    def html(self) -> str:
        """A table of HTML, and the notes."""
        lines = []
        if self.above:
            names = (
                f'<th colspan="{n}">{_escape(name)}</th>' for name, n in self.above
            )
            lines.append(f"<tr><th></th>{''.join(names)}</tr>")
        for place, row in enumerate(self.cells):
            kind = "td" if place else "th"
            cells = (
                f'<{kind} style="text-align: {_SIDES[side]}">{_escape(cell)}</{kind}>'
                for cell, side in zip(row, self._sides())
            )
            lines.append(f"<tr>{''.join(cells)}</tr>")
        notes = "".join(f"<p>{_escape(note)}</p>" for note in self.notes)
        return "\n".join(["<table>", *lines, f"</table>{notes}"])

    def _sides(self) -> str:
        return self.sides + self.sides[-1] * len(self.cells[0])


_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Iterable[Any], *, log: bool = False, width: int = 8) -> str:
    """A curve as text, in bars from the least of its values to the largest.

    Args:
        values: the curve [m]; nan leaves a gap.
        log: draw the logarithm; values of 0 stand below all others.
        width: largest number of bars; of a longer curve some values are shown at equal
            distances, the first and the last among them.
    """
    y = np.array(list(values), float)
    if len(y) > width:
        y = y[np.linspace(0, len(y) - 1, width).round().astype(int)]
    if log:
        zero, y = y == 0, np.log(y, where=y > 0, out=np.full(len(y), np.nan))
        least = np.nanmin(y, initial=np.inf)
        # Below all others, by a step or more.
        y[zero] = least - max(1.0, np.ptp(y[y >= least]) / 6) if least < np.inf else 0.0
    y[~np.isfinite(y)] = np.nan
    if np.isnan(y).all():
        return " " * len(y)
    low, high = np.nanmin(y), np.nanmax(y)
    steps = (y - low) / (high - low or 1.0) * (len(_BARS) - 1)
    return "".join(" " if np.isnan(step) else _BARS[round(step)] for step in steps)


Part: TypeAlias = (
    str | Table
)  # a paragraph or a table; a paragraph of "# " is a heading
_SIDES = {"<": "left", ">": "right"}


def text(parts: Iterable[Part]) -> str:
    """The parts as text, a blank line between them."""
    return "\n\n".join(x if isinstance(x, str) else x.text() for x in parts)


def markdown(parts: Iterable[Part]) -> str:
    """The parts as Markdown."""
    return "\n\n".join(x if isinstance(x, str) else x.markdown() for x in parts)


class Result(abc.ABC):
    """What was found: it prints, shows itself in a notebook, and goes to pandas."""

    @abc.abstractmethod
    def parts(self) -> list[Part]:
        """Paragraphs and tables, in which the result is shown."""

    @abc.abstractmethod
    def to_rows(self) -> Sequence[Mapping[str, Any]]:
        """The numbers: a dict for each row of `to_pandas`."""

    def to_csv(self) -> str:
        """The rows of `to_rows` as CSV, with a line of names; nan where undefined."""
        return csv_text(self.to_rows())

    def to_pandas(self) -> Any:
        """The rows of `to_rows` as a `pandas.DataFrame`, a column for each key.

        Raises:
            ImportError: without pandas, which nothing else needs.
        """
        try:
            import pandas  # type: ignore[import-not-found]
        except ImportError as error:
            raise ImportError(
                "to_pandas() needs the package pandas, without which ncjax otherwise "
                f"does: `pip install pandas`, or `{install('notebook')}`.",
                name="pandas",
            ) from error
        return pandas.DataFrame(list(self.to_rows()))

    def __str__(self) -> str:
        """The parts as text."""
        return text(self.parts())

    def _repr_html_(self) -> str:
        """The parts, as notebooks show them."""
        shown = (_block(x) if isinstance(x, str) else x.html() for x in self.parts())
        return "\n".join(shown)


def csv_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV, with a line of names: those of all rows, in order."""
    rows = list(rows)
    names = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _block(paragraph: str) -> str:
    """A paragraph or a heading of HTML."""
    mark, _, title = paragraph.partition(" ")
    if mark and not mark.strip("#"):
        level = len(mark) + 2  # below the headings of the notebook itself
        return f"<h{level}>{_escape(title)}</h{level}>"
    return f"<p>{_escape(paragraph)}</p>"


def _escape(text: str) -> str:
    """Text as HTML; lines and what is bold in Markdown remain so."""
    safe = html.escape(text).replace("\n", "<br>")
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", safe)
