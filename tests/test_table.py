"""How results are shown: text, Markdown, HTML, pandas."""

import builtins
import dataclasses
import xml.etree.ElementTree as ET
from unittest import mock

import numpy as np
import pytest

from ncjax.table import Result, Table, markdown, sparkline

CELLS = [["", "a", "b|c"], ["x<y", "1", "20"]]


@dataclasses.dataclass(frozen=True)
class Found(Result):
    """A heading, a warning and a table."""

    rows: tuple = ()

    def to_rows(self):
        return self.rows

    def parts(self):
        notes = ("one", "two & three")
        return ["## Title", "**Mind:**\nthis", Table(CELLS, "<>", [("ab", 2)], notes)]


def elements(found):
    """The elements of a result's HTML, which must be well-formed."""
    return list(ET.fromstring(f"<div>{found._repr_html_()}</div>".replace("<br>", "")))


def test_text_is_aligned_below_the_names_of_its_columns():
    text = Table(CELLS, "<>", [("ab", 2)], ["one"]).text()
    # No column with a name above it is narrower than 8.
    assert text.splitlines() == [
        " " * 8 + " " * 18 + "ab",
        " " * 8 + "         a       b|c",
        "x<y" + " " * 5 + "         1        20",
        "one",
    ]
    assert Table(CELLS).text() == "     a  b|c\nx<y  1  20"


def test_columns_that_do_not_fit_stand_below_beside_the_first():
    cells = [["", "a", "b", "c", "d"], ["x", "1", "2", "3", "4"]]
    table = Table(cells, ">", [("ab", 2)], ["note"], fold=32)
    assert table.text().splitlines() == [
        " " * 26 + "ab",
        " " * 8 + "         a         b",
        " " * 7 + "x         1         2",
        "",
        " " * 8 + "         c         d",
        " " * 7 + "x         3         4",
        "note",
    ]
    whole = Table(cells, ">", [("ab", 2)], ["note"]).text().splitlines()
    assert [len(line) for line in whole] == [28, 48, 48, 4]
    # A column that is too wide for a line stands on its own.
    wide = Table([["", "y" * 9, "z"]], fold=4).text().splitlines()
    assert wide == ["  " + "y" * 9, "", "  z"]


def test_sparklines():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([1.0, 10.0, 100.0, 1000.0], log=True) == "▁▃▆█"
    assert sparkline([1.0, 0.0, np.nan, 0.1], log=True) == "█▁ ▃"
    assert sparkline([0.5, 0.0, 0.0], log=True) == "█▁▁"
    assert sparkline(range(100), width=4) == "▁▃▆█"
    assert sparkline([5.0, 5.0]) == "▁▁"
    assert sparkline([np.nan, np.inf]) == "  "
    assert sparkline([0.0, 0.0], log=True) == "▁▁"
    assert sparkline([-1.0, 1.0, 2.0], log=True) == " ▁█"
    assert sparkline([]) == ""


def test_markdown_escapes_what_parts_cells():
    table = Table(CELLS, notes=("one", "two"))
    assert markdown(["# Title", table]).splitlines() == [
        *("# Title", ""),
        *("|     | a   | b\\|c |", "|-----|-----|------|", "| x<y | 1   | 20   |"),
        *("", "one  ", "two"),
    ]


def test_html_has_every_part():
    heading, warning, table, *notes = elements(Found())
    assert (heading.tag, heading.text) == ("h4", "Title")
    assert (warning[0].tag, warning[0].text) == ("b", "Mind:")
    assert table[0][1].attrib == {"colspan": "2"}
    cells = [["".join(cell.itertext()) for cell in row] for row in table[1:]]
    assert cells == CELLS
    sides = [cell.attrib["style"].split()[1] for cell in table[2]]
    assert sides == ["left", "right", "right"]
    assert [note.text for note in notes] == ["one", "two & three"]


def test_rows_go_to_pandas():
    pandas = pytest.importorskip("pandas")
    found = Found(({"a": 1, "b": 0.5}, {"a": 2}))
    frame = found.to_pandas()
    assert list(frame.columns) == ["a", "b"]
    assert frame["a"].tolist() == [1, 2]
    assert pandas.isna(frame["b"][1])


def test_without_pandas_the_error_names_it():
    missing = mock.Mock(side_effect=ImportError("No module named 'pandas'"))
    with (
        mock.patch.object(builtins, "__import__", missing),
        pytest.raises(ImportError, match=r"needs the package pandas.*\[notebook\]"),
    ):
        Found().to_pandas()


def test_rows_go_to_csv():
    found = Found(({"a": 1, "b": 0.5}, {"a": 2, "c": 'x, "y"'}))
    assert found.to_csv() == 'a,b,c\n1,0.5,\n2,,"x, ""y"""\n'
