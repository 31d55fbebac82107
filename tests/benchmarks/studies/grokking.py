"""Two time scales of collapse: fitting takes 1/eta, collapsing 1/(lambda eta)?

    python -m tests.benchmarks.studies.grokking

An MLP 784-200-200-10 without BatchNorm on 1,000 images of MNIST, its kernels eight
times as large as usual, AdamW at a constant rate, batch 100: four weight decays and
three seeds as one sweep.  tau_1 is the step of training error 0, tau_2 the first
measured one after it at which RNC1, or the test error, is at most half of what it was
at tau_1; the slope of log tau_2 on log(1/(lambda eta)) is to be 1.
"""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure

import ncjax
from ncjax import style
from ncjax.runs.columns import is_measured
from ncjax.runs.history import History
from ncjax.runs.journal import read_rows
from tests.benchmarks.studies.harness import flags, mean, write
from tests.benchmarks.verdicts import Answer, Verdict

COMMAND = "python -m tests.benchmarks.studies.grokking"
_SOURCE = "Sakamoto & Sato, ICLR 2026 (arXiv 2509.20829)"
_DECAYS = (0.3, 0.1, 0.03, 0.01)
_RATE = 1e-3  # eta
_STEPS, _BATCH, _IMAGES = 60_000, 100, 1000
_PER_EPOCH = _IMAGES // _BATCH  # steps


def read(found: ncjax.Sweep) -> list[History]:
    """What each run of the sweep measured, in its order."""
    folders = (found.workdir / "members" / row["name"] for row in found.rows)
    rows = (read_rows(folder / "metrics.jsonl") for folder in folders)
    return [History(list(filter(is_measured, own))) for own in rows]


def fitted(history: History) -> float:
    """tau_1: the first measured epoch of training error 0; NaN if there is none."""
    hits = np.flatnonzero(history["train/error"] == 0)
    return float(history["epoch"][hits[0]]) if len(hits) else math.nan


def halved(history: History, key: str) -> float:
    """tau_2: the first epoch at which a metric is at most half of that at tau_1."""
    epochs, values, start = history["epoch"], history[key], fitted(history)
    if math.isnan(start):
        return math.nan
    low = (epochs > start) & (values <= values[epochs == start][0] / 2)
    return float(epochs[low][0]) if low.any() else math.nan


def slopes(rates: np.ndarray, taus: np.ndarray) -> np.ndarray:
    """The slope of log tau on log(1/rate) for each seed [S], of taus [rates, S].

    Rates at which a seed did not get there, tau NaN, are left out; NaN for a seed with
    fewer than two others.
    """
    found, x = np.full(taus.shape[1], np.nan), -np.log(rates)
    for seed, y in enumerate(np.log(taus).T):
        known = np.isfinite(y)
        if known.sum() > 1:
            found[seed] = np.polyfit(x[known], y[known], 1)[0]
    return found


def verdict(claim: str, theirs: float, taus: np.ndarray) -> Verdict:
    """Whether the interval of the slopes of taus [decays, S] has the predicted one."""
    rates = np.array(_DECAYS) * _RATE
    values = slopes(rates, taus)
    centre, interval = mean(values)
    low, high = map(float, interval.strip("[]").split(","))
    found: Answer = "undecided"
    if math.isfinite(low):
        found = "holds" if low <= theirs <= high else "does not"
    reached = np.isfinite(taus).sum(1)
    counts = (f"{n} at {d:g}" for n, d in zip(reached, _DECAYS, strict=True))
    note = f"seeds that got there, by decay: {', '.join(counts)}"
    return Verdict(
        claim, _SOURCE, f"slope {theirs:g}", centre, interval, len(values), found,
        COMMAND, note,
    )  # fmt: skip


def draw(histories: list[History], taus: dict[str, np.ndarray]) -> Figure:
    """tau_1 and tau_2 [decays, S] over the decay, and the curves of the first seed."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for number, (name, epochs) in enumerate(taus.items()):
        color, label = style.COLORS[number], {"label": name}
        for steps in _PER_EPOCH * epochs.T:
            left.plot(_DECAYS, steps, "o", color=color, ms=4, **label)
            label = {}
    left.set_xscale("log")
    left.set_yscale("log")
    style.decorate(left, "Steps", x="weight decay", legend=True)
    seeds = len(histories) // len(_DECAYS)
    for number, history in enumerate(histories[::seeds]):
        look = {"color": style.COLORS[number], "lw": 1.3}
        look["label"] = f"decay {_DECAYS[number]:g}"
        for axis, key in ((middle, "test/error"), (right, "nc/rnc1")):
            axis.plot(_PER_EPOCH * history["epoch"], history[key], **look)
    for axis, title in ((middle, "Test error"), (right, "RNC1")):
        axis.set_xscale("log")
        axis.set_yscale("log")
        style.decorate(axis, title, x="step", legend=axis is middle)
    return figure


def main() -> None:
    """Trains, measures, and writes results/grokking."""
    folder, smoke = flags(__doc__, "grokking")
    config = ncjax.default()
    config.data.name, config.data.examples_per_class = "mnist", _IMAGES // 10
    config.batch_size, config.num_seeds = _BATCH, 2 if smoke else 3
    config.num_epochs = (400 if smoke else _STEPS) // _PER_EPOCH
    config.model.widths, config.model.batch_norm = (200, 200), False
    config.init_scale = 8.0
    config.optimizer.name, config.optimizer.schedule = "adamw", "constant"
    config.optimizer.learning_rate = _RATE
    config.eval.num_points = 80
    found = ncjax.sweep(config, {"optimizer.weight_decay": _DECAYS}, folder)
    histories, shape = read(found), (len(_DECAYS), config.num_seeds)
    taus = {
        "tau_1, error 0": [fitted(history) for history in histories],
        "tau_2, RNC1": [halved(history, "nc/rnc1") for history in histories],
        "tau_2, test error": [halved(history, "test/error") for history in histories],
    }
    taus = {name: np.reshape(values, shape) for name, values in taus.items()}
    tau_1, collapse, test = taus.values()
    time = "a time in proportion to 1/(lambda eta)"
    verdicts = [
        verdict(f"RNC1 halves after {time}", 1.0, collapse),
        verdict(f"The test error halves after {time}", 1.0, test),
        verdict("Fitting does not depend on the decay", 0.0, tau_1),
    ]
    figure = draw(histories, taus)
    if smoke:
        style.save(figure, folder / "grokking.png")
        print(*verdicts, sep="\n")
    else:
        write("grokking", verdicts, figure, (folder / "sweep.csv").read_text())


if __name__ == "__main__":
    main()
