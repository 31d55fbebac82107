"""A sweep: its programs one after the other, each with as many networks as fit."""

from __future__ import annotations

import functools
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from ncjax import cluster
from ncjax.cluster.members import vmap_networks
from ncjax.config import resolved, validate
from ncjax.config.binding import RANDOM_LABELS, load_data
from ncjax.data import Dataset
from ncjax.data.fingerprint import fingerprint
from ncjax.io import to_json, write_json
from ncjax.memory import device_memory
from ncjax.options import ConfigError
from ncjax.report.live import live_report
from ncjax.runs.failure import writing
from ncjax.runs.history import History
from ncjax.runs.journal import NAME, read_rows
from ncjax.runs.lock import locked
from ncjax.runs.place import SWEEP
from ncjax.runs.record import Record
from ncjax.sweeps.folder import HOLDS, as_before, claim_sweep
from ncjax.sweeps.plan import (
    Program,
    largest_part,
    members,
    network_bytes,
    programs,
    read_fields,
    usable,
)
from ncjax.sweeps.table import Sweep
from ncjax.training.experiment import Experiment
from ncjax.training.loop import (
    Stop,
    Stopped,
    advance,
    asked,
    broken,
    out_of_memory,
)
from ncjax.training.network import Network
from ncjax.training.plan import check_full_batch

_SHARE = 0.7  # of the memory of a device that networks may take


def sweep(
    config: ConfigDict,
    swept: Mapping[str, Sequence[Any] | str],
    workdir: str | os.PathLike | None = None,
    *,
    together: Sequence[Sequence[str]] = (),
    at_once: int = 0,
    devices: Sequence[jax.Device] | None = None,
    progress: bool = True,
    restart_damaged: bool = False,
    stop: Stop | None = None,
) -> Sweep:
    """Trains a network for every combination of the values of some fields.

    Networks that differ in numbers alone (learning rate, weight decay, momentum,
    options of the loss, scale of the initial kernels, share of random labels, seed)
    train in one program; other fields, such as widths or the name of the loss, make
    programs that follow one another.  Each network is the one that a run alone with its
    fields would train, to rounding.  The same call on the same `workdir` goes on where
    it was stopped.  A network whose loss is no longer finite stops, and the others go
    on.

    Args:
        config: from `ncjax.config.default()` or a config file; with `num_seeds` each
            setting is trained with so many seeds.
        swept: field, such as "optimizer.learning_rate" -> its values, or a text such as
            "1e-3..1e-1:8" (8 values by equal factors), "lin:0..1:5" (by equal steps) or
            "0,5e-4,5e-3".
        workdir: folder for sweep.csv, the figure, report.html and members/NAME, the
            folder of each run; None writes nothing.
        together: groups of fields that change together instead of in all combinations,
            such as [("optimizer.learning_rate", "optimizer.weight_decay")].
        at_once: largest number of networks in a program; 0 takes as many as fit into
            the memory of the devices, by an estimate.
        devices: devices to train on, by default all.
        progress: show what is under way on standard error.
        restart_damaged: begin anew where a program has checkpoints, but none that can
            be used; they are set aside.  By default that is an error.
        stop: called after each epoch and each program, as by `ncjax.train`; when it
            returns something true the sweep stops there.

    Returns:
        A row for each run: its fields, final metrics, and the epochs in which the
        metrics reached their thresholds.

    Raises:
        ConfigError, DataError, WorkdirError: before anything is compiled or written.
        TrainingError: if memory does not suffice, or the workdir cannot be written any
            more.
        Stopped: when `stop` has said so before the end.

    Example:
        >>> import ncjax
        >>> config = ncjax.default()
        >>> config.num_epochs, config.data.examples_per_class = 2, 20  # of the digits
        >>> config.batch_size = 64
        >>> found = ncjax.sweep(
        ...     config, {"optimizer.weight_decay": "0,1e-3"}, progress=False
        ... )
        >>> found["optimizer.weight_decay"]
        array([0.   , 0.001])
        >>> bool((found["nc/nc1"] > 0).all())
        True
    """
    progress = progress and cluster.is_first()
    say = _aloud if progress else _silent
    fields = read_fields(config, swept)
    config = validate(config)
    runs = members(config, fields, together)
    made = programs(runs, fields)
    load = functools.cache(lambda key: cluster.in_turn(lambda: load_data(loads[key])))
    loads = {_data_key(program): program.config for program in made}
    parts: list[Program] = []
    folder = None if workdir is None else Path(workdir).expanduser().absolute()
    for program in made:
        dataset = load(_data_key(program))
        _check_labels(program, dataset)
        parts += program.split(at_once or _most(program, dataset, devices, say, folder))
    claimed: dict[str, Any] = {}
    with locked(folder, SWEEP, HOLDS) if folder else nullcontext() as still_held:
        if folder is not None:
            claimed = cluster.from_first(
                lambda: claim_sweep(folder, config, fields, together, parts)
            )
            parts = as_before(claimed["programs"], parts)
        say(f"A sweep of {len(runs)} runs in {len(parts)} program(s).")
        table, report = Sweep(tuple(fields), [], folder), live_report(folder)
        for number, program in enumerate(parts):
            say(_where(number, parts, fields))
            dataset = load(_data_key(program))
            open_record = functools.partial(
                Record,
                folder,
                None,
                **_checkpoints(program, number),
                restart_damaged=restart_damaged,
                held=still_held,
                data=fingerprint(dataset),
            )
            found = _train(
                program, open_record, dataset, folder, devices, progress, say, stop
            )
            table.add(program.members, *found)
            _write(table, table.write, claimed)
            report.refresh()
            if number + 1 < len(parts) and (reason := asked(stop)):
                raise Stopped(reason, program.config.num_epochs, saved=bool(folder))
        _write(table, table.draw, claimed)
        report.write()
        return table


