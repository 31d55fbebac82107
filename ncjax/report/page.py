"""A page of HTML in one file: sections, tables, charts, and plotly.js to draw them.

Whatever comes from files is escaped here: text as HTML, and in the data of the charts
"<", with which a script could end.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import functools
import html
import os
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from ncjax.io import to_json
from ncjax.report import packed
from ncjax.report.charts import Chart
from ncjax.runs.about import version_of

_HERE = Path(__file__).parent
_LONG, _WORDS = 40, 16  # characters of a cell of a table
_WIDE = 88  # characters of a command in one line
_PICTURE = 1_500_000  # bytes of a picture in a page, at most


class Page:
    """A page that is being written, from top to bottom."""

    def __init__(self, title: str):
        """An empty page.

        Args:
            title: heading of the page, plain text.
        """
        self.title = title
        self._parts: list[str] = []
        self._anchors: list[tuple[str, str]] = []
        self._charts: dict[str, Chart] = {}
        self._data: dict[str, Any] = {}
        self._lead: list[str] = []

    def lead(self, *parts: str) -> None:
        """Adds HTML to what stands above all sections."""
        self._lead += parts

    def section(self, title: str, *parts: str) -> None:
        """Adds a section with a heading; parts are HTML, and empty ones left out."""
        body = "\n".join(part for part in parts if part)
        if not body:
            return
        anchor = re.sub("[^a-z0-9]+", "-", title.lower())
        self._anchors.append((anchor, title))
        self._parts.append(
            f'<section id="{anchor}"><h2>{escape(title)}</h2>\n{body}\n</section>'
        )

    def chart(
        self, key: str, chart: Chart, title: str = "", kind: str = "", note: str = ""
    ) -> str:
        """The HTML of a chart, which the page draws when it is opened.

        Args:
            key: name of the chart in the page.
            chart: its data and layout, of `ncjax.report.charts`.
            title: heading above it, plain text; its first letter becomes large.
            kind: classes of style.css: "curve" has axes that the buttons change,
                "matrix" and "square" are higher.
            note: a sentence below it, plain text.
        """
        self._charts[key] = chart
        title = title[:1].upper() + title[1:]
        head = f"<h3>{escape(title)}</h3>" if title else ""
        foot = f"<p>{escape(note)}</p>" if note else ""
        name = escape(title or key)
        return (
            f'<figure>{head}<div class="chart {kind}" id="{key}" data-chart="{key}" '
            f'role="img" aria-label="{name}"></div>{foot}</figure>'
        )

    def other(self, key: str, chart: Chart) -> None:
        """Adds a chart that takes the place of another when a reader asks for it."""
        self._charts[key] = chart

    def picture(self, path: Path, what: str) -> str:
        """A PNG file within the page; nothing if it is not there.

        Args:
            path: the file.
            what: what it shows, for those who cannot see it.
        """
        try:
            content = path.read_bytes()
        except OSError:
            return ""
        if len(content) > _PICTURE or content[:4] != b"\x89PNG":
            return ""
        text = base64.b64encode(content).decode()
        return f'<img alt="{escape(what)}" src="data:image/png;base64,{text}">'

    def data(self, key: str, value: Any) -> None:
        """Adds numbers that the script of the page reads."""
        self._data[key] = value

    def render(self) -> str:
        """The page."""
        now = datetime.datetime.now().astimezone().isoformat(" ", "minutes")
        version = version_of("ncjax") or ""
        links = (f'<a href="#{a}">{escape(t)}</a>' for a, t in self._anchors)
        button = '<button id="theme" type="button" title="light or dark">Dark</button>'
        body = [
            f'<header><div class="top"><h1>{escape(self.title)}</h1>{button}</div>',
            *self._lead,
            f"<nav>{' '.join(links)}</nav></header>",
            f"<main>{''.join(self._parts)}</main>",
            f"<footer>Written by ncjax {escape(version)} on {escape(now)}.</footer>",
        ]
        content = to_json(self._data | {"charts": self._charts})
        return Template(_read("page.html")).substitute(
            version=escape(version),
            title=escape(self.title),
            css=_read("page.css"),
            body="\n".join(body),
            data=content.replace("<", "\\u003c"),
            plotly=packed.plotly(),
            unpack=packed.unpack(),
            script=_read("page.js"),
        )


def escape(text: object) -> str:
    """Text as HTML, also between the quotes of an attribute."""
    return html.escape(str(text))


def table(
    head: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    targets: Sequence[Path] = (),
    page: Path = _HERE,
) -> str:
    """A table of plain text; cells longer than 40 characters may be broken.

    Args:
        head: titles of the columns; () for none.
        rows: the cells of each row.
        targets: files or folders to which the first cells lead, one for each row.
        page: the page, from where the links lead.
    """
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)] if head else []
    for place, row in enumerate(rows):
        cells = [str(cell) for cell in row]
        kinds = [_kind(cell) for cell in cells]
        shown = [_broken(cell) for cell in cells]
        if targets:
            shown[0] = _link(targets[place], page, cells[0])
        pairs = zip(kinds, shown, strict=True)
        lines.append("".join(f"<td{kind}>{cell}</td>" for kind, cell in pairs))
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table>{body}</table></div>'


def _broken(text: str) -> str:
    """Text as HTML; a long one may be broken after its commas."""
    return escape(text).replace(",", ",<wbr>" if len(text) > _LONG else ",")


def _kind(cell: str) -> str:
    """The class of a cell: "long" may be broken, "words" may be on a phone."""
    if len(cell) > _LONG:
        return ' class="long"'
    words = len(cell) > _WORDS and re.search("[a-z]{3}.* ", cell)
    return ' class="words"' if words else ""


def _link(target: Path, page: Path, name: str) -> str:
    """A link to a file, relative to the page."""
    way = quote(os.path.relpath(target, page.parent).replace(os.sep, "/"))
    return f'<a href="{escape(way)}">{_broken(name)}</a>'


def grid(parts: Sequence[str], kind: str = "") -> str:
    """Charts side by side, as many as the window has room for.

    Args:
        parts: the charts, HTML.
        kind: "wide" for one below another, "half" for two side by side.
    """
    classes = f"grid {kind}".rstrip()
    return f'<div class="{classes}">{"".join(parts)}</div>' if parts else ""


def slider(name: str, epochs: Sequence[int | float]) -> str:
    """A slider over measured epochs, at the last one, with a button that plays it.

    Args:
        name: id of its element, by which the script of the page knows it.
        epochs: the epochs; of one alone there is no slider, "".
    """
    last = len(epochs) - 1
    if last < 1:
        return ""
    return (
        f'<div class="slider"><button type="button" data-play="{name}">Play</button>'
        f'<input id="{name}" type="range" min="0" max="{last}" value="{last}" '
        f'aria-label="epoch"><output id="{name}-shown">'
        f"epoch {epochs[-1]:.0f}</output></div>"
    )


def command(made: dict[str, Any]) -> str:
    """The command that made something; of a long one each flag has its own line.

    Args:
        made: what is known of how it was made, of `ncjax.runs.about`.
    """
    text = str(made.get("command") or "")
    if len(text) > _WIDE:
        with contextlib.suppress(ValueError):  # quotes that do not close
            words = shlex.split(text)
            breaks = ("\\\n  " if word.startswith("--") else "" for word in words)
            text = " ".join(map(str.__add__, breaks, map(shlex.quote, words)))
    return f"<pre>{escape(text)}</pre>" if text else ""


def details(summary: str, body: str) -> str:
    """HTML that is shown when a reader clicks on its summary, which is plain text."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def listed(sentences: Sequence[str], title: str) -> str:
    """A box with a list of sentences, plain text; nothing without any."""
    if not sentences:
        return ""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<div class="missing"><b>{escape(title)}</b><ul>{items}</ul></div>'


def links(folder: Path, page: Path, names: Iterable[str]) -> str:
    """A table of files of a folder, with links relative to the page."""
    rows = []
    for name in names:
        path = folder / name
        if not path.exists():
            continue
        size = f"{path.stat().st_size:,} bytes" if path.is_file() else "folder"
        link = _link(path, page, name)
        rows.append(f"<tr><td>{link}</td><td>{size}</td></tr>")
    return f'<div class="scroll"><table>{"".join(rows)}</table></div>' if rows else ""


@functools.cache
def _read(name: str) -> str:
    return (_HERE / name).read_text()
