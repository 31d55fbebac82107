"""Do class means first follow the class tree, and the simplex later?

    python -m tests.benchmarks.studies.structure

Cross-entropy on Fashion-MNIST (10,000 images) and on Gaussian classes of a binary tree,
five seeds each: the cophenetic correlation of the class means with the tree by step.
The correlation may rise within the first epoch, so the networks are measured at
initialisation and after single steps; their batches are those of `ncjax train`.  For
each measurement BatchNorm has the statistics of the whole training set: its running
ones are still near their initial values then.  The step of the peak is chosen for each
seed by the other seeds, so that the choice says nothing about the seed itself.
"""

from __future__ import annotations

import dataclasses
import runpy
import sys
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from ncjax import style
from ncjax.config import validate
from ncjax.config.binding import load_data
from ncjax.statistics import t_interval
from ncjax.training.experiment import Experiment
from ncjax.training.network import Network
from ncjax.training.step import TrainState
from tests.benchmarks.studies.harness import answer, difference, flags, write
from tests.benchmarks.verdicts import Verdict

# Config of each data set, and its epochs: fewer than in the config, as what is asked
# happens early.  The learning rate falls to 0 within them.
_RUNS = {
    "Fashion-MNIST": ("configs/fashion_mlp_ce.py", 60),
    "Gaussian tree": ("configs/synthetic_tree_ce.py", 200),
}
_KEYS = ("tree/cophenetic", "nc/nc2")
_POINTS = 40  # measurements after single steps, log-spaced
_SOURCE = "Zhao, Papadimitriou & Thrampoulidis 2026 (arXiv 2606.26749)"

Curves = tuple[np.ndarray, np.ndarray, np.ndarray, int]  # see `trace`


