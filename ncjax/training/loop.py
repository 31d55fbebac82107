"""Train a network into the terminal phase and measure its collapse on the way."""

from __future__ import annotations

import functools
import os
import re
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from ncjax import cluster
from ncjax.config import resolved, validate
from ncjax.config.binding import load_data
from ncjax.data.fingerprint import fingerprint
from ncjax.evaluation.sample import part_frame
from ncjax.options import TrainingError, flat
from ncjax.report.live import live_report
from ncjax.runs.frames import rows_of_frames
from ncjax.runs.history import History, Row
from ncjax.runs.progress import Progress
from ncjax.runs.record import Record
from ncjax.runs.seeds import rows_of
from ncjax.training.experiment import Experiment
from ncjax.training.network import Network
from ncjax.training.plan import measured_epochs, saved_epochs, seeds_of
from ncjax.training.step import TrainState


class Stopped(Exception):
    """Training has stopped after an epoch, because it was asked to.

    Attributes:
        reason: what `stop` has returned; see `train`.
        epoch: the last epoch that was trained; 0 if none was.
        saved: whether there is a checkpoint of that epoch, to go on from.
    """

    def __init__(self, reason: Any, epoch: int, *, saved: bool):
        """Makes the message of the attributes."""
        kept = "which is saved" if saved else "of which nothing is saved"
        where = f"after epoch {epoch}, {kept}" if epoch else "before the first epoch"
        super().__init__(f"Stopped {where}.")
        self.reason, self.epoch, self.saved = reason, epoch, saved


# Asked after each epoch; what is true stops the training.
Stop = Callable[[], Any]


def train(
    config: ConfigDict,
    workdir: str | os.PathLike | None = None,
    *,
    devices: Sequence[jax.Device] | None = None,
    progress: bool = True,
    restart_damaged: bool = False,
    stop: Stop | None = None,
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
        stop: called after each epoch; when it returns something true, in any of the
            processes, that epoch is saved, whatever `config.checkpoint.every_epochs`
            says, and `Stopped` is raised.  An epoch is one compiled program, and on a
            GPU or TPU the next one waits there already, so it is trained as well.

    Returns:
        The metrics of all measured epochs; with many seeds their means and intervals,
        and those of each seed in `seeds`.

    Raises:
        ConfigError, DataError, WorkdirError: before anything is compiled or written.
        TrainingError: if the loss is no longer finite, memory does not suffice, or the
            workdir cannot be written any more.
        Stopped: when `stop` has said so before the last epoch.

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
    with out_of_memory(config):
        dataset = cluster.in_turn(lambda: load_data(config))
        where = {"devices": devices, "folder": workdir}
        make = functools.cache(lambda: Experiment(config, dataset, **where))
        finished = _may_be_finished(workdir, config.num_epochs)
        network = Network(config, dataset, workdir) if finished else make().network
        record = Record(
            workdir,
            whole,
            alone,
            config.checkpoint.keep,
            network.limit,
            restart_damaged=restart_damaged,
            max_share=config.checkpoint.max_share,
            data=fingerprint(dataset),
        )
        with closing(record):
            record.keep_classes(network.classes(config.eval.gram))
            if finished and record.finish(config.num_epochs):
                start = config.num_epochs
                _say_finished(record, start, progress=progress)
            else:
                check = Unbroken(config)
                start = advance(
                    config, make(), record, check, progress=progress, stop=stop
                )
        tree = network.hierarchy if config.eval.confusion else None
        again = start < config.num_epochs
        record.draw(dataset.class_names, tree, again=again)
        live_report(record.history.workdir).write(again=again)
        if start < config.num_epochs and progress:
            first = f"epochs {start + 1} to " if start else ""
            spent = tqdm.format_interval(time.monotonic() - began)
            done = f"Finished {first}{config.num_epochs} epochs in {spent}."
            print(done + _where(record), file=sys.stderr, flush=True)
        return record.history


# (losses of an epoch [S, steps], NaN of steps that were skipped, its number, epoch of
# the newest checkpoint) -> for each network whether it goes on.
Check = Callable[[np.ndarray, int, int], Sequence[bool]]


def advance(
    config: ConfigDict,
    experiment: Experiment,
    record: Record,
    check: Check,
    *,
    progress: bool,
    stop: Stop | None = None,
) -> int:
    """Trains from the newest checkpoint of a record to the last epoch.

    Args:
        config: a valid configuration.
        experiment: the networks.
        record: where their metrics and checkpoints go.
        check: says after each epoch which of the networks go on; the rows of the others
            are left out.  It may raise.
        progress: show what is under way on standard error.
        stop: see `train`; it is asked for the first time before the first epoch.

    Returns:
        The epoch of that checkpoint; 0 without one.

    Raises:
        Stopped: when `stop` has said so before the last epoch.
    """
    say = partial(print, file=sys.stderr, flush=True) if progress else _silent
    experiment.network.searched.write()
    start, state = record.restore(experiment.init())
    if start == config.num_epochs:
        _say_finished(record, start, progress=progress)
        return start
    if start:
        say(f"Going on after epoch {start}.")
    _compile(experiment, state, say)
    epochs = _epochs(config, experiment, state, start, record, stop)
    report = live_report(record.history.workdir)
    shown = {"enabled": progress, "history": record.history}
    with closing(Progress(config.num_epochs, start, **shown)) as bar:
        for epoch, steps, metrics in epochs:
            going = check(np.atleast_2d(steps["loss"]), epoch, record.latest)
            skips = config.on_nonfinite == "skip"
            metrics, frame = part_frame(jax.device_get(dict(metrics)))
            rows = _rows(epoch, steps, metrics, skips=skips)
            frames = rows_of_frames(rows, frame, experiment.watched)
            row = record.add(_of_those(going, rows), _of_those(going, frames))
            bar.update(epoch, _shown(row, record.history))
            report.refresh()
    return start


def _may_be_finished(workdir: str | os.PathLike | None, num_epochs: int) -> bool:
    """Whether a folder has a checkpoint of the last epoch, be it whole or not."""
    if workdir is None:
        return False
    return (Path(workdir).expanduser() / "checkpoints" / str(num_epochs)).is_dir()


def _say_finished(record: Record, epoch: int, *, progress: bool) -> None:
    if progress:
        has = f"This run is finished, with {epoch} epochs"
        said = f"{has}: nothing is trained.{_where(record)}"
        print(said, file=sys.stderr, flush=True)


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
    record: Record,
    stop: Stop | None,
) -> Iterator[tuple[int, Mapping, Mapping]]:
    """Trains after epoch `start`: the number of each epoch, its steps, its metrics.

    What an epoch gives is to be read only after the next was dispatched, so that the
    devices never wait for the host; but before a checkpoint, so that what is saved is
    known to be finite.
    """
    measured, saved = measured_epochs(config), saved_epochs(config)
    pending: tuple[int, Mapping, Mapping] | None = None
    if reason := asked(stop):  # while it compiled
        raise Stopped(reason, start, saved=start > 0)
    for epoch in range(start + 1, config.num_epochs + 1):
        state, steps = experiment.epoch(state, epoch)
        metrics = experiment.evaluate(state) if epoch in measured else {}
        if pending is not None:
            yield pending
        pending = epoch, steps, metrics
        reason = asked(stop)
        last = epoch == config.num_epochs
        if reason or (epoch in saved and (last or record.due())):
            yield pending
            pending = None
            record.save(epoch, state)
        if reason and not last:
            raise Stopped(reason, epoch, saved=record.latest == epoch)


