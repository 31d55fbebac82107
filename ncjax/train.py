"""Train a network into the terminal phase and measure its collapse on the way."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager

import jax
import numpy as np
from ml_collections import ConfigDict

from ncjax import cluster, plots
from ncjax import config as configs
from ncjax.checkpoints import Checkpoints
from ncjax.experiment import Experiment, build, load_data
from ncjax.history import History
from ncjax.progress import Progress
from ncjax.step import TrainState
from ncjax.workdir import Workdir


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
        The metrics of all measured epochs.

    Raises:
        ConfigError, DataError, WorkdirError: before anything is compiled or written.
        TrainingError: if the loss is no longer finite, or memory does not suffice.
    """
    configs.validate(config)
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
        # In the order in which to try; only the last changes the run.
        lower = (
            ("data.placement", " = 'stream' keeps the images off the devices"),
            ("eval.buffer_mb", " bounds the features kept on a device"),
            ("eval.batch_size", " are measured at once"),
            ("batch_size", " are trained on at once, which changes the run"),
        )
        fields = "; ".join(
            f"config.{name} (now {configs.get(config, name)}){effect}"
            for name, effect in lower
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
    run = None if workdir is None else Workdir(workdir, configs.resolved(config))
    state = experiment.init()
    checkpoints, start, rows = None, 0, []
    if run is not None:
        checkpoints = Checkpoints(run.checkpoints, config.checkpoint.keep)
        latest = checkpoints.latest  # all look, the first decides
        start = cluster.from_first(lambda: latest or 0)
        if start:
            state = checkpoints.load(start, state)
        rows = run.resume(start)
    history = History(
        [row for row in rows if "nc/nc1" in row], None if run is None else run.path
    )
    try:
        if start < config.num_epochs:
            experiment = _compile(experiment, state, progress)
        with closing(Progress(config.num_epochs, start, enabled=progress)) as bar:
            _loop(config, experiment, state, start, history, run, checkpoints, bar)
    finally:
        if run is not None and checkpoints is not None:
            checkpoints.close()
            run.close()
    if run is not None and cluster.is_first():
        plots.save(plots.collapse(history), run.path / "collapse.png")
        if config.eval.layers == "all":
            plots.save(plots.layers(history), run.path / "layers.png")
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
    run: Workdir | None,
    checkpoints: Checkpoints | None,
    bar: Progress,
) -> None:
    """Epochs start+1 ... num_epochs.

    An epoch is read only after the next was dispatched, so the device does not wait for
    the host, except before a checkpoint: what is saved is known to be finite.
    """
    measured = set(measured_epochs(config))
    every = config.checkpoint.every_epochs or math.ceil(config.num_epochs / 10)
    pending: tuple[int, dict, dict] | None = None

    def read() -> None:
        nonlocal pending
        if pending is None:
            return
        (epoch, steps, metrics), pending = pending, None
        losses = np.asarray(steps["loss"])
        if not np.isfinite(losses).all():
            first = int(np.argmin(np.isfinite(losses)))
            last_good = None if checkpoints is None else checkpoints.latest
            saved = (
                f"The last good checkpoint is that of epoch {last_good}"
                if last_good
                else "There is no checkpoint yet"
            )
            raise TrainingError(
                f"The loss became {losses[first]} in epoch {epoch}, at step "
                f"{(epoch - 1) * len(losses) + first + 1}. {saved}. Try a lower "
                f"config.optimizer.learning_rate (now "
                f"{config.optimizer.learning_rate})."
            )
        row = {
            "epoch": epoch,
            "running/loss": float(losses.mean()),
            "running/error": float(np.mean(steps["error"])),
        } | {name: float(value) for name, value in jax.device_get(metrics).items()}
        if metrics:
            history.rows.append(row)
        if run is not None:
            run.write(row)
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
            if checkpoints is not None:
                checkpoints.save(epoch, state)


def measured_epochs(config: ConfigDict) -> list[int]:
    """Epochs after which to measure: those given, or log-spaced; always the last."""
    if config.eval.epochs:
        return sorted({*config.eval.epochs, config.num_epochs})
    points = np.geomspace(1, config.num_epochs, config.eval.num_points)
    return sorted({round(float(p)) for p in points})