def take_step(network: Network, batch_size: int) -> Callable[..., TrainState]:
    """Makes (state, key, number of the step from 0, images, labels) -> state.

    The key is that of the run; that of an epoch is folded from it and gives the order
    of the examples, as in `ncjax.training.epoch`.
    """

    def step(state, key, number, images, labels):
        per_epoch = len(labels) // batch_size
        key = jax.random.fold_in(key, 1 + number // per_epoch)
        order = jax.random.permutation(key, len(labels))
        start = number % per_epoch * batch_size
        rows = jax.lax.dynamic_slice_in_dim(order, start, batch_size)
        return network.step(state, network.prepare(images[rows]), labels[rows])[0]

    return step


def settle(network: Network, state: TrainState, images: jax.Array) -> TrainState:
    """The state with BatchNorm's statistics of all images, as one batch."""
    # Running statistics keep 0.9: from 0 they become a tenth of those of the batch.
    variables = {
        "params": state.params,
        "batch_stats": jax.tree.map(jnp.zeros_like, state.batch_stats),
    }
    images = network.prepare(images)
    _, updates = network.model.apply(
        variables, images, train=True, mutable=["batch_stats"]
    )
    stats = jax.tree.map(lambda tenth: 10 * tenth, updates["batch_stats"])
    return dataclasses.replace(state, batch_stats=stats)


def trace(config: ConfigDict) -> Curves:
    """Trains and measures, from initialisation on.

    Returns:
        The measured steps [m]; cophenetic correlation and NC2 of each seed [S, m]; the
        number of steps in an epoch.
    """
    config = validate(config)
    experiment = Experiment(config, load_data(config))
    network, (images, labels) = experiment.network, experiment.train_set
    per_epoch = len(labels) // config.batch_size
    last = config.num_epochs * per_epoch
    measured = np.unique(np.geomspace(1, last, _POINTS).round().astype(int))
    measured = np.concatenate([[0], measured])
    step = jax.vmap(take_step(network, config.batch_size), (0, 0, None, None, None))
    step = jax.jit(step, donate_argnums=0)
    whole = jax.jit(jax.vmap(partial(settle, network), (0, None)))
    state, found = experiment.init(), []
    for number in range(last + 1):
        if number in measured:
            metrics = experiment.evaluate(whole(state, images))
            found.append(jax.device_get([metrics[key] for key in _KEYS]))
            said = ", ".join(f"{k} {v.mean():.3f}" for k, v in zip(_KEYS, found[-1]))
            print(f"step {number} of {last}: {said}", file=sys.stderr, flush=True)
        if number < last:
            state = step(state, experiment.key, number, images, labels)
    tree, nc2 = np.array(found).transpose(1, 2, 0)
    return measured, tree, nc2, per_epoch


def peak_of_others(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each seed, where the mean of the others is largest, and its value there.

    Args:
        values: a value for each seed and step [S, m].

    Returns:
        Place in the m steps [S], and the value of the seed [S].
    """
    place = ((values.sum(0) - values) / (len(values) - 1)).argmax(1)
    return place, np.take_along_axis(values, place[:, None], 1)[:, 0]


def verdicts_on(name: str, curves: Curves) -> list[Verdict]:
    """Does the correlation rise after initialisation, and fall to the last step?"""
    steps, values, _, per_epoch = curves
    (place, peak), found = peak_of_others(values), []
    at = (
        f"peak {peak.mean():.2f} at step {', '.join(map(str, np.unique(steps[place])))}"
    )
    for what, end in (("rises after initialisation", 0), ("falls at the end", -1)):
        gap, low, high, _ = difference(peak, values[:, end])
        found.append(
            Verdict(
                claim=f"{name}: the correlation of class means with the tree {what}",
                source=_SOURCE,
                theirs="more than 0",
                ours=f"{gap:.3g}",
                interval=f"[{low:.3g}, {high:.3g}]",
                seeds=len(values),
                verdict=answer(low, high),
                command="python -m tests.benchmarks.studies.structure",
                note=f"{at}, of {per_epoch} in an epoch; "
                f"{values[:, end].mean():.2f} at step {steps[end]}",
            )
        )
    return found


def draw(curves: dict[str, Curves]) -> Figure:
    """Cophenetic correlation and NC2 by step, a column for each data set."""
    figure = Figure(figsize=(4.4 * len(curves), 6), layout="constrained")
    axes = figure.subplots(2, len(curves), sharex="col", squeeze=False)
    for column, (name, found) in zip(axes.T, curves.items(), strict=True):
        steps, tree, nc2, per_epoch = found
        for axis, values, title in zip(
            column, (tree, nc2), ("Cophenetic correlation", "NC2"), strict=True
        ):
            found = t_interval(values, 0.95)
            style.band(axis, steps, found.low, found.high, color=style.BLUE)
            axis.plot(steps, found.centre, color=style.BLUE, lw=1.4)
            axis.plot(steps, values.T, color=style.GREY, lw=0.5)
            axis.axvline(per_epoch, color=style.NOTE, lw=0.8, ls=":")
            # Initialisation is step 0.
            axis.set_xscale("symlog", linthresh=1, linscale=0.3)
            axis.set_xlim(0, steps[-1])
            style.decorate(axis, f"{name}: {title}")
        column[1].set_xlabel("step (dotted: the first epoch)", fontsize=9)
    return figure


def main() -> None:
    """Trains, measures, and writes results/structure."""
    folder, smoke = flags(__doc__, "structure")
    found, curves, lines = [], {}, ["data,seed,step,cophenetic,nc2"]
    for name, (path, epochs) in _RUNS.items():
        config = runpy.run_path(path)["get_config"]("smoke" if smoke else "")
        config.num_seeds = 2 if smoke else 5
        config.num_epochs = min(epochs, config.num_epochs)
        curves[name] = steps, tree, nc2, _ = trace(config)
        found += verdicts_on(name, curves[name])
        lines += [
            f"{name},{seed},{step},{tree[seed, i]:.6g},{nc2[seed, i]:.6g}"
            for seed in range(len(tree))
            for i, step in enumerate(steps)
        ]
    figure = draw(curves)
    if smoke:
        folder.mkdir(parents=True, exist_ok=True)
        style.save(figure, folder / "structure.png")
        print(*found, sep="\n")
    else:
        write("structure", found, figure, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
