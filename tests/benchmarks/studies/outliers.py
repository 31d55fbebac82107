"""Does collapse help to tell outliers, or does it hurt?

    python -m tests.benchmarks.studies.outliers

Networks on MNIST and Fashion-MNIST (MLP), each with the other as outliers, and on
CIFAR-10 (narrow ResNet-18) with CIFAR-100; weak and strong weight decay, five seeds.
Every score of `ncjax.ood` at every measured epoch, beside NC1: before the terminal
phase, which begins when the training error is at most 0.1 %, and at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import ncjax
from ncjax import ood, style
from ncjax.config import recipes
from ncjax.probes.ood import TITLES
from ncjax.statistics import t_interval
from tests.benchmarks.studies.harness import LEVEL, answer, difference, flags, write
from tests.benchmarks.verdicts import Verdict

COMMAND = "python -m tests.benchmarks.studies.outliers"
NECO = "Ammar et al., ICLR 2024"
NCI = "Liu & Qin, CVPR 2025 (arXiv 2311.01479)"
HARUN = "Harun et al., ICML 2025 (arXiv 2502.10691)"
TERMINAL = 1e-3  # training error at which the terminal phase begins
DECAYS = {"weak": 1e-4, "strong": 5e-3}


class Setting(NamedTuple):
    """What is known and what is foreign.

    Attributes:
        title: name in tables.
        outliers: name of the foreign data set.
    """

    title: str
    outliers: str


SETTINGS = {
    "mnist": Setting("MNIST, outliers Fashion-MNIST", "fashion_mnist"),
    "fashion_mnist": Setting("Fashion-MNIST, outliers MNIST", "mnist"),
    "cifar10": Setting("CIFAR-10, outliers CIFAR-100", "cifar100"),
}


def config_of(data: str, decay: float, smoke: bool):
    """The configuration of the networks of one data set and one weight decay."""
    if data == "cifar10":
        config = recipes.narrow_resnet18(data)
        config.data.examples_per_class, config.batch_size = 100, 50
        config.model.width, config.num_epochs = 0.125, 40
        config.eval.epochs = (1, 2, 4, 7, 12, 18, 26, 33, 40)
    else:
        config = recipes.fashion_mlp()
        config.data.name = data
        config.data.examples_per_class, config.batch_size = 500, 250
        config.model.widths = (256, 128, 64)
        config.eval.epochs = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 115, 150)
    config.num_seeds, config.optimizer.weight_decay = 5, decay
    config.data.test_examples_per_class = 150
    config.eval.order = config.eval.crm = False
    config.eval.probes = ("ood",)
    config.eval.ood = (SETTINGS[data].outliers, "noise")
    config.eval.ood_examples, config.eval.ood_bank = 1500, 1000
    if smoke:
        config.num_seeds, config.num_epochs, config.eval.epochs = 2, 3, (1, 3)
    return config


class Curves(NamedTuple):
    """What the networks of one setting and one decay have gone through.

    Attributes:
        epochs: the measured epochs [e].
        auroc: score -> AUROC in % [seeds, e].
        nc1: NC1 [seeds, e].
        nc5: NC5 of the foreign set [seeds, e].
        train: training error [seeds, e].
        noise: score -> AUROC in % of noise at the end [seeds].
    """

    epochs: np.ndarray
    auroc: dict[str, np.ndarray]
    nc1: np.ndarray
    nc5: np.ndarray
    train: np.ndarray
    noise: dict[str, np.ndarray]

    @property
    def before(self) -> np.ndarray:
        """Place of the last epoch before the terminal phase [seeds]."""
        reached = self.train <= TERMINAL
        first = np.where(reached.any(1), reached.argmax(1), self.train.shape[1] - 1)
        return np.maximum(first - 1, 0)

    def at(self, values: np.ndarray) -> np.ndarray:
        """The values of each seed at its last epoch before the terminal phase."""
        return values[np.arange(len(values)), self.before]

    @property
    def mean(self) -> np.ndarray:
        """Mean AUROC over all scores, in % [seeds, e]."""
        return np.mean(list(self.auroc.values()), axis=0)


def curves_of(history: ncjax.History, outliers: str) -> Curves:
    """The curves of a run of many seeds."""
    one = history.seeds

    def values(key: str) -> np.ndarray:
        return np.array([seed[key] for seed in one])

    return Curves(
        epochs=np.asarray(history["epoch"]),
        auroc={
            name: 100 * values(f"probe/ood/{outliers}/{name}_auroc")
            for name in ood.SCORES
        },
        nc1=values("nc/nc1"),
        nc5=values(f"probe/ood/{outliers}/nc5"),
        train=values("train/error"),
        noise={
            name: 100 * values(f"probe/ood/noise/{name}_auroc")[:, -1]
            for name in ood.SCORES
        },
    )


def judge(found: dict[str, dict[str, Curves]]) -> Iterator[Verdict]:
    """Each claim for each setting."""
    for data, by in found.items():
        title = SETTINGS[data].title
        for name, source in (("neco", NECO), ("nci", NCI)):
            yield _higher(
                f"{title}: AUROC of {TITLES[name]} is higher at the end than before "
                "the terminal phase",
                source,
                "collapse helps",
                by["strong"].auroc[name][:, -1],
                by["strong"].at(by["strong"].auroc[name]),
            )
        yield _higher(
            f"{title}: the mean AUROC of all scores is lower at the end than before "
            "the terminal phase",
            HARUN,
            "collapse hurts",
            by["strong"].at(by["strong"].mean),
            by["strong"].mean[:, -1],
        )
        yield _higher(
            f"{title}: the mean AUROC of all scores is lower with strong than with "
            "weak weight decay",
            HARUN,
            "collapse hurts",
            by["weak"].mean[:, -1],
            by["strong"].mean[:, -1],
        )
        nc5 = by["strong"].nc5
        ratio, low, high, _ = difference(nc5[:, -1], nc5[:, 0], log=True)
        yield Verdict(
            claim=f"{title}: NC5, |cosine| of class means and the mean outlier, falls "
            "below that of the first epoch",
            source=NECO,
            theirs="to 0",
            ours=f"{nc5[:, -1].mean():.2f}, {ratio:.2f} times",
            interval=f"[{low:.2f}, {high:.2f}]",
            seeds=len(nc5),
            verdict=answer(-high, -low, -1.0),
            command=COMMAND,
        )


def _higher(
    claim: str, source: str, theirs: str, more: np.ndarray, less: np.ndarray
) -> Verdict:
    """The claim that one AUROC is above another, paired by seed."""
    gap, low, high, p = difference(more, less)
    return Verdict(
        claim=claim,
        source=source,
        theirs=theirs,
        ours=f"{more.mean():.1f} against {less.mean():.1f} %: {gap:+.1f}",
        interval=f"[{low:.1f}, {high:.1f}]",
        seeds=len(more),
        verdict=answer(low, high),
        command=COMMAND,
        note=f"p = {p:.2g}",
    )


def table(found: dict[str, dict[str, Curves]]) -> str:
    """AUROC of each score before the terminal phase and at the end, as CSV."""
    lines = [
        "data,decay,score,before,end,difference,low,high,p,noise at the end,NC1 before,"
        "NC1 at the end"
    ]
    for data, by in found.items():
        for decay, one in by.items():
            for name, values in one.auroc.items():
                before, end = one.at(values), values[:, -1]
                numbers = difference(end, before)
                cells = [f"{x.mean():.2f}" for x in (before, end)]
                cells += [f"{x:.3g}" for x in numbers]
                cells += [f"{one.noise[name].mean():.2f}"]
                cells += [f"{x.mean():.3g}" for x in (one.at(one.nc1), one.nc1[:, -1])]
                lines.append(",".join([data, decay, name, *cells]))
    return "\n".join([*lines, ""])


def draw(found: dict[str, dict[str, Curves]]) -> Figure:
    """AUROC of all scores over epochs, above NC1; a column for each setting, decay."""
    columns = [(data, decay) for data, by in found.items() for decay in by]
    figure = Figure(figsize=(2.7 * len(columns) + 1.6, 5.4), layout="constrained")
    axes = figure.subplots(
        2, len(columns), sharex="col", squeeze=False, height_ratios=(2.2, 1)
    )
    palette = [*style.COLORS, "#555555", "#a0a0a0", "#000000", "#8c564b"]
    for place, (data, decay) in enumerate(columns):
        one = found[data][decay]
        above, below = axes[:, place]
        for number, (name, values) in enumerate(one.auroc.items()):
            look = {"color": palette[number % len(palette)], "label": TITLES[name]}
            above.semilogx(one.epochs, values.mean(0), lw=1.2, **look)
        each = [t_interval(v, LEVEL, True) for v in one.nc1.T]
        below.loglog(one.epochs, [e.centre for e in each], color="black", lw=1.4)
        below.fill_between(
            one.epochs,
            [e.low for e in each],
            [e.high for e in each],
            color="black",
            alpha=0.15,
        )
        for axis in (above, below):
            axis.axvspan(
                np.median(one.epochs[one.before]), one.epochs[-1], color="#f1f1f1"
            )
        known, _, outliers = SETTINGS[data].title.partition(", outliers ")
        style.decorate(above, f"{known} / {outliers}\n{decay} decay", y="AUROC, %")
        style.decorate(below, "", x="epoch", y="NC1")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=8)
    note = (
        "means of 5 seeds, band: 95 % interval of NC1; grey: terminal phase (training "
        "error at most 0.1 %)"
    )
    figure.suptitle(note, fontsize=9, color=style.NOTE, x=0.01, ha="left")
    return figure


def trained(folder: Path, data: str, smoke: bool) -> dict[str, Curves]:
    """The networks of one data set, trained unless they are there."""
    return {
        name: curves_of(
            ncjax.train(config_of(data, decay, smoke), folder / f"{data}_{name}"),
            SETTINGS[data].outliers,
        )
        for name, decay in DECAYS.items()
    }


def main() -> None:
    """Trains, measures, and writes results/outliers."""
    folder, smoke = flags(__doc__, "outliers")
    sets = ("mnist",) if smoke else SETTINGS
    found = {data: trained(folder, data, smoke) for data in sets}
    figure = draw(found)
    if smoke:
        style.save(figure, folder / "outliers.png")
        return
    write("outliers", list(judge(found)), figure, table(found))


if __name__ == "__main__":
    main()