def _of_those(going: Sequence[bool], rows: Sequence[Row]) -> list[Row | None]:
    """The rows of the networks that go on, None in the place of the others."""
    pairs = zip(rows, going, strict=True) if rows else ()
    return [row if goes_on else None for row, goes_on in pairs]


def asked(stop: Stop | None) -> Any:
    """What `stop` says, in the first of the processes where it is true."""
    return None if stop is None else cluster.first_true(stop())


def _rows(epoch: int, steps: Mapping, metrics: Mapping, *, skips: bool) -> list[Row]:
    """What is known of an epoch, for each network; many have a leading axis [S].

    Averages are over the steps that were taken.
    """
    steps, metrics = jax.device_get((dict(steps), dict(metrics)))
    found = {f"running/{name}": steps[name].mean(-1) for name in ("loss", "error")}
    if skips:
        taken = np.isfinite(steps["loss"])
        for name in ("loss", "error"):
            total, count = steps[name].sum(-1, where=taken), taken.sum(-1)
            none = np.full_like(total, np.nan)
            found[f"running/{name}"] = np.divide(total, count, none, where=count > 0)
        found["running/skipped"] = (~taken).sum(-1)
    return rows_of(epoch, found | metrics, many=np.ndim(steps["loss"]) == 2)


def _shown(row: Row, history: History) -> dict[str, float]:
    """The numbers beside the progress bar."""
    shown = {"loss": row["running/loss"], "error": row["running/error"]}
    if skipped := row.get("running/skipped"):
        shown["skipped"] = skipped
    last = history.rows[-1] if history.rows else {}
    for key, title in (("nc/nc1", "NC1"), ("nc/nrc1", "NRC1")):
        if key in last:
            shown[title] = last[key]
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


def broken(losses: np.ndarray, config: ConfigDict) -> np.ndarray:
    """Which networks cannot go on, from the losses of an epoch: [S, steps] -> [S].

    Without `config.on_nonfinite = "skip"` these are all that had a loss that is not
    finite; with it those with too many, or nothing but such.
    """
    share = (~np.isfinite(losses)).mean(axis=1)
    most = config.max_skipped if config.on_nonfinite == "skip" else 0
    return (share > most) | (share == 1)


class Unbroken:
    """The check that every loss is finite, or that not too many steps were skipped."""

    def __init__(self, config: ConfigDict):
        """Takes a configuration, to name what may help."""
        self._config, self._seeds = config, seeds_of(config)

    def __call__(self, losses: np.ndarray, epoch: int, last_good: int) -> list[bool]:
        """Raises `TrainingError` for the first network that is `broken`."""
        found = broken(losses, self._config)
        if not found.any():
            return [True] * len(losses)
        bad = ~np.isfinite(losses) & found[:, None]
        first, who = np.argwhere(bad.T)[0]
        of, steps = f" of seed {self._seeds[who]}" if self._seeds else "", len(bad.T)
        saved = "There is no checkpoint yet"
        if last_good:
            saved = f"The last good checkpoint is that of epoch {last_good}"
        what = (
            f"The loss{of} became {losses[who, first]} in epoch {epoch}, at step "
            f"{(epoch - 1) * steps + first + 1}."
        )
        also = "config.on_nonfinite = 'skip' leaves such steps out"
        if self._config.on_nonfinite == "skip":
            what = (
                f"In epoch {epoch} {bad[who].sum()} of {steps} steps{of} were skipped, "
                "because their loss or gradients were not finite: more than the share "
                f"config.max_skipped = {self._config.max_skipped}."
            )
            also = "with a larger config.max_skipped the same one goes on"
        chosen = self._config.optimizer
        raise TrainingError(
            f"{what} {saved}. Try a lower config.optimizer.learning_rate (now "
            f"{chosen.learning_rate}) or config.optimizer.weight_decay (now "
            f"{chosen.weight_decay}), in another --workdir, as that is another run; "
            f"{also}."
        )
