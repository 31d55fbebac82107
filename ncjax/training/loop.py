"""Train a network into the terminal phase and measure its collapse on the way."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial

import jax
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from ncjax import cluster
from ncjax.config import resolved, validate
from ncjax.config.binding import load_data
from ncjax.data.fingerprint import fingerprint
from ncjax.options import TrainingError, flat
from ncjax.runs.history import History, Row
from ncjax.runs.progress import Progress
from ncjax.runs.record import Record
from ncjax.runs.seeds import rows_of
from ncjax.training.experiment import Experiment
from ncjax.training.plan import measured_epochs, saved_epochs, seeds_of
from ncjax.training.step import TrainState


def train(
    config: ConfigDict,
    workdir: str | os.PathLike | None = None,
    *,
    devices: Sequence[jax.Device] | None = None,
    progress: bool = True,
    restart_damaged: bool = False,
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
        restart_damaged: begin anew where the run has checkpoints, but none that can be
            used; they are set aside.  By default that is an error.

    Returns:
        The metrics of all measured epochs; with many seeds their means and intervals,
        and those of each seed in `seeds`.

    Raises:
        ConfigError, DataError, WorkdirError: before anything is compiled or written.
        TrainingError: if the loss is no longer finite, memory does not suffice, or the
            workdir cannot be written any more.

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
    began = time.monotonic()
    config = validate(config)
    progress = progress and cluster.is_first()
    seeds = seeds_of(config)
    whole = resolved(config)
    alone = {f"seeds/{s}": whole | {"seed": s, "num_seeds": 1} for s in seeds}
    keep = config.checkpoint.keep
    with out_of_memory(config):
        dataset = cluster.in_turn(lambda: load_data(config))
        experiment = Experiment(config, dataset, devices)
        limit = experiment.network.limit
        record = Record(
            workdir,
            whole,
            alone,
            keep,
            limit,
            restart_damaged=restart_damaged,
            data=fingerprint(dataset),
        )
        with closing(record):
            start = advance(
                config, experiment, record, Unbroken(config), progress=progress
            )
        tree = experiment.network.hierarchy if config.eval.confusion else None
        record.draw(dataset.class_names, tree)
        if start < config.num_epochs and progress:
            first = f"epochs {start + 1} to " if start else ""
            spent = tqdm.format_interval(time.monotonic() - began)
            done = f"Finished {first}{config.num_epochs} epochs in {spent}."
            print(done + _where(record), file=sys.stderr, flush=True)
        return record.history


# (losses of an epoch [S, steps], its number, epoch of the newest checkpoint) -> for
# each network whether it goes on.
Check = Callable[[np.ndarray, int, int], Sequence[bool]]


def advance(
    config: ConfigDict,
    experiment: Experiment,
    record: Record,
    check: Check,
    *,
    progress: bool,
) -> int:
    """Trains from the newest checkpoint of a record to the last epoch.

    Args:
        config: a valid configuration.
        experiment: the networks.
        record: where their metrics and checkpoints go.
        check: says after each epoch which of the networks go on; the rows of the others
            are left out.  It may raise.
        progress: show what is under way on standard error.

    Returns:
        The epoch of that checkpoint; 0 without one.
    """
    say = partial(print, file=sys.stderr, flush=True) if progress else _silent
    start, state = record.restore(experiment.init())
    if start == config.num_epochs:
        has = f"This run is finished, with {start} epochs"
        say(f"{has}: nothing is trained.{_where(record)}")
        return start
    if start:
        say(f"Going on after epoch {start}.")
    _compile(experiment, state, say)
    epochs = _epochs(config, experiment, state, start, record.save)
    with closing(Progress(config.num_epochs, start, enabled=progress)) as bar:
        for epoch, steps, metrics in epochs:
            going = check(np.atleast_2d(steps["loss"]), epoch, record.latest)
            rows = _rows(epoch, steps, metrics, many=np.ndim(steps["loss"]) == 2)
            pairs = zip(rows, going, strict=True)
            row = record.add([row if goes_on else None for row, goes_on in pairs])
            bar.update(epoch, _shown(row, record.history))
    return start


def _compile(
    experiment: Experiment, state: TrainState, say: Callable[[str], None]
) -> None:
    """Compiles an epoch and a measurement, and says how long that took."""
    began = time.perf_counter()
    say("Compiling: seconds for an MLP, minutes for a large network the first time.")
    experiment.compile(state)
    seconds = time.perf_counter() - began
    count, own = jax.process_count(), jax.local_device_count()
    where = f" for {count} processes with {own} devices each" if count > 1 else ""
    say(f"Compiled in {seconds:.1f} s{where}.")


def _where(record: Record) -> str:
    folder = record.history.workdir
    return "" if folder is None else f" Its files are in {folder}."


def _silent(message: str) -> None:
    """Says nothing."""


def _epochs(
    config: ConfigDict,
    experiment: Experiment,
    state: TrainState,
    start: int,
    save: Callable[[int, TrainState], None],
) -> Iterator[tuple[int, Mapping, Mapping]]:
    """Trains after epoch `start`: the number of each epoch, its steps, its metrics.

    What an epoch gives is to be read only after the next was dispatched, so that the
    devices never wait for the host; but before a checkpoint, so that what is saved is
    known to be finite.
    """
    measured, saved = measured_epochs(config), saved_epochs(config)
    pending: tuple[int, Mapping, Mapping] | None = None
    for epoch in range(start + 1, config.num_epochs + 1):
        state, steps = experiment.epoch(state, epoch)
        metrics = experiment.evaluate(state) if epoch in measured else {}
        if pending is not None:
            yield pending
        pending = epoch, steps, metrics
        if epoch in saved:
            yield pending
            pending = None
            save(epoch, state)


def _rows(epoch: int, steps: Mapping, metrics: Mapping, *, many: bool) -> list[Row]:
    """What is known of an epoch, for each network; many have a leading axis [S]."""
    steps, metrics = jax.device_get((dict(steps), dict(metrics)))
    found = {f"running/{name}": steps[name].mean(-1) for name in ("loss", "error")}
    return rows_of(epoch, found | metrics, many=many)


def _shown(row: Row, history: History) -> dict[str, float]:
    """The numbers beside the progress bar."""
    shown = {"loss": row["running/loss"], "error": row["running/error"]}
    if history.rows and "nc/nc1" in history.rows[-1]:
        shown["NC1"] = history.rows[-1]["nc/nc1"]
    return shown


# What takes memory, in the order in which to lower it; only the last changes a run.
_TAKES_MEMORY = (
    ("data.placement", " = 'stream' keeps the images off the devices"),
    ("eval.buffer_mb", " bounds the features kept on a device"),
    ("num_seeds", " are trained at once"),
    ("eval.batch_size", " are measured at once"),
    ("batch_size", " are trained on at once, which changes the run"),
)


@contextmanager
def out_of_memory(config: ConfigDict) -> Generator[None]:
    """Raises `TrainingError` that says what to lower when memory runs out."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        said = str(error).strip()
        # A device says RESOURCE_EXHAUSTED, a CPU "INTERNAL: ... Out of memory".
        known = re.search("RESOURCE_EXHAUSTED|out of memory", said, re.IGNORECASE)
        if not known and not isinstance(error, MemoryError):
            raise
        reason = (said or "on the host").splitlines()[0].rstrip(".")
        values = flat(config.to_dict())
        fields = "; ".join(
            f"config.{name} (now {values[name]}){effect}"
            for name, effect in _TAKES_MEMORY
        )
        raise TrainingError(
            f"Out of memory: {reason}. Lower what takes it: {fields}. More devices "
            "share batches and features."
        ) from error


class Unbroken:
    """The check that every loss is finite; the first that is not ends the run."""

    def __init__(self, config: ConfigDict):
        """Takes the learning rate and the seeds of a configuration, to name them."""
        self._rate, self._seeds = config.optimizer.learning_rate, seeds_of(config)

    def __call__(self, losses: np.ndarray, epoch: int, last_good: int) -> list[bool]:
        """Raises `TrainingError` unless each loss [S, steps] was finite."""
        if np.isfinite(losses).all():
            return [True] * len(losses)
        first, who = np.argwhere(~np.isfinite(losses.T))[0]
        of = f" of seed {self._seeds[who]}" if self._seeds else ""
        saved = "There is no checkpoint yet"
        if last_good:
            saved = f"The last good checkpoint is that of epoch {last_good}"
        raise TrainingError(
            f"The loss{of} became {losses[who, first]} in epoch {epoch}, at step "
            f"{(epoch - 1) * losses.shape[1] + first + 1}. {saved}. Try a lower "
            f"config.optimizer.learning_rate (now {self._rate})."
        )
