"""Two time scales of collapse: fitting takes 1/eta, collapsing 1/(lambda eta)?

    python -m tests.benchmarks.studies.grokking

An MLP 784-200-200-10 without BatchNorm on 1,000 images of MNIST, its kernels eight
times as large as usual, AdamW at a constant rate, batch 100: four weight decays and
three seeds as one sweep.  tau_1 is the step of training error 0, tau_2 that of
NC1 <= 0.1, and the slope of log tau_2 on log(1/(lambda eta)) is to be 1.
"""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure

import ncjax
from ncjax import style
from ncjax.runs.history import History, is_measured, read_rows
from tests.benchmarks.studies.harness import flags, mean, write
from tests.benchmarks.verdicts import Answer, Verdict

COMMAND = "python -m tests.benchmarks.studies.grokking"
_SOURCE = "Sakamoto & Sato, ICLR 2026 (arXiv 2509.20829)"
_DECAYS = (0.3, 0.1, 0.03, 0.01)
_STEPS, _BATCH, _IMAGES = 60_000, 100, 1000
_TAU_1, _TAU_2 = "epoch of error 0", "epoch of nc/nc1 <= 0.1"


def slopes(rates: np.ndarray, taus: np.ndarray) -> np.ndarray:
    """The slope of log tau on log(1/rate) for each seed [S], of taus [rates, S]."""
    x = -np.log(rates)
    return np.array([np.polyfit(x, np.log(column), 1)[0] for column in taus.T])


def verdict(claim: str, theirs: float, values: np.ndarray) -> Verdict:
    """Whether the interval of the slopes [S] has the predicted one."""
    centre, interval = mean(values)
    low, high = map(float, interval.strip("[]").split(","))
    answer: Answer = "undecided"
    if math.isfinite(low):
        answer = "holds" if low <= theirs <= high else "does not"
    return Verdict(
        claim, _SOURCE, f"slope {theirs:g}", centre, interval, len(values), answer,
        COMMAND,
    )  # fmt: skip


def draw(found: ncjax.Sweep) -> Figure:
    """tau_1 and tau_2 over the decay, and the curves of the first seed."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    steps = _IMAGES // _BATCH
    for number, (key, name) in enumerate(((_TAU_1, "tau_1"), (_TAU_2, "tau_2"))):
        color = style.COLORS[number]
        decays = found["optimizer.weight_decay"]
        left.plot(decays, steps * found[key], "o", color=color, ms=4, label=name)
    left.set_xscale("log")
    left.set_yscale("log")
    style.decorate(left, "Steps", x="weight decay", legend=True)
    for number, decay in enumerate(_DECAYS):
        row = next(r for r in found.rows if r["optimizer.weight_decay"] == decay)
        path = found.workdir / "members" / row["name"] / "metrics.jsonl"
        history = History(list(filter(is_measured, read_rows(path))))
        look = {"color": style.COLORS[number], "lw": 1.3, "label": f"decay {decay:g}"}
        for axis, key in ((middle, "test/error"), (right, "nc/nc1")):
            axis.plot(steps * history["epoch"], history[key], **look)
    for axis, title in ((middle, "Test error"), (right, "NC1")):
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
    config.num_epochs = (200 if smoke else _STEPS) // (_IMAGES // _BATCH)
    config.model.widths, config.model.batch_norm = (200, 200), False
    config.init_scale = 8.0
    config.optimizer.name, config.optimizer.schedule = "adamw", "constant"
    config.optimizer.learning_rate = 1e-3
    config.eval.num_points = 80
    found = ncjax.sweep(config, {"optimizer.weight_decay": _DECAYS}, folder)
    shape = len(_DECAYS), config.num_seeds
    rates = np.array(_DECAYS) * config.optimizer.learning_rate
    tau_1, tau_2 = (found[key].reshape(shape) for key in (_TAU_1, _TAU_2))
    verdicts = [
        verdict("Collapse takes 1/(lambda eta) steps", 1.0, slopes(rates, tau_2)),
        verdict("Fitting does not depend on the decay", 0.0, slopes(rates, tau_1)),
    ]
    figure = draw(found)
    if smoke:
        style.save(figure, folder / "grokking.png")
        print(*verdicts, sep="\n")
    else:
        write("grokking", verdicts, figure, (folder / "sweep.csv").read_text())


if __name__ == "__main__":
    main()
