"""Do the frames of two tasks come to right angles, and correlated ones as told?

    python -m tests.benchmarks.studies.tasks

Two digits of MNIST side by side, two tasks, the network of `mnist_pairs_tasks` with 150
epochs, five seeds.  Tasks of ten classes, and of two with a third of the pairs, at some
correlations of their labels.  Beside each network stands the certified optimum of the
unconstrained-features model for its labels, whose one free constant is fitted to the
training loss alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import ncjax
from ncjax import style
from ncjax.config import recipes
from ncjax.statistics import t_interval
from ncjax.ufm.match import match_loss
from ncjax.ufm.tasks import class_gram, cross_cosine, tasks_path
from ncjax.ufm.theory.tasks import limit_cosine
from tests.benchmarks.studies.harness import LEVEL, answer, difference, flags, write
from tests.benchmarks.verdicts import Answer, Verdict

COMMAND = "python -m tests.benchmarks.studies.tasks"
SOURCE = "Neural collapse in multi-task learning, ICLR 2026"
CORRELATIONS = {10: (0.0, 0.5), 2: (0.0, 0.3, 0.6)}  # by classes of each task
COSINES = {"nc/cross_task": "class means", "nc/cross_task_w": "rows of W"}
COLUMNS = (
    *("train/error", "train/loss", "nc/nc1", "nc/nc2", "nc/nc3", "nc/nc4"),
    *("nc/not_sum", *COSINES, "test/error"),
)
SMALL, NEAR = 0.05, 0.1  # a cosine near 0; how far a ratio may be from 1


class Setting(NamedTuple):
    """Both tasks have as many classes, with correlated labels."""

    classes: int
    correlation: float

    @property
    def name(self) -> str:
        return f"{self.classes}_{self.correlation:g}"


class Found(NamedTuple):
    """Networks of one setting, and the optimum for each: metric -> values [seeds]."""

    history: ncjax.History
    predicted: dict[str, np.ndarray]
    gap: float  # largest duality gap of the optima


def config_of(setting: Setting, smoke: bool):
    """The configuration of the networks of one setting."""
    config = recipes.pair_tasks_mlp("mnist")
    config.num_epochs = 150
    if setting.classes == 2:
        config.data.train_size, config.batch_size = 1000, 100
    if smoke:
        config = recipes.smoke_tasks(config, "smoke")
    config.data.test_size = 500
    config.num_seeds = 2 if smoke else 5
    config.data.task_classes = (setting.classes,) * 2
    config.data.correlation = setting.correlation
    config.eval.num_points = 12
    return config


def find(setting: Setting, folder: Path, smoke: bool) -> Found:
    """Trains the networks, and solves for the optimum at the loss of each."""
    config = config_of(setting, smoke)
    history = ncjax.train(config, folder / setting.name)
    labels = ncjax.load(folder / setting.name, seed=0).dataset.train.labels
    sizes = (setting.classes,) * 2
    counts = np.zeros(sizes)
    np.add.at(counts, tuple(labels.T), 1)
    path, optima, gaps = tasks_path(counts), [], []
    for one in history.seeds:
        match, proof = path.prove(match_loss(path, one["train/loss"][-1]))
        assert proof.kind == "certified", (match.c, proof)
        optima.append(match.optimum)
        gaps.append(proof.gap)
    grams = {
        "nc/cross_task": [class_gram(one.gram, counts) for one in optima],
        "nc/cross_task_w": [one.classifier_gram for one in optima],
    }
    predicted = {
        key: np.array([cross_cosine(gram, sizes) for gram in values])
        for key, values in grams.items()
    }
    return Found(history, predicted, max(gaps))


def last(found: Found, key: str) -> np.ndarray:
    """The last value of a metric for each seed."""
    return np.array([one[key][-1] for one in found.history.seeds])


def verdict(claim: str, theirs: str, ours: str, seeds: int, holds: Answer, **more):
    """A verdict of this study."""
    about = {"source": SOURCE, "command": COMMAND, "interval": "", "note": ""} | more
    return Verdict(
        claim=claim, theirs=theirs, ours=ours, seeds=seeds, verdict=holds, **about
    )


def apart(results: dict[Setting, Found]) -> list[Verdict]:
    """Verdicts on independent labels: right angles, and features that are sums."""
    verdicts = []
    for setting, found in results.items():
        if setting.correlation:
            continue
        seeds = len(found.history.seeds)
        name = f"{setting.classes} classes each"
        error = last(found, "train/error").max()
        for key, what in {**COSINES, "nc/not_sum": "no sum"}.items():
            values = last(found, key)
            first = np.array([one[key][0] for one in found.history.seeds])
            bound = 0.01 if key == "nc/not_sum" else SMALL
            centre = t_interval(values, LEVEL)
            claim = (
                f"Two independent tasks of {name}: the share of the features' variance "
                f"that is no sum ends below {bound:g}"
                if key == "nc/not_sum"
                else f"Two independent tasks of {name}: the mean |cosine| between "
                f"{what} of both ends below {bound:g}"
            )
            verdicts.append(
                verdict(
                    claim,
                    "0",
                    f"{centre.centre:.3g}, from {first.mean():.3g}",
                    seeds,
                    answer(-centre.high, -centre.low, -bound),
                    interval=f"[{centre.low:.3g}, {centre.high:.3g}]",
                    note=f"training error {error:.2g} at most",
                )
            )
    return verdicts


def tilted(results: dict[Setting, Found]) -> list[Verdict]:
    """Verdicts on correlated labels: the cosine beside that of the optimum."""
    verdicts = []
    for setting, found in results.items():
        if not setting.correlation:
            continue
        for key, what in COSINES.items():
            values, predicted = last(found, key), found.predicted[key]
            ratio, low, high, _ = difference(values, predicted, log=True)
            inside = low >= 1 - NEAR and high <= 1 + NEAR
            outside = high < 1 - NEAR or low > 1 + NEAR
            holds: Answer = (
                "holds" if inside else "does not" if outside else "undecided"
            )
            verdicts.append(
                verdict(
                    f"Two tasks of {setting.classes} classes, labels correlated by "
                    f"{setting.correlation:g}: the cosine between {what} of both is "
                    f"within {100 * NEAR:g} % of that of the optimum",
                    f"{predicted.mean():.3g}",
                    f"{values.mean():.3g}, {ratio:.3g} times",
                    len(values),
                    holds,
                    interval=f"[{low:.3g}, {high:.3g}]",
                    source="theory derived for this project",
                    note="the constant of the optimum is fitted to the training loss; "
                    f"duality gap {found.gap:.0e} at most",
                )
            )
    return verdicts


def draw(results: dict[Setting, Found]) -> Figure:
    """Cosines and sums over epochs, and the cosines over the correlation."""
    figure = Figure(figsize=(10.5, 6.4), layout="constrained")
    axes = figure.subplots(2, 3)
    for row, classes in enumerate(CORRELATIONS):
        chosen = {s: f for s, f in results.items() if s.classes == classes}
        for column, (key, title) in enumerate(
            (("nc/cross_task_w", "|cosine| of W"), ("nc/not_sum", "No sum, share"))
        ):
            axis = axes[row, column]
            for number, (setting, found) in enumerate(chosen.items()):
                values = np.array([one[key] for one in found.history.seeds])
                look = {"color": style.COLORS[number], "lw": 1.4}
                label = f"{setting.correlation:g}"
                mean = values.mean(0)
                axis.semilogx(found.history["epoch"], mean, label=label, **look)
                if key in found.predicted:
                    axis.axhline(found.predicted[key].mean(), ls=":", **look)
            if key == "nc/not_sum":
                shares = [one[key] for f in chosen.values() for one in f.history.seeds]
                style.log_axis(axis, np.array(shares), 4.0)
            style.decorate(axis, f"{title}, {classes} classes a task", x="epoch")
        axis.legend(title="correlation", fontsize=8, frameon=False)
        axis = axes[row, 2]
        places = [setting.correlation for setting in chosen]
        for number, (key, what) in enumerate(COSINES.items()):
            look = {"color": style.COLORS[number]}
            found = [t_interval(last(one, key), LEVEL) for one in chosen.values()]
            middle = np.array([x.centre for x in found])
            bars = np.abs(np.array([[x.low, x.high] for x in found]).T - middle)
            axis.errorbar(places, middle, bars, fmt="o", label=what, **look)
            predicted = [one.predicted[key].mean() for one in chosen.values()]
            axis.plot(places, predicted, ":", **look)
            fine = np.linspace(0, max(places), 50)
            limit = [limit_cosine(x, of_means=not number) for x in fine.tolist()]
            # The mean over all pairs of classes, of which 1 in K is the same class.
            axis.plot(fine, 2 / classes * np.array(limit), "-", lw=0.8, **look)
        style.decorate(axis, f"|cosine| at the end, {classes} classes", x="correlation")
        axis.legend(fontsize=8, frameon=False)
    note = "means of the seeds, bars: 95 %; dotted: certified optima; thin: no decay"
    figure.suptitle(note, fontsize=9, color=style.NOTE, x=0.01, ha="left")
    return figure


def table(results: dict[Setting, Found]) -> str:
    """The last values of each network and what is predicted for it, as CSV."""
    names = ",".join((*COLUMNS, *(f"predicted {key}" for key in COSINES)))
    lines = [f"classes,correlation,seed,{names}"]
    for setting, found in results.items():
        for seed, one in enumerate(found.history.seeds):
            values = [one[key][-1] for key in COLUMNS]
            values += [found.predicted[key][seed] for key in COSINES]
            row = ",".join(f"{x:.6g}" for x in values)
            lines.append(f"{setting.classes},{setting.correlation:g},{seed},{row}")
    return "\n".join([*lines, ""])


def main() -> None:
    """Trains, solves, and writes results/tasks."""
    folder, smoke = flags(__doc__, "tasks")
    settings = [Setting(k, rho) for k, each in CORRELATIONS.items() for rho in each]
    results = {setting: find(setting, folder, smoke) for setting in settings}
    figure = draw(results)
    if smoke:
        style.save(figure, folder / "tasks.png")
        return
    write("tasks", [*apart(results), *tilted(results)], figure, table(results))


if __name__ == "__main__":
    main()