def _checkpoints(program: Program, number: int) -> dict[str, Any]:
    """Where the record of a program keeps checkpoints, and how many."""
    asked_for = program.config.checkpoint
    return {
        "checkpoints": f"checkpoints/{number}",
        "keep": asked_for.keep,
        "max_share": asked_for.max_share,
    }


def _write(table: Sweep, write: Callable[[], object], claimed: dict[str, Any]) -> None:
    """Writes a file of the whole sweep; its mark too, if others have deleted it."""
    if (folder := table.workdir) is None or not cluster.is_first():
        return
    with writing(folder, lambda: f"{len(table.rows)} of its runs are done and whole."):
        if not (folder / SWEEP).exists():
            write_json(folder / SWEEP, claimed)
        write()


def _check_labels(program: Program, dataset: Dataset) -> None:
    """Raises `DataError` if random labels leave a class without examples."""
    for share in program.networks().hyper.get(RANDOM_LABELS, ()):
        dataset.train_labels(share)


class _Going:
    """The check of a program: a network whose loss is not finite stops."""

    def __init__(self, program: Program, say: Callable[[str], None]):
        self._names = [member.name for member in program.members]
        self._config, self._say = program.config, say
        skips = self._config.on_nonfinite == "skip"
        most = f", in more steps than config.max_skipped = {self._config.max_skipped}"
        self._often = most if skips else ""
        self.stopped: dict[int, int] = {}  # place of a network -> epoch

    def __call__(self, losses: np.ndarray, epoch: int, last_good: int) -> list[bool]:
        for place in np.flatnonzero(broken(losses, self._config)).tolist():
            if place not in self.stopped:
                self.stopped[place] = epoch
                self._say(
                    f"{self._names[place]} stops: its loss is no longer finite in "
                    f"epoch {epoch}{self._often}. The other networks go on."
                )
        going = [place not in self.stopped for place in range(len(losses))]
        if not any(going):
            raise AllStopped
        return going


class AllStopped(Exception):
    """No network of a program goes on."""


def _train(
    program: Program,
    open_record: Callable[[Mapping[str, dict[str, Any]]], Record],
    dataset: Dataset,
    folder: Path | None,
    devices: Sequence[jax.Device] | None,
    progress: bool,
    say: Callable[[str], None],
    stop: Stop | None,
) -> tuple[list[History], dict[int, int]]:
    """The histories of the networks, and the epoch in which some have stopped."""
    config, last = program.config, program.config.num_epochs
    alone = {f"members/{m.name}": resolved(m.config) for m in program.members}
    check = _Going(program, say)
    with closing(open_record(alone)) as record:
        latest = cluster.from_first(lambda: record.latest)
        if folder is not None:
            names = list(alone)
            ends = cluster.from_first(lambda: [_end(folder / name) for name in names])
            check.stopped = {i: e + 1 for i, e in enumerate(ends) if e < latest}
        if record.finish(last):
            return record.history.seeds, check.stopped
        with out_of_memory(config):
            networks = program.networks()
            used = _used(devices, len(networks), config.batch_size)
            own = {"members": networks, "folder": folder}
            experiment = Experiment(config, dataset, used, **own)
            try:
                shown = {"progress": progress, "stop": stop}
                advance(config, experiment, record, check, **shown)
            except AllStopped:
                say("No network of this program goes on.")
    return record.history.seeds, check.stopped


