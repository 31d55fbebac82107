r"""Trains a classifier and the hidden layers of stored networks on further classes.

    python -m tests.benchmarks.studies.steering_finetune --stored=RUN --out=FILE.json \
        --config=configs/fashion_mlp_ce.py --config.num_seeds=10 ...

The flags of a configuration are those of `python -m ncjax.main`.  The network of each
seed begins with the hidden layers of the stored network of that seed, its BatchNorm
statistics too; a projection, if it has one, and the last layer are new.  FILE.json has
the test errors by seed, for each shift of `steering_shift`.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.cli.train import parse
from ncjax.comparison.runs import find
from ncjax.config import validate
from ncjax.config.binding import load_data
from ncjax.io import write_json
from ncjax.training.experiment import Experiment
from ncjax.training.loaded import load_runs
from ncjax.training.step import TrainState
from ncjax.training.stored import read_config
from tests.benchmarks.studies.steering_shift import SHIFTS


def stored_variables(run: Path) -> dict[str, Any]:
    """Parameters and statistics of the networks of a run, stacked over its seeds."""
    folders = find([run])
    config = read_config(folders[0])
    runs = load_runs(folders, config, load_data(config))
    return jax.tree.map(lambda *each: jnp.stack(each), *(r.variables for r in runs))


def taken_over(new: dict[str, Any], stored: dict[str, Any]) -> dict[str, Any]:
    """New variables, with those of the stored hidden layers in the place of theirs.

    Raises:
        ValueError: if the networks have no hidden layer in common.
    """
    hidden = {name for name in new if name.startswith(("dense", "norm"))}
    common = hidden & stored.keys()
    if not common:
        raise ValueError(
            f"The stored network has the layers {sorted(stored)}, the new one "
            f"{sorted(new)}: no hidden layer in common. Give both the same model."
        )
    return new | {name: stored[name] for name in common}


def begin(state: TrainState, stored: dict[str, Any], number: int) -> TrainState:
    """The state of so many new networks, with the first stored hidden layers."""
    stored = jax.tree.map(lambda leaf: leaf[:number], stored)
    return dataclasses.replace(
        state,
        params=taken_over(state.params, stored["params"]),
        batch_stats=taken_over(state.batch_stats, stored["batch_stats"]),
    )


def errors(experiment: Experiment, state: TrainState) -> dict[str, list[float]]:
    """Shift -> test error of each network."""
    network, test = experiment.network, experiment.network.dataset.test
    predict = jax.vmap(network.predict, (0, None))
    found = {}
    for name, shift in SHIFTS.items():
        logits, _ = predict(network.variables(state), shift(np.asarray(test.images)))
        wrong = np.asarray(logits).argmax(-1) != test.labels
        found[name] = wrong.mean(-1).tolist()
    return found


def main() -> None:
    """Trains, and writes the errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stored", type=Path, help="run; none: all layers are new")
    parser.add_argument("--out", type=Path, required=True, help="file to write, .json")
    options, flags = parser.parse_known_args()
    if options.out.exists():
        print(f"{options.out} is there already.")
        return
    config = validate(parse(flags)[0])
    experiment = Experiment(config, load_data(config))
    state = experiment.init()
    if options.stored is not None:
        stored = stored_variables(options.stored)
        state = begin(state, stored, config.num_seeds)
    for number in range(1, config.num_epochs + 1):
        state, _ = experiment.epoch(state, number)
    found = errors(experiment, state)
    means = {name: round(float(np.mean(e)), 4) for name, e in found.items()}
    print(f"{options.out}: test errors {means}", file=sys.stderr, flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(options.out, found)


if __name__ == "__main__":
    main()
