"""Train a network into the terminal phase and measure its collapse on the way."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager

import jax
import numpy as np
from ml_collections import ConfigDict

from ncjax import cluster
from ncjax.config import validate
from ncjax.config.binding import load_data, load_hierarchy
from ncjax.config.fields import get
from ncjax.runs import plots
from ncjax.runs.checkpoints import Checkpoints
from ncjax.runs.history import History, Row
from ncjax.runs.progress import Progress
from ncjax.runs.seeds import Folders, mean_row, seeds_of
from ncjax.training.experiment import Experiment, build
from ncjax.training.plan import measured_epochs
from ncjax.training.step import TrainState


class TrainingError(RuntimeError):
    """Training cannot go on; the message says where it stopped and why."""


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
        workdir: folder for metrics, checkpoints and the figure; None writes nothing.
        devices: to train on, by default all; the result does not depend on them.
        progress: show a progress line on standard error.

    Returns:
        The metrics of all measured epochs; with many seeds their means and intervals,
        and those of each seed in `seeds`.

    Raises:
        ConfigError, DataError, WorkdirError: before anything is compiled or written.
        TrainingError: if the loss is no longer finite, or memory does not suffice.
    """
    config = validate(config)
    with _memory(config):
        return _run(config, workdir, devices, progress)


@contextmanager
def _memory(config: ConfigDict) -> Generator[None]:
    """Says what to lower when memory runs out, whether in compiling or in a step."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if isinstance(error, jax.errors.JaxRuntimeError) and (
            "RESOURCE_EXHAUSTED" not in str(error)
        ):
            raise
        reason = (str(error).strip() or "on the host").splitlines()[0].rstrip(".")
        # In the order in which to try; only the last changes a seed's run.
        lower = (
            ("data.placement", " = 'stream' keeps the images off the devices"),
            ("eval.buffer_mb", " bounds the features kept on a device"),
            ("num_seeds", " are trained at once"),
            ("eval.batch_size", " are measured at once"),
            ("batch_size", " are trained on at once, which changes the run"),
        )
        fields = "; ".join(
            f"config.{name} (now {get(config, name)}){effect}" for name, effect in lower
        )
        raise TrainingError(
            f"Out of memory: {reason}. Lower what takes it: {fields}. More devices "
            "share batches and features."
        ) from error


def _run(
    config: ConfigDict,
    workdir: str | os.PathLike | None,
    devices: Sequence[jax.Device] | None,
    progress: bool,
) -> History:
    progress = progress and cluster.is_first()
    dataset = cluster.agree(lambda: load_data(config))
    experiment = build(config, dataset, devices)
    run = None if workdir is None else Folders(workdir, config)
    state = experiment.init()
    checkpoints, start = None, 0
    many = config.num_seeds > 1
    history = History([], seeds=[History([]) for _ in seeds_of(config) if many])
    if run is not None:
        checkpoints = Checkpoints(run.whole.checkpoints, config.checkpoint.keep)
        latest = checkpoints.latest  # all look, the first decides
        start = cluster.from_first(lambda: latest or 0)
        if start:
            state = checkpoints.load(start, state)
        history = run.resume(start)
    try:
        if start < config.num_epochs:
            experiment = _compile(experiment, state, progress)
        with closing(Progress(config.num_epochs, start, enabled=progress)) as bar:
            _loop(config, experiment, state, start, history, run, checkpoints, bar)
    finally:
        if run is not None and checkpoints is not None:
            checkpoints.close()
            run.close()
    if history.workdir is not None and cluster.is_first():
        plots.save(plots.collapse(history), history.workdir / "collapse.png")
        if config.eval.layers == "all":
            plots.save(plots.layers(history), history.workdir / "layers.png")
        if config.eval.confusion:
            tree = load_hierarchy(config, dataset)
            drawn = plots.confusion(history, dataset.class_names, tree)
            plots.save(drawn, history.workdir / "confusion.png")
    return history


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
    config: ConfigDict,
    experiment: Experiment,
    state: TrainState,
    start: int,
    history: History,
    run: Folders | None,
    checkpoints: Checkpoints | None,
    bar: Progress,
) -> None:
    """Epochs start+1 ... num_epochs.

    An epoch is read only after the next was dispatched, so the device does not wait for
    the host, except before a checkpoint: what is saved is known to be finite.
    """
    measured = set(measured_epochs(config))
    every = config.checkpoint.every_epochs or math.ceil(config.num_epochs / 10)
    pending: tuple[int, Mapping, Mapping] | None = None

    def read() -> None:
        nonlocal pending
        if pending is None:
            return
        (epoch, steps, metrics), pending = pending, None
        losses = np.atleast_2d(steps["loss"])  # [S, steps]
        if not np.isfinite(losses).all():
            first, who = np.argwhere(~np.isfinite(losses.T))[0]
            of = f" of seed {seeds_of(config)[who]}" if history.seeds else ""
            last_good = None if checkpoints is None else checkpoints.latest
            saved = (
                f"The last good checkpoint is that of epoch {last_good}"
                if last_good
                else "There is no checkpoint yet"
            )
            raise TrainingError(
                f"The loss{of} became {losses[who, first]} in epoch {epoch}, at step "
                f"{(epoch - 1) * losses.shape[1] + first + 1}. {saved}. Try a lower "
                f"config.optimizer.learning_rate (now "
                f"{config.optimizer.learning_rate})."
            )
        errors = np.atleast_2d(steps["error"])
        rows = _rows(epoch, losses, errors, metrics, bool(history.seeds))
        row = mean_row(rows) if history.seeds else rows[0]
        if metrics:
            history.rows.append(row)
            for one, of_one in zip(history.seeds, rows, strict=False):
                one.rows.append(of_one)
        if run is not None:
            run.write(row, rows)
        shown = {"loss": row["running/loss"], "error": row["running/error"]}
        if history.rows:
            shown["NC1"] = history.rows[-1]["nc/nc1"]
        bar.update(epoch, shown)

    for epoch in range(start + 1, config.num_epochs + 1):
        state, steps = experiment.epoch(state, epoch)
        metrics = experiment.evaluate(state) if epoch in measured else {}
        read()
        pending = (epoch, steps, metrics)
        if epoch == config.num_epochs or epoch % every == 0:
            read()
            if run is not None and checkpoints is not None:
                run.flush()
                checkpoints.save(epoch, state)


def _rows(
    epoch: int,
    losses: np.ndarray,
    errors: np.ndarray,
    metrics: Mapping[str, jax.Array],
    many: bool,
) -> list[Row]:
    """What is known of an epoch, for each seed.

    Args:
        epoch: its number.
        losses: of the steps [S, steps].
        errors: likewise.
        metrics: name -> [S, ...], or [...] of a single network; {} where nothing was
            measured.
        many: metrics are of many networks.
    """
    measured = jax.device_get(metrics)
    if not many:
        measured = {name: value[None] for name, value in measured.items()}
    return [
        {
            "epoch": epoch,
            "running/loss": float(losses[i].mean()),
            "running/error": float(errors[i].mean()),
        }
        | {name: values[i].tolist() for name, values in measured.items()}
        for i in range(len(losses))
    ]
