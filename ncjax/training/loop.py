"""Train a network into the terminal phase and measure its collapse on the way."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing

import jax
import numpy as np
from ml_collections import ConfigDict

from ncjax import cluster
from ncjax.config import resolved, validate
from ncjax.config.binding import load_data
from ncjax.runs.history import History, Row
from ncjax.runs.progress import Progress
from ncjax.runs.record import Record, Settings
from ncjax.training.experiment import Experiment, build
from ncjax.training.failures import TrainingError as TrainingError
from ncjax.training.failures import check_finite, out_of_memory
from ncjax.training.plan import measured_epochs, members_of, saved_epochs
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
    members = members_of(config)
    experiment = build(config, dataset, devices, members=members)
    seeds = members.seeds if len(members) > 1 else ()
    measured, saved = measured_epochs(config), saved_epochs(config)
    with closing(Record(workdir, _settings(config, seeds))) as record:
        start, state = record.restore(experiment.init())
        if start < config.num_epochs:
            experiment = _compile(experiment, state, progress)
        with closing(Progress(config.num_epochs, start, enabled=progress)) as bar:

            def read(epoch: int, steps: Mapping, metrics: Mapping) -> None:
                check_finite(
                    np.atleast_2d(steps["loss"]),
                    epoch,
                    seeds=seeds,
                    last_good=record.latest,
                    learning_rate=config.optimizer.learning_rate,
                )
                row = record.add(_rows(epoch, steps, metrics, many=bool(seeds)))
                bar.update(epoch, _shown(row, record.history))

            # An epoch is read only after the next was dispatched, so that the devices
            # never wait for the host; but before a checkpoint, so that what is saved
            # is known to be finite.
            pending: tuple[int, Mapping, Mapping] | None = None
            for epoch in range(start + 1, config.num_epochs + 1):
                state, steps = experiment.epoch(state, epoch)
                metrics = experiment.evaluate(state) if epoch in measured else {}
                if pending is not None:
                    read(*pending)
                pending = epoch, steps, metrics
                if epoch in saved:
                    read(*pending)
                    pending = None
                    record.save(epoch, state)
    tree = experiment.hierarchy if config.eval.confusion else None
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


def _rows(epoch: int, steps: Mapping, metrics: Mapping, *, many: bool) -> list[Row]:
    """What is known of an epoch, for each network.

    Args:
        epoch: number of the epoch.
        steps: "loss" and "error" of its steps, [steps]; [S, steps] of many networks.
        metrics: name -> [...], [S, ...] of many networks; {} if it was not measured.
        many: whether there are many networks.
    """
    steps, metrics = jax.device_get((dict(steps), dict(metrics)))
    found = {f"running/{name}": steps[name].mean(-1) for name in ("loss", "error")}
    found |= metrics
    if not many:
        found = {name: value[None] for name, value in found.items()}
    return [
        {"epoch": epoch} | {name: values[i].tolist() for name, values in found.items()}
        for i in range(len(found["running/loss"]))
    ]


def _shown(row: Row, history: History) -> dict[str, float]:
    """The numbers beside the progress bar."""
    shown = {"loss": row["running/loss"], "error": row["running/error"]}
    if history.rows and "nc/nc1" in history.rows[-1]:
        shown["NC1"] = history.rows[-1]["nc/nc1"]
    return shown


def _settings(config: ConfigDict, seeds: Sequence[int]) -> Settings:
    """What the folders of the run and of its seeds are known by."""
    whole = resolved(config)
    alone = {seed: whole | {"seed": seed, "num_seeds": 1} for seed in seeds}
    return Settings(whole, alone, config.checkpoint.keep)
