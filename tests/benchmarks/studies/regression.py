"""Do regression networks collapse with weight decay, and not without?

    python -m tests.benchmarks.studies.regression

A teacher of three targets, an MLP 64-64 without BatchNorm, MSE, SGD: six weight decays,
five seeds.  And whether the formula for gamma that is printed as Theorem F.1 gives the
threshold of the optimum of the unconstrained-features model, which is certified.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import ncjax
from ncjax import style, ufm
from ncjax.statistics import t_interval
from ncjax.ufm.theory.regression import best_gamma, nrc3, printed_gamma
from tests.benchmarks.harness import RESULTS
from tests.benchmarks.studies.harness import LEVEL, answer, difference, flags, write
from tests.benchmarks.verdicts import Answer, Verdict

COMMAND = "python -m tests.benchmarks.studies.regression"
SOURCE = "Andriopoulos et al., NeurIPS 2024 (arXiv 2409.04180)"
DECAYS = (0.0, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2)
COLLAPSED = 1e-2  # the decay that is compared with none
METRICS = ("nc/nrc1", "nc/nrc2", "nc/nrc3")
ALSO = ("nc/nrc1_unit", "nc/nrc2_unit", "nc/nrc3_grid", "nc/cka", "nc/alignment")
COLUMNS = (*METRICS, *ALSO, "nc/gamma", "train/r2", "test/r2", "test/nrc1")
RATIOS = (1.0, 4.0, 16.0)  # lH over lW


def config_of(decay: float, smoke: bool):
    """The configuration of the networks of one weight decay."""
    config = ncjax.default()
    config.data.name, config.loss.name = "synthetic_regression", "mse"
    config.num_seeds = 2 if smoke else 5
    config.num_epochs = 10 if smoke else 1000
    config.model.widths, config.model.batch_norm = (64, 64), False
    config.optimizer.learning_rate = 0.02
    config.optimizer.weight_decay = decay
    config.eval.num_points = 12
    return config


def fall(histories: dict[float, ncjax.History], seeds: int) -> list[Verdict]:
    """Verdicts for each of NRC1 to NRC3: decay against none, and none against time."""
    found = []
    for metric in METRICS:
        last = {
            decay: np.array([one[metric][-1] for one in history.seeds])
            for decay, history in histories.items()
        }
        first = np.array([one[metric][0] for one in histories[0.0].seeds])
        ratio, low, high, _ = difference(last[COLLAPSED], last[0.0], log=True)
        found.append(
            Verdict(
                claim=f"{metric.removeprefix('nc/').upper()} with weight decay "
                f"{COLLAPSED:g} ends below a third of that without",
                source=SOURCE,
                theirs="near 0 with decay, not without",
                ours=f"{ratio:.3g} times",
                interval=f"[{low:.3g}, {high:.3g}]",
                seeds=seeds,
                verdict=answer(-high, -low, -1 / 3),
                command=COMMAND,
            )
        )
        ratio, low, high, _ = difference(last[0.0], first, log=True)
        found.append(
            Verdict(
                claim=f"{metric.removeprefix('nc/').upper()} without decay stays above "
                "a third of that of the first epoch",
                source=SOURCE,
                theirs="does not fall",
                ours=f"{ratio:.3g} times",
                interval=f"[{low:.3g}, {high:.3g}]",
                seeds=seeds,
                verdict=answer(low, high, 1 / 3),
                command=COMMAND,
            )
        )
    return found


def grid(histories: dict[float, ncjax.History], seeds: int) -> Verdict:
    """Whether the closed form is never above the grid, in all networks."""
    pairs = np.array(
        [
            [one["nc/nrc3"], one["nc/nrc3_grid"]]
            for history in histories.values()
            for one in history.seeds
        ]
    )
    excess = (pairs[:, 0] - pairs[:, 1]).max()
    below: Answer = "holds" if excess <= 1e-6 else "does not"
    return Verdict(
        claim="NRC3 at the gamma of the closed form is at most that of a grid of 1000",
        source="derived for this project",
        theirs="the grid",
        ours=f"at most {max(excess, 0):.2g} above it, in {pairs[:, 0].size} values",
        interval="",
        seeds=0,
        verdict=below,
        command=COMMAND,
        note=f"in every network, of {seeds} seeds",
    )


def printed(folder: Path) -> tuple[list[Verdict], str]:
    """Gamma of Theorem F.1 and of the closed form, at certified optima."""
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    covariance = (turn * np.array([4.0, 1.0, 0.25])) @ turn.T
    found, lines = [], ["lambda_h/lambda_w,lH lW,printed,closed,NRC3 printed,closed"]
    for ratio in RATIOS:
        w = 0.1 / np.sqrt(ratio)
        problem = ufm.regression(covariance, lambda_w=w, lambda_h=ratio * w)
        optimum = ufm.solve(problem, 0).params
        gap = float(ufm.certify(problem, optimum).bounds.gap)
        assert gap <= 1e-9, gap
        gram, price = optimum["W"] @ optimum["W"].T, ratio * w * w
        gammas = printed_gamma(gram, covariance), best_gamma(gram, covariance)
        values = [nrc3(gram, covariance, gamma) for gamma in gammas]
        lines.append(",".join(f"{x:.6g}" for x in (ratio, price, *gammas, *values)))
        right = abs(gammas[0] / price - 1) < 1e-4
        found.append(
            Verdict(
                claim=f"the gamma of Theorem F.1 is lH lW, for lH/lW = {ratio:g}",
                source=SOURCE,
                theirs="for all decays",
                ours=f"{gammas[0]:.4g}, lH lW = {price:.4g}; the closed form "
                f"{gammas[1]:.4g}",
                interval="",
                seeds=0,
                verdict="holds" if right else "does not",
                command=COMMAND,
                note=f"optimum certified with a duality gap of {gap:.1e}",
            )
        )
    return found, "\n".join([*lines, ""])


def draw(histories: dict[float, ncjax.History]) -> Figure:
    """Above NRC1 to NRC3 over epochs, below their last values over the decay."""
    figure = Figure(figsize=(10.5, 6.4), layout="constrained")
    axes = figure.subplots(2, 3)
    for column, metric in enumerate(METRICS):
        title = metric.removeprefix("nc/").upper()
        for number, (decay, history) in enumerate(histories.items()):
            look = {"color": style.COLORS[number], "lw": 1.4, "label": f"{decay:g}"}
            values = np.array([one[metric] for one in history.seeds])
            centre = np.exp(np.log(values).mean(0))
            axes[0, column].loglog(history["epoch"], centre, **look)
        style.decorate(axes[0, column], title, x="epoch")
        places = np.arange(len(histories))
        for key, mark in (
            (metric, "o"),
            *((x, "s") for x in ALSO if x.startswith(metric + "_")),
        ):
            found = [
                t_interval(np.array([s[key][-1] for s in h.seeds]), LEVEL, True)
                for h in histories.values()
            ]
            middle = np.array([x.centre for x in found])
            bars = np.abs(np.array([[x.low, x.high] for x in found]).T - middle)
            name = {"o": "default", "s": "andriopoulos2024"}[mark]
            axes[1, column].errorbar(places, middle, bars, fmt=f"{mark}-", label=name)
        axes[1, column].set_yscale("log")
        axes[1, column].set_xticks(places, [f"{decay:g}" for decay in histories])
        style.decorate(axes[1, column], f"{title} at the end", x="weight decay")
    axes[0, 0].legend(title="weight decay", fontsize=8, frameon=False)
    axes[1, 0].legend(fontsize=8, frameon=False)
    note = "geometric means of the seeds, bars: 95 % intervals"
    figure.suptitle(note, fontsize=9, color=style.NOTE, x=0.01, ha="left")
    return figure


def table(histories: dict[float, ncjax.History]) -> str:
    """The last values of each network, as CSV."""
    lines = ["weight_decay,seed," + ",".join(COLUMNS)]
    for decay, history in histories.items():
        for seed, one in enumerate(history.seeds):
            values = ",".join(f"{one[key][-1]:.6g}" for key in COLUMNS)
            lines.append(f"{decay:g},{seed},{values}")
    return "\n".join([*lines, ""])


def main() -> None:
    """Trains, measures, and writes results/regression."""
    folder, smoke = flags(__doc__, "regression")
    histories = {
        decay: ncjax.train(config_of(decay, smoke), folder / f"decay_{decay:g}")
        for decay in ((0.0, COLLAPSED) if smoke else DECAYS)
    }
    figure = draw(histories)
    if smoke:
        style.save(figure, folder / "regression.png")
        return
    seeds = len(next(iter(histories.values())).seeds)
    theorem, rows = printed(folder)
    (RESULTS / "regression").mkdir(exist_ok=True)
    (RESULTS / "regression" / "theorem.csv").write_text(rows)
    found = [*fall(histories, seeds), grid(histories, seeds), *theorem]
    write("regression", found, figure, table(histories))


if __name__ == "__main__":
    main()