def _end(folder: Path) -> int:
    """The last epoch in the metrics of a run; 0 without any."""
    rows = read_rows(folder / NAME)
    return rows[-1]["epoch"] if rows else 0


def _most(
    program: Program,
    dataset: Dataset,
    devices: Sequence[jax.Device] | None,
    say: Callable[[str], None],
    folder: Path | None = None,
) -> int:
    """How many networks fit into the memory of the devices, by an estimate.

    Raises:
        ConfigError: if not even one does.
    """
    config, count = program.config, len(program.members)
    check_full_batch(config.batch_size, len(dataset.train))
    network = Network(config, dataset, folder)
    held, between = network_bytes(network, config)
    held += sum(8 * d * len(dataset.train) for d in network.feature_dims())
    images = dataset.train.images.nbytes + dataset.test.images.nbytes
    # Devices of other processes tell nothing.
    here = jax.process_index()
    own = next(d for d in devices or jax.devices() if d.process_index == here)
    room = _SHARE * device_memory(own) - images
    if network.over() is vmap_networks:
        held += between  # all networks make their step at the same time
    else:
        room -= between
    fit = int(max(room, 0) // held)
    if fit < 1:
        raise ConfigError(
            f"One network of the sweep ({program.members[0].name}) takes about "
            f"{(held + between) / 2**20:.0f} MiB, and there are {room / 2**20:.0f} MiB "
            "for it. Lower config.batch_size or the widths of the model."
        )
    most = largest_part(
        count, lambda n: n // _groups(devices, n, config.batch_size) <= fit
    )
    if most < count:
        say(
            f"{count} networks of about {held / 2**20:.0f} MiB each do not fit into "
            f"the {room / 2**20:.0f} MiB of each device: they train {most} at once, at "
            "most."
        )
    return most


def _groups(
    devices: Sequence[jax.Device] | None, networks: int, batch_size: int
) -> int:
    """Between how many memories the networks of a program are divided."""
    used = _used(devices, networks, batch_size) or jax.devices()
    # The devices of a CPU have one memory, that of the host.
    return 1 if used[0].platform == "cpu" else math.gcd(networks, len(used))


def _used(
    devices: Sequence[jax.Device] | None, networks: int, batch_size: int
) -> Sequence[jax.Device] | None:
    """The devices of a program; None leaves the choice to the training."""
    if jax.process_count() > 1:  # each process takes part with all that it has
        return devices
    if devices is None and jax.devices()[0].platform == "cpu":
        return None
    return usable(devices or jax.devices(), networks, batch_size)


def _data_key(program: Program) -> str:
    """What decides which data a program trains on."""
    return to_json(resolved(program.config)["data"])


def _where(
    number: int, parts: Sequence[Program], fields: Mapping[str, Sequence[Any]]
) -> str:
    """Which of the programs comes now, and how many runs are done."""
    sizes = [len(part.members) for part in parts]
    return (
        f"Program {number + 1} of {len(parts)}: {_about(parts[number], fields)}; "
        f"{sum(sizes[:number])} of {sum(sizes)} runs are done."
    )


def _about(program: Program, fields: Mapping[str, Sequence[Any]]) -> str:
    """How many networks a program has, and what they have in common."""
    setting = program.members[0].setting
    common = [
        f for f in fields if len({str(m.setting[f]) for m in program.members}) == 1
    ]
    listed = ", ".join(f"{field} = {setting[field]!r}" for field in common)
    count = len(program.members)
    networks = "1 network" if count == 1 else f"{count} networks"
    return networks + (
        f" with {listed}" if listed and len(common) < len(fields) else ""
    )


def _aloud(message: str) -> None:
    """Says it on standard error, which a live view may have taken over by now."""
    print(message, file=sys.stderr, flush=True)


def _silent(message: str) -> None:
    """Says nothing."""
