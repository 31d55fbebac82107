"""A live line on a terminal; whole lines, now and then, in a log file."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

_LOG_EVERY = 10.0  # seconds between lines in a log
_FORMAT = "{n_fmt}/{total_fmt} {elapsed}<{remaining} {rate_fmt}"
_METER = {"unit": "epoch", "ncols": 0, "bar_format": _FORMAT}


class Progress:
    """Counts epochs, with rate, time left and a few numbers.

    On a terminal one line is rewritten in place; elsewhere a line is printed at most
    every ten seconds, and at the end.
    """

    def __init__(self, total: int, start: int = 0, *, enabled: bool = True):
        """Starts at `start` of `total` epochs."""
        live = enabled and sys.stderr.isatty()
        self._log = enabled and not live
        look = {"unit": "epoch", "dynamic_ncols": True, "disable": not live}
        self._bar = tqdm(total=total, initial=start, **look)
        self._start, self._total = start, total
        self._began = self._printed = time.monotonic()

    def update(self, epoch: int, values: dict[str, float]) -> None:
        """Epoch `epoch` is done; `values` are shown beside it."""
        shown = " ".join(f"{k} {v:.3g}" for k, v in values.items())
        self._bar.set_postfix_str(shown, refresh=False)
        self._bar.update(epoch - self._bar.n)
        now = time.monotonic()
        if self._log and (epoch == self._total or now - self._printed >= _LOG_EVERY):
            self._printed = now
            began = {"initial": self._start, "elapsed": now - self._began}
            meter = tqdm.format_meter(epoch, self._total, **began, **_METER)
            print(f"epoch {meter}  {shown}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leaves the last line as it is."""
        self._bar.close()
