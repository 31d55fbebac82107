"""A live view on a terminal; whole lines, now and then, in a log file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from ncjax.runs.columns import Columns
from ncjax.runs.metrics import home_of

if TYPE_CHECKING:
    from rich.console import RenderableType

_LOG_EVERY = 10.0  # seconds between lines in a log
_FORMAT = "{n_fmt}/{total_fmt} {elapsed}<{remaining} {rate_fmt}"
_METER = {"unit": "epoch", "ncols": 0, "bar_format": _FORMAT}
_WIDTH = 80  # characters of the live view, where the terminal has as many
_CURVE = 22  # bars of a curve


class Progress:
    """Counts epochs, with rate, time left and a few numbers.

    On a terminal it is a view of some lines, with the curves of what was measured; it
    is drawn anew in place, also between two epochs, and its first line stays at the
    end.  Elsewhere a line is printed at most every ten seconds, and at the end.
    """

    def __init__(
        self,
        total: int,
        start: int = 0,
        *,
        enabled: bool = True,
        history: Columns | None = None,
    ):
        """Starts at `start` of `total` epochs; `history` gets the rows meanwhile."""
        live = enabled and _can_be_drawn_on(sys.stderr)
        self._log = enabled and not live
        self._view = _View(total, start, history) if live else None
        self._start, self._total = start, total
        self._began = self._printed = time.monotonic()

    def update(self, epoch: int, values: Mapping[str, float]) -> None:
        """Epoch `epoch` is done; `values` are shown beside it."""
        if self._view is not None:
            self._view.update(epoch, values)
        now = time.monotonic()
        if self._log and (epoch == self._total or now - self._printed >= _LOG_EVERY):
            self._printed = now
            began = {"initial": self._start, "elapsed": now - self._began}
            meter = tqdm.format_meter(epoch, self._total, **began, **_METER)
            print(f"epoch {meter}  {_text(values)}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leaves the last line as it is."""
        if self._view is not None:
            self._view.close()


class _View:
    """The lines on a terminal.

    What is printed to standard output or error meanwhile appears above them.
    """

    def __init__(self, total: int, start: int, history: Columns | None):
        from rich.console import Console  # late: only a terminal needs it
        from rich.live import Live

        self._total, self._start, self._epoch = total, start, start
        self._history = history
        self._began = time.monotonic()
        self._values: Mapping[str, float] = {}
        self._ended = False
        console = Console(stderr=True, highlight=False)
        self._width = min(console.width, _WIDTH)
        self._live = Live(
            console=console, get_renderable=self._render, refresh_per_second=4
        )
        self._live.start()

    def update(self, epoch: int, values: Mapping[str, float]) -> None:
        self._epoch, self._values = epoch, values

    def close(self) -> None:
        self._ended = True
        self._live.stop()

    def _render(self) -> RenderableType:
        from rich.text import Text

        return Text("\n".join(self.lines()), no_wrap=True, overflow="crop")

    def lines(self) -> list[str]:
        """A bar with the time, the numbers of the epoch, and curves in two columns."""
        meter = tqdm.format_meter(
            self._epoch,
            self._total,
            time.monotonic() - self._began,
            initial=self._start,
            unit="epoch",
            ncols=self._width,
            prefix="epoch",
        )
        found = [meter, *filter(None, [_text(self._values)])]
        if self._ended or self._history is None or len(self._history.rows) < 2:
            return found
        history, last = self._history, self._history.rows[-1]
        cells = [
            f"{metric.title:>5} {last[home_of(metric)]:<9.3g}"
            f"{history.trend(metric, width=_CURVE)}"
            for metric in history.shown()
            if len(metric.title) <= 5
        ]
        if self._width < _WIDTH:
            return found + cells
        pairs = zip(cells[::2], [*cells[1::2], ""], strict=False)
        return found + [f"{a:<{_WIDTH // 2}}{b}".rstrip() for a, b in pairs]


def _can_be_drawn_on(stream: Any) -> bool:
    """Whether it is a terminal that moves its cursor and knows the bars of curves."""
    known = "utf" in (getattr(stream, "encoding", None) or "").lower()
    return stream.isatty() and known and os.environ.get("TERM") != "dumb"


def _text(values: Mapping[str, float]) -> str:
    return " ".join(f"{k} {v:.3g}" for k, v in values.items())
