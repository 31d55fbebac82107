"""Is decay time the one variable of collapse?

    python -m tests.benchmarks.studies.decay_time

The decay time x is the sum over steps of lambda eta / (1 - beta).  Digits, the MLP
128-128-64 with and without BatchNorm, SGD: every combination of three learning rates,
four weight decays, three momenta and two lengths, three seeds.  If one curve NC(x)
holds, settings of the same x agree: the spread about a smooth curve through all of
them, in the logarithm, is compared with that of the metric over all settings.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import ncjax
from ncjax import style
from ncjax.statistics import t_interval
from tests.benchmarks.harness import RESULTS
from tests.benchmarks.studies.harness import flags, write
from tests.benchmarks.verdicts import Answer, Verdict

COMMAND = "python -m tests.benchmarks.studies.decay_time"
_SOURCE = "derived from the tables of Zhao et al., ICLR 2026 (arXiv 2602.16642)"
_METRICS = ("nc/nc0", "nc/nc1", "nc/nc2", "nc/nc3")
_FIELDS = {
    "optimizer.learning_rate": (0.01, 0.03, 0.1),
    "optimizer.weight_decay": (5e-4, 2e-3, 8e-3, 3.2e-2),
    "optimizer.momentum": (0.0, 0.7, 0.9),
    "num_epochs": (100, 300),
}
_TIME = "theory/decay_time"
_COLUMNS = (*_FIELDS, "seed", _TIME, *_METRICS, "train/error", "test/error")
_ENOUGH = 0.1  # share of the variance that may be left about one curve


def unexplained(x: np.ndarray, y: np.ndarray, groups: int = 8) -> float:
    """Share of the variance of log y that is left about a curve of log x.

    The curve is a mean in each of so many groups of equal size of x, with a slope in
    it.

    Args:
        x: decay times [n], more than 0.
        y: values [n], more than 0.
        groups: number of groups.
    """
    x, y = np.log(x), np.log(y)
    order, left = np.argsort(x), np.empty(len(x))
    for rows in np.array_split(order, groups):
        degree = 1 if np.ptp(x[rows]) > 1e-9 else 0
        left[rows] = y[rows] - np.polyval(np.polyfit(x[rows], y[rows], degree), x[rows])
    return float(left.var() / y.var())


def judge(name: str, columns: dict[str, np.ndarray], seeds: int) -> list[Verdict]:
    """One verdict for each metric: the share that is left, by seed."""
    found = []
    for metric in _METRICS:
        shares = []
        for seed in range(seeds):
            own = (columns["seed"] == seed) & (columns["train/error"] == 0)
            own &= np.isfinite(columns[metric]) & (columns[metric] > 0)
            shares.append(unexplained(columns[_TIME][own], columns[metric][own]))
        each = t_interval(np.array(shares), 0.95)
        verdict: Answer = "undecided"
        if math.isfinite(each.low):
            if each.high < _ENOUGH:
                verdict = "holds"
            elif each.low > _ENOUGH:
                verdict = "does not"
        found.append(
            Verdict(
                claim=f"{metric.removeprefix('nc/').upper()} is a function of decay "
                f"time alone, where the training error is 0 ({name})",
                source=_SOURCE,
                theirs=f"less than {_ENOUGH:g} of the variance left",
                ours=f"{each.centre:.3g} left",
                interval=f"[{each.low:.3g}, {each.high:.3g}]",
                seeds=seeds,
                verdict=verdict,
                command=COMMAND,
            )
        )
    return found


def draw(every: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Each metric over the decay time, colours by momentum, a row for each network."""
    figure = Figure(
        figsize=(3.4 * len(_METRICS), 3.4 * len(every)), layout="constrained"
    )
    grid = figure.subplots(len(every), len(_METRICS), squeeze=False)
    for row, (name, columns) in zip(grid, every.items(), strict=True):
        fits = columns["train/error"] == 0
        for axis, metric in zip(row, _METRICS, strict=True):
            for number, momentum in enumerate(_FIELDS["optimizer.momentum"]):
                own = columns["optimizer.momentum"] == momentum
                look: dict[str, Any] = {"color": style.COLORS[number], "ms": 3}
                x, y = columns[_TIME], columns[metric]
                label = f"momentum {momentum:g}"
                axis.plot(x[own & fits], y[own & fits], "o", label=label, **look)
                axis.plot(x[own & ~fits], y[own & ~fits], "x", alpha=0.4, **look)
            axis.set_xscale("log")
            axis.set_yscale("log")
            title = f"{metric.removeprefix('nc/').upper()}, {name}"
            style.decorate(axis, title, x="decay time", legend=axis is grid[0, 0])
    note = "crosses: the training error is not 0"
    figure.suptitle(note, fontsize=9, color=style.NOTE, x=0.01, ha="left")
    return figure


def main() -> None:
    """Trains, measures, and writes results/decay_time."""
    folder, smoke = flags(__doc__, "decay_time")
    every, found = {}, []
    for name, norm in (("BatchNorm", True), ("no BatchNorm", False)):
        config = ncjax.default()
        config.num_seeds = 1 if smoke else 3
        config.model.batch_norm = norm
        config.eval.num_points = 8
        fields = dict(_FIELDS)
        if smoke:
            fields |= {"num_epochs": (5, 10), "optimizer.learning_rate": (0.1,)}
        place = folder / name.replace(" ", "_")
        swept = ncjax.sweep(config, fields, place)
        every[name] = {key: swept[key].astype(float) for key in _COLUMNS}
        if not smoke:
            found += judge(name, every[name], config.num_seeds)
            (RESULTS / "decay_time").mkdir(exist_ok=True)
            style.save(swept.plot(), RESULTS / "decay_time" / f"{place.name}.png")
    figure = draw(every)
    if smoke:
        style.save(figure, folder / "decay_time.png")
    else:
        lines = ["network," + ",".join(_COLUMNS)]
        for name, columns in every.items():
            for row in zip(*columns.values(), strict=True):
                lines.append(f"{name}," + ",".join(f"{x:.6g}" for x in row))
        write("decay_time", found, figure, "\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
