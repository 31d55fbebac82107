"""Many seeds at once: what they say together, and where they are written.

DIR              the run of all: means and intervals, checkpoints of all networks
DIR/seeds/SEED   each network's run alone: config.json, metrics.jsonl, TensorBoard
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from ncjax import cluster
from ncjax.config import resolved
from ncjax.metrics import describe
from ncjax.runs.history import History, Row
from ncjax.runs.workdir import Workdir
from ncjax.statistics import t_interval

LEVEL = 0.95  # of confidence


def seeds_of(config: ConfigDict) -> range:
    """The seeds of a run."""
    return range(config.seed, config.seed + config.num_seeds)


def single(config: ConfigDict, seed: int) -> ConfigDict:
    """The run of one of the seeds alone."""
    one = ConfigDict(config.to_dict())
    one.seed, one.num_seeds = seed, 1
    return one


def mean_row(rows: Sequence[Row]) -> Row:
    """The mean of every metric over seeds, and `NAME/low`, `NAME/high` around it.

    They bound Student's interval for the mean at confidence `LEVEL`; both are taken on
    the logarithm for metrics that span decades, like NC1, as in `ncjax.compare`.  Seeds
    in which a metric is undefined are left out of it; with fewer than two left there is
    no interval (NaN).  Tables (the confusion of classes) have a mean alone.

    Args:
        rows: of the same epoch, one for each seed.
    """
    tables = [name for name, value in rows[0].items() if isinstance(value, list)]
    names = [name for name in rows[0] if name not in ("epoch", *tables)]
    values = np.array([[row[name] for name in names] for row in rows])  # [S, metrics]
    log = np.array([describe(name).log for name in names])
    plain, geometric = (t_interval(values, LEVEL, on_log) for on_log in (False, True))
    found: Row = {"epoch": rows[0]["epoch"]}
    found |= {t: np.mean([row[t] for row in rows], axis=0).tolist() for t in tables}
    for suffix, field in (("", "centre"), ("/low", "low"), ("/high", "high")):
        chosen = np.where(log, getattr(geometric, field), getattr(plain, field))
        found |= {n + suffix: float(v) for n, v in zip(names, chosen, strict=True)}
    return found


class Folders:
    """The folder of a run; with many seeds also one for each of them."""

    def __init__(self, path: str | os.PathLike, config: ConfigDict):
        """Claims the folders for `config`.

        Raises:
            WorkdirError: if one of them cannot be had.
        """
        self.whole = Workdir(path, resolved(config))
        self.each: list[Workdir] = []
        if config.num_seeds > 1:
            self.each = [
                Workdir(
                    self.whole.path / "seeds" / str(seed),
                    resolved(single(config, seed)),
                )
                for seed in seeds_of(config)
            ]
        self._waiting: list[Sequence[Row]] = []

    def resume(self, epoch: int) -> History:
        """Drops what was written after `epoch`; returns what was measured up to it."""
        whole = History(_measured(self.whole.resume(epoch)), self.whole.path)
        rows = cluster.from_first(lambda: [one.trim(epoch) for one in self.each])
        for one, own in zip(self.each, rows, strict=True):
            whole.seeds.append(History(_measured(own), one.path))
        return whole

    def write(self, row: Row, of_seeds: Sequence[Row]) -> None:
        """Writes a row now; those of the seeds with the next `flush`."""
        self.whole.write(row)
        if self.each:
            self._waiting.append(of_seeds)

    def flush(self) -> None:
        """Brings metrics.jsonl of every seed up to date.

        One seed after the other: thousands of files cannot be open at once.
        """
        for i, one in enumerate(self.each):
            one.append([of_seeds[i] for of_seeds in self._waiting])
        self._waiting.clear()

    def close(self) -> None:
        """Writes what is left, and TensorBoard events of the seeds."""
        self.whole.close()
        self.flush()
        for one in self.each:
            one.renew_events()


def _measured(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if "nc/nc1" in row]
