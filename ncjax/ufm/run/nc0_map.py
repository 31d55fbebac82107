"""The printed map of NC0 over momentum and decay, from the recursion alone."""

from __future__ import annotations

import numpy as np
from ml_collections import ConfigDict

from ncjax.ufm.run.experiment import Experiment, Progress
from ncjax.ufm.run.report import Report, equal, no_error
from ncjax.ufm.theory.row_sum import decay_time, row_sum_factors

# |W'1| at the end of training, as printed: ResNet9 on Fashion-MNIST, SGD, learning rate
# .001 divided by 10 after 1/3 and 2/3 of 200 epochs, batches of 128, 10 classes.
# Zhao, Cheng, Masarczyk & Lucchi, ICLR 2026, arXiv 2602.16642.
DECAYS = np.array([0, 2.5e-5, 5e-5, 1e-4, 5e-4, 1e-3, 2.5e-3, 5e-3])
PRINTED = {
    0.0: (1.75, 1.75, 1.75, 1.75, 1.72, 1.69, 1.61, 1.48),
    0.5: (1.75, 1.75, 1.75, 1.74, 1.69, 1.64, 1.48, 1.24),
    0.7: (1.75, 1.75, 1.74, 1.73, 1.66, 1.56, 1.32, 0.99),
    0.9: (1.75, 1.74, 1.72, 1.69, 1.48, 1.24, 0.74, 0.31),
    0.95: (1.75, 1.72, 1.69, 1.64, 1.24, 0.88, 0.31, 0.06),
}
START = 1.75  # without decay it stays where it was
LOST_BY_SGDW = 0.689  # printed, at learning rate .0679 and decay 5e-4
_STEPS = 469  # batches of 128 in 60,000 images


def rates(start: float) -> np.ndarray:
    """Learning rate of each step: 67, 67 and 66 epochs, each a tenth of the last."""
    return np.repeat(start * np.array([1, 0.1, 0.01]), _STEPS * np.array([67, 67, 66]))


def run(config: ConfigDict, progress: Progress) -> Report:
    """Every printed value follows from learning rates, decay and momentum."""
    del config  # what is printed has no options
    progress("recursion", settings=len(PRINTED) * len(DECAYS))
    momenta = np.array(list(PRINTED))[:, None]
    printed = np.array(list(PRINTED.values()))
    one = rates(0.001)[None, None]
    x = decay_time(one, DECAYS[None], momentum=momenta)[..., -1]
    found = START * row_sum_factors(one, DECAYS[None], momentum=momenta)[..., -1]
    sgdw = row_sum_factors(rates(0.0679), 5e-4, momentum=0.9, decoupled=1.0)[-1]
    squares = found**2 / 10
    rows = [
        {"momentum": m, "weight_decay": d, "x": x[i, j], "nc0": found[i, j]}
        | {"printed": printed[i, j]}
        for i, m in enumerate(PRINTED)
        for j, d in enumerate(DECAYS.tolist())
    ]
    nearest = np.abs(squares - printed).max()
    return Report(
        title=f"NC0 of {printed.size} trainings, ResNet9 on Fashion-MNIST, as printed",
        facts=[
            ("theory", f"{START} r_T / r_0, without data; x up to {x.max():.3g}"),
            ("squared", f"(1/K)|W'1|^2 is up to {nearest:.2f} from what is printed"),
        ],
        statements=[
            no_error("|W'1|, printed - predicted", printed - found, 0.015),
            no_error("the same by 1.75 exp(-x)", printed - START * np.exp(-x), 0.015),
            equal(
                "printed share that SGDW loses at learning rate .0679",
                LOST_BY_SGDW,
                1 - sgdw,
                0.01,
            ),
        ],
        rows=rows,
        figure=_draw(printed, found, x),
    )


def _draw(printed: np.ndarray, found: np.ndarray, x: np.ndarray):
    """Both maps with their numbers, and both over the decay time."""
    from ncjax.style import BLUE, ORANGE  # matplotlib is loaded when used
    from ncjax.ufm.run import figures

    figure, axes = figures.panels((14, 4), 1, 3, width_ratios=(1.2, 1.2, 1))
    for axis, title, values in (
        (axes[0], "|W'1| printed", printed),
        (axes[1], "|W'1| of the recursion", found),
    ):
        axis.imshow(values, cmap="Blues", vmin=0, vmax=2.2, aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            axis.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8)
        axis.set_xticks(range(len(DECAYS)), [f"{d:g}" for d in DECAYS], fontsize=8)
        axis.set_yticks(range(len(PRINTED)), [f"{m:g}" for m in PRINTED])
        axis.set_ylabel("momentum")
        figures.panel(axis, title, "weight decay")
        axis.grid(visible=False)
    line = np.geomspace(1e-4, x.max() * 1.2, 200)
    axes[2].plot(line, START * np.exp(-line), color=ORANGE, label="1.75 exp(-x)")
    axes[2].plot(x[x > 0], printed[x > 0], "o", ms=4, color=BLUE)
    axes[2].lines[-1].set_label("printed")
    axes[2].set_xscale("log")
    figures.panel(axes[2], "|W'1| over the decay time", "decay time x")
    return figure


NC0_MAP = Experiment(run, plain_model=False, uses=())
