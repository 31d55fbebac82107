"""Do class means first follow the class tree, and the simplex later?

    python -m tests.benchmarks.studies.structure

Cross-entropy on Fashion-MNIST (10,000 images) and on Gaussian classes of a binary tree,
five seeds each: the cophenetic correlation of the class means with the tree by epoch.
The epoch of the peak is chosen for each seed by the other seeds, so that the choice
says nothing about the seed itself.
"""

from __future__ import annotations

import runpy

import numpy as np
from matplotlib.figure import Figure

import ncjax
from ncjax import style
from ncjax.statistics import t_interval
from tests.benchmarks.studies.harness import answer, difference, flags, write
from tests.benchmarks.verdicts import Verdict

_RUNS = {
    "Fashion-MNIST": "configs/fashion_mlp_ce.py",
    "Gaussian tree": "configs/synthetic_tree_ce.py",
}
_KEY = "tree/cophenetic"
_SOURCE = "Zhao, Papadimitriou & Thrampoulidis 2026 (arXiv 2606.26749)"


def peak_of_others(values: np.ndarray) -> np.ndarray:
    """The value of each seed [S] at the epoch where the mean of the others is largest.

    Args:
        values: a value for each seed and epoch [S, m].
    """
    others = (values.sum(0) - values) / (len(values) - 1)
    return np.take_along_axis(values, others.argmax(1)[:, None], 1)[:, 0]


def verdicts_on(name: str, values: np.ndarray) -> list[Verdict]:
    """Does the correlation rise from the first epoch, and fall to the last?"""
    peak, found = peak_of_others(values), []
    for what, end in (("rises after the first", 0), ("falls before the last", -1)):
        gap, low, high, _ = difference(peak, values[:, end])
        found.append(
            Verdict(
                claim=f"{name}: the correlation of class means with the tree {what} "
                "measured epoch",
                source=_SOURCE,
                theirs="more than 0",
                ours=f"{gap:.3g}",
                interval=f"[{low:.3g}, {high:.3g}]",
                seeds=len(values),
                verdict=answer(low, high),
                command="python -m tests.benchmarks.studies.structure",
                note=f"peak {peak.mean():.2f}, at that end {values[:, end].mean():.2f}",
            )
        )
    return found


def draw(curves: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Figure:
    """Cophenetic correlation and NC2 by epoch, a column for each data set."""
    figure = Figure(figsize=(4.4 * len(curves), 6), layout="constrained")
    axes = figure.subplots(2, len(curves), sharex="col", squeeze=False)
    for column, (name, (epochs, tree, nc2)) in zip(axes.T, curves.items(), strict=True):
        for axis, values, title in zip(
            column, (tree, nc2), ("Cophenetic correlation", "NC2"), strict=True
        ):
            found = t_interval(values, 0.95)
            style.band(axis, epochs, found.low, found.high, color=style.BLUE)
            axis.plot(epochs, found.centre, color=style.BLUE, lw=1.4)
            axis.plot(epochs, values.T, color=style.GREY, lw=0.5)
            axis.set_xscale("log")
            style.decorate(axis, f"{name}: {title}")
        column[1].set_xlabel("epoch", fontsize=9)
    return figure


def main() -> None:
    """Trains, measures, and writes results/structure."""
    folder, smoke = flags(__doc__, "structure")
    found, curves, lines = [], {}, ["data,seed,epoch,cophenetic,nc2"]
    for name, path in _RUNS.items():
        config = runpy.run_path(path)["get_config"]("smoke" if smoke else "")
        config.num_seeds = 2 if smoke else 5
        config.eval.num_points = 40
        history = ncjax.train(config, folder / name.replace(" ", "_"))
        tree, nc2 = (
            np.stack([seed[key] for seed in history.seeds]) for key in (_KEY, "nc/nc2")
        )
        found += verdicts_on(name, tree)
        curves[name] = history["epoch"], tree, nc2
        lines += [
            f"{name},{seed},{epoch},{tree[seed, i]:.6g},{nc2[seed, i]:.6g}"
            for seed in range(len(tree))
            for i, epoch in enumerate(history["epoch"])
        ]
    figure = draw(curves)
    if smoke:
        style.save(figure, folder / "structure.png")
        print(*found, sep="\n")
    else:
        write("structure", found, figure, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
