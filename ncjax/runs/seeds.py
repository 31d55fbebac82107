"""Many seeds in one program: what their networks say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ncjax.runs.history import Row
from ncjax.runs.metrics import describe
from ncjax.statistics import t_interval

LEVEL = 0.95  # confidence level of the intervals


def rows_of(epoch: int, metrics: Mapping[str, Any], *, many: bool) -> list[Row]:
    """A row for each network.

    Args:
        epoch: number of the epoch.
        metrics: name -> value of the one network, or values [S, ...] of many.
        many: whether there are many.
    """
    if not many:
        metrics = {name: np.asarray(value)[None] for name, value in metrics.items()}
    count = len(next(iter(metrics.values())))
    return [
        {"epoch": epoch} | {name: x[i].tolist() for name, x in metrics.items()}
        for i in range(count)
    ]


def mean_row(rows: Sequence[Row]) -> Row:
    """The mean of every metric over seeds, and `NAME/low`, `NAME/high` around it.

    They are those of `ncjax.statistics.t_interval` at confidence `LEVEL`, on the
    logarithm for metrics that span decades.  Tables, like the confusion of classes,
    have a mean alone.

    Args:
        rows: rows of the same epoch, one for each seed.
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
