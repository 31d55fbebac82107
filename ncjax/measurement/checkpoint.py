"""The metrics of a checkpoint that a run keeps, beside those that the run logged."""

from __future__ import annotations

import dataclasses
import math
import os
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from ncjax.io import plain
from ncjax.measurement.result import digits
from ncjax.runs.history import Row
from ncjax.runs.journal import NAME, read_rows
from ncjax.runs.metrics import meaning
from ncjax.table import Part, Result, Table
from ncjax.training.stored import measure_again


@dataclasses.dataclass(frozen=True, repr=False)
class CheckpointMeasurement(Result):
    """All metrics of a checkpoint, under the names of `metrics.jsonl`.

    Attributes:
        path: folder of the run.
        values: `epoch`, and name -> value; of a run of many seeds the means, with
            `NAME/low` and `NAME/high` of the 95 % interval.
        logged: what the run logged after the same epoch; {} if it did not measure then.
    """

    path: Path
    values: Row
    logged: Row

    @property
    def differences(self) -> dict[str, tuple[Any, Any]]:
        """Name -> (logged, measured), where the two are not the same bit for bit."""
        # What is not finite has no other form in metrics.jsonl than null.
        now, then = plain(self.values), plain(self.logged)
        return {
            name: (then[name], value)
            for name, value in now.items()
            if name in then and then[name] != value
        }

    def to_dict(self) -> dict[str, Any]:
        """The row, and under `measured` what was measured; ready for JSON."""
        about = {
            "source": str(self.path),
            "epoch": self.values["epoch"],
            "same_as_logged": not self.differences if self.logged else None,
        }
        return plain(self.values | {"measured": about})

    def to_rows(self) -> list[Row]:
        """The row."""
        return [self.values]

    def parts(self) -> list[Part]:
        """What was measured, whether it was logged so, and the table."""
        names = [
            name
            for name, value in self.values.items()
            if name != "epoch"
            and not isinstance(value, list)
            and not name.endswith(("/low", "/high"))
        ]
        cells = [("metric", "value", "meaning"), *map(self._cells, names)]
        head = f"Epoch {self.values['epoch']} of the run {self.path}"
        notes = textwrap.fill(self._verdict(), 88, subsequent_indent="  ")
        return [f"{head}\n{notes}", Table(cells, "<><")]

    def __repr__(self) -> str:
        """The run and the epoch."""
        return f"<Measurement of epoch {self.values['epoch']} of {self.path}>"

    def _verdict(self) -> str:
        if not self.logged:
            return "  The run did not measure after this epoch (config.eval)."
        differ = self.differences
        if not differ:
            return "  The same numbers, bit for bit, as the run logged."
        return (
            f"warning: {len(differ)} of {len(self.values) - 1} numbers are not those "
            f"that the run logged; the largest relative difference is "
            f"{max(map(_relative, differ.values())):.1g}. Other devices or versions "
            "round differently (`about` in config.json); other data give other numbers."
        )

    def _cells(self, name: str) -> tuple[str, str, str]:
        """A row of the table: name, value with its interval, and what it means."""
        value = digits(self.values[name])
        low, high = (self.values.get(f"{name}/{end}") for end in ("low", "high"))
        if low is not None and high is not None:
            value += f" [{digits(low)}, {digits(high)}]"
        return name, value, meaning(name)


def _relative(pair: tuple[Any, Any]) -> float:
    """Relative difference of two numbers or tables; infinity if one is none."""
    then, now = pair
    if isinstance(then, list) and isinstance(now, list):
        one, other = np.array(then, float), np.array(now, float)
        if one.shape == other.shape:
            return float(np.abs(other - one).max() / max(np.abs(one).max(), 1e-30))
    if not (isinstance(then, int | float) and isinstance(now, int | float)):
        return math.inf
    return abs(now - then) / max(abs(then), abs(now))


def measure_checkpoint(
    workdir: str | os.PathLike, epoch: int | None = None
) -> CheckpointMeasurement:
    """Measures a checkpoint of a run, as the run itself did after that epoch.

    The numbers are those of `metrics.jsonl` bit for bit where versions and devices are
    the same; without the averages of the training steps, `running/...`.

    Args:
        workdir: folder of the run; of one of many seeds also its folder seeds/SEED.
        epoch: epoch of a checkpoint that the run keeps, by default the newest.

    Raises:
        WorkdirError: if there is no such run or no such checkpoint, or it is of a
            version that this one cannot read.
        DataError: if the data of the run cannot be had.
    """
    folder = Path(workdir).expanduser().absolute()
    row = measure_again(folder, epoch)
    rows = read_rows(folder / NAME)
    logged = next((r for r in rows if r["epoch"] == row["epoch"]), {})
    running = {name for name in logged if name.startswith("running/")}
    kept = {name: x for name, x in logged.items() if name not in running | {"epoch"}}
    return CheckpointMeasurement(folder, row, kept)


def split_epoch(text: str) -> tuple[str, str | None]:
    """RUN and EPOCH of "RUN@EPOCH"; a folder may have an @ in its name."""
    run, mark, epoch = text.rpartition("@")
    return (text, None) if not mark or Path(text).exists() else (run, epoch)
