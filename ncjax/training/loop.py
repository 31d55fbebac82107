"""Train a network into the terminal phase and measure its collapse on the way."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from ncjax import cluster
from ncjax.config import resolved, validate
from ncjax.config.binding import load_data, load_hierarchy
from ncjax.runs.history import History, Row
from ncjax.runs.progress import Progress
from ncjax.runs.record import Record, Settings
from ncjax.training.experiment import Experiment, build
from ncjax.training.failures import TrainingError as TrainingError
from ncjax.training.failures import check_finite, out_of_memory
from ncjax.training.plan import Plan, make_plan
from ncjax.training.step import TrainState


def train(
    config: ConfigDict,
    workdir: str | os.PathLike | None = None,
    *,
    devices: Sequence[jax.Device] | None = None,
    progress: bool = True,
) -> History:
    """Trains and measures as `config` says.

    The same call on the same `workdir` continues from the last checkpoint and ends with
    the same numbers as a run that was never stopped.  One of several processes
    (`ncjax.cluster`) makes the same call as the others.

    Args:
        config: from `ncjax.config.default()` or a config file.
        workdir: folder for metrics, checkpoints and figures; None writes nothing.
        devices: devices to train on, by default all; the result does not depend on
            them.
        progress: show a progress line on standard error.

    Returns:
        The metrics of all measured epochs; with many seeds their means and intervals,
        and those of each seed in `seeds`.

    Raises:
        ConfigError, DataError, WorkdirError: before anything is compiled or written.
        TrainingError: if the loss is no longer finite, or memory does not suffice.

    Example:
        >>> import ncjax
        >>> config = ncjax.default()
        >>> config.num_epochs = 2
        >>> config.data.examples_per_class = 20  # of the digits
        >>> config.batch_size = 64
        >>> history = ncjax.train(config, "runs/example", progress=False)
        >>> history["epoch"]
        array([1, 2])
        >>> bool(history["nc/nc1"][-1] > 0)
        True
    """
    config = validate(config)
    with out_of_memory(config):
        return _run(config, workdir, devices, progress and cluster.is_first())


def _run(
    config: ConfigDict,
    workdir: str | os.PathLike | None,
    devices: Sequence[jax.Device] | None,
    progress: bool,
) -> History:
    """`train` with a valid configuration."""
    dataset = cluster.agree(lambda: load_data(config))
    experiment = build(config, dataset, devices)
    plan = make_plan(config)
    seeds = plan.members.seeds if len(plan.members) > 1 else ()
    with closing(Record(workdir, _settings(config, seeds))) as record:
        start, state = record.restore(experiment.init())
        if start < plan.num_epochs:
            experiment = _compile(experiment, state, progress)
        with closing(Progress(plan.num_epochs, start, enabled=progress)) as bar:

            def read(epoch: int, steps: Mapping, metrics: Mapping) -> None:
                check_finite(
                    np.atleast_2d(steps["loss"]),
                    epoch,
                    seeds=seeds,
                    last_good=record.latest,
                    learning_rate=plan.learning_rate,
                )
                row = record.add(_rows(epoch, steps, metrics, len(seeds)))
                bar.update(epoch, _shown(row, record.history))

            _loop(experiment, state, start, plan, read=read, save=record.save)
    tree = load_hierarchy(config, dataset) if config.eval.confusion else None
    record.draw(dataset.class_names, tree)
    return record.history


def _compile(experiment: Experiment, state: TrainState, progress: bool) -> Experiment:
    """Compiles an epoch and a measurement, and says how long that took."""
    began = time.perf_counter()
    experiment = experiment.compiled(state)
    if progress:
        seconds = time.perf_counter() - began
        count = jax.process_count()
        each = f" for {count} processes with {jax.local_device_count()} devices each"
        where = each if count > 1 else ""
        print(f"Compiled in {seconds:.1f} s{where}.", file=sys.stderr, flush=True)
    return experiment


def _loop(
    experiment: Experiment,
    state: TrainState,
    start: int,
    plan: Plan,
    *,
    read: Callable[[int, Mapping, Mapping], None],
    save: Callable[[int, Any], None],
) -> None:
    """Trains and measures.

    What an epoch gives is read only after the next epoch was dispatched, so that the
    devices never wait for the host.  Before a checkpoint it is read first: what is
    saved is known to be finite.

    Args:
        experiment: the compiled functions.
        state: the networks before the first of the epochs.
        start: number of the last epoch that is done.
        plan: epochs after which to measure and to save.
        read: takes an epoch's number, the values of its steps, and its metrics.
        save: takes an epoch's number and the networks.
    """
    pending: tuple[int, Mapping, Mapping] | None = None
    for epoch in range(start + 1, plan.num_epochs + 1):
        state, steps = experiment.epoch(state, epoch)
        metrics = experiment.evaluate(state) if epoch in plan.measured else {}
        if pending is not None:
            read(*pending)
        pending = (epoch, steps, metrics)
        if plan.saves(epoch):
            read(*pending)
            pending = None
            save(epoch, state)


def _rows(
    epoch: int,
    steps: Mapping[str, Any],
    metrics: Mapping[str, jax.Array],
    num_seeds: int,
) -> list[Row]:
    """What is known of an epoch, for each network.

    Args:
        epoch: number of the epoch.
        steps: "loss" and "error" of its steps, [steps] of a single network or
            [S, steps] of many.
        metrics: name -> [...] of a single network or [S, ...] of many; {} where nothing
            was measured.
        num_seeds: S, or 0 for a single network.
    """
    measured = jax.device_get(metrics)
    if not num_seeds:
        measured = {name: value[None] for name, value in measured.items()}
    losses, errors = np.atleast_2d(steps["loss"]), np.atleast_2d(steps["error"])
    return [
        {
            "epoch": epoch,
            "running/loss": float(losses[i].mean()),
            "running/error": float(errors[i].mean()),
        }
        | {name: values[i].tolist() for name, values in measured.items()}
        for i in range(len(losses))
    ]


def _shown(row: Row, history: History) -> dict[str, float]:
    """The numbers beside the progress bar."""
    shown = {"loss": row["running/loss"], "error": row["running/error"]}
    if history.rows and "nc/nc1" in history.rows[-1]:
        shown["NC1"] = history.rows[-1]["nc/nc1"]
    return shown


def _settings(config: ConfigDict, seeds: Sequence[int]) -> Settings:
    """What the folders of the run and of its seeds are known by."""
    alone = {}
    for seed in seeds:
        one = ConfigDict(config.to_dict())  # the valid configuration is frozen
        one.seed, one.num_seeds = seed, 1
        alone[seed] = resolved(one)
    return Settings(resolved(config), alone, config.checkpoint.keep)
