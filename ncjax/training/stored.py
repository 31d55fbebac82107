"""The networks of a run, read back from its folder and measured again."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ncjax.config.binding import load_data
from ncjax.config.check import ValidConfig
from ncjax.config.stored import ABOUT, complete, to_config
from ncjax.evaluation.sample import part_frame
from ncjax.options import ConfigError
from ncjax.runs.about import about
from ncjax.runs.checkpoints import Checkpoints
from ncjax.runs.history import Row
from ncjax.runs.place import Place, place_of
from ncjax.runs.seeds import mean_row, rows_of
from ncjax.runs.workdir import WorkdirError, digest
from ncjax.training.experiment import Experiment
from ncjax.training.step import TrainState


def probe(
    workdir: str | os.PathLike,
    names: Sequence[str],
    *,
    epoch: int | None = None,
    devices: Sequence[jax.Device] | None = None,
    **options: Any,
) -> dict[str, np.ndarray]:
    """Measures probes on the networks in a checkpoint of a run.

    Args:
        workdir: folder of the run, or the folder seeds/SEED of one of its seeds.
        names: names of the probes, of `ncjax.probes.PROBES`.
        epoch: epoch of the checkpoint, by default the newest.
        devices: devices to measure on, by default all.
        **options: options of the probes; the others are those of the run.

    Returns:
        `probe/NAME/KEY` -> value [], or [S] of a run of many seeds.

    Raises:
        WorkdirError: if there is no such run or no such checkpoint.
        CheckpointError: if the checkpoint is damaged.
        ConfigError, DataError: if the probes or the data cannot be had.
    """
    changes = {"probes": tuple(names), **options}
    changes = {f"eval.{name}": value for name, value in changes.items()}
    _, state, experiment = open_run(workdir, epoch, devices=devices, changes=changes)
    return {key: np.asarray(v) for key, v in experiment.probe(state).items()}


def measure_again(
    workdir: str | os.PathLike,
    epoch: int | None = None,
    *,
    devices: Sequence[jax.Device] | None = None,
) -> Row:
    """The metrics of a checkpoint, as the run logged them after that epoch.

    They come from the programs of the run itself, so that on the same devices and with
    the same versions they are the same bit for bit.  The averages of the training
    steps, `running/...`, are not among them.

    Args:
        workdir: folder of the run, or the folder seeds/SEED of one of its seeds.  Of a
            run of many seeds all networks are measured in either case.
        epoch: epoch of the checkpoint, by default the newest.
        devices: devices to measure on, by default all.

    Raises:
        WorkdirError: if there is no such run or no such checkpoint, or it is of a
            version that this one cannot read.
        CheckpointError: if the checkpoint is damaged.
        DataError: if the data of the run cannot be had.
    """
    folder = _absolute(workdir)
    place = place_of(folder)
    # Networks of a sweep differ in their program: each is measured by one of its own.
    of_seeds = place.index is not None and not place.traced
    whole = place.whole if of_seeds else folder
    number, state, experiment = open_run(whole, epoch, devices=devices)
    many = read_fields(whole)["num_seeds"] > 1
    metrics, _ = part_frame(jax.device_get(experiment.evaluate(state)))
    rows = rows_of(number, metrics, many=many)
    if place.index is not None and of_seeds:
        return rows[place.index]
    return mean_row(rows) if many else rows[0]


def open_run(
    workdir: str | os.PathLike,
    epoch: int | None = None,
    *,
    devices: Sequence[jax.Device] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> tuple[int, TrainState, Experiment]:
    """Reads the networks of a run, to measure them; nothing is written to its folder.

    Args:
        workdir: folder of the run, or the folder seeds/SEED of one of its seeds.
        epoch: epoch of the checkpoint, by default the newest.
        devices: devices to measure on, by default all.
        changes: fields of the configuration that take other values than in the run,
            {"eval.batch_size": 500}.

    Returns:
        The epoch of the checkpoint; the networks then, with a leading axis [S] if there
        are many seeds; and the functions of the run with its data.

    Raises:
        WorkdirError: if there is no such run or no such checkpoint, or it is of a
            version that this one cannot read.
        CheckpointError: if the checkpoint is damaged.
        ConfigError, DataError: if the changes cannot be made, or the data of the run
            cannot be had.
    """
    folder = _absolute(workdir)
    fields = read_fields(folder)
    check_kept(folder, epoch)
    config = to_config(fields | dict(changes)) if changes else read_config(folder)
    experiment = Experiment(config, load_data(config), devices, folder=folder)
    new, network = experiment.init(), experiment.network

    def like(traced: Sequence[str]) -> TrainState:
        return network.abstract(traced, new.step.sharding) if traced else new

    (found,) = load_states([folder], like, epoch)
    return *found, experiment


def load_states(
    folders: Iterable[Path],
    like: Callable[[Sequence[str]], TrainState],
    epoch: int | None = None,
) -> Iterator[tuple[int, TrainState]]:
    """The networks of runs that differ in nothing but the seed, and their epochs.

    Args:
        folders: folders of runs, or folders seeds/SEED of a run of many seeds.
        like: (fields that JAX traces in the program of a run) -> the state of the run,
            or its shapes, types and shardings.
        epoch: epoch of the checkpoints, by default the newest of each.

    Raises:
        WorkdirError: if there is no such run or no such checkpoint.
        CheckpointError: if the checkpoint is damaged.
    """

    @lru_cache(1)
    def of_all(place: Place) -> tuple[int, TrainState]:
        """The epoch, and all networks of a checkpoint."""
        lead = () if place.index is None else (place.count,)

        def shape(x: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((*lead, *x.shape), x.dtype, sharding=x.sharding)

        whole = jax.tree.map(shape, like(place.traced))
        return _checkpoint(place, whole, epoch)

    for folder in folders:
        check_kept(folder, epoch)
        place = place_of(folder)
        # The networks of a checkpoint have all but their own place in common.
        number, states = of_all(dataclasses.replace(place, index=place.index and 0))
        if place.index is not None:
            states = jax.tree.map(lambda x, i=place.index: x[i], states)
        yield number, dataclasses.replace(states, hyper={})


def check_kept(folder: Path, epoch: int | None = None) -> list[int]:
    """The epochs of the checkpoints of a run, in order.

    Args:
        folder: folder of the run, or the folder seeds/SEED of one of its seeds.
        epoch: an epoch that must be among them, or None.

    Raises:
        WorkdirError: if there is none, or not the one that is asked for.
    """
    place = place_of(folder)
    whole, kept = place.whole, []
    if place.checkpoints.is_dir():
        path = place.checkpoints
        with closing(Checkpoints(path, keep=1, read_only=True)) as checkpoints:
            kept = checkpoints.kept
    if not kept:
        raise WorkdirError(
            f"The run {whole} has no whole checkpoint: it did not come to its first "
            "yet (config.checkpoint.every_epochs), they were removed, or it has only "
            "recorded features. Without one there is no network to be read."
        )
    if epoch is not None and epoch not in kept:
        raise WorkdirError(
            f"The run {whole} keeps no checkpoint of epoch {epoch}. It keeps those of "
            f"{', '.join(map(str, kept))} (config.checkpoint.keep says how many)."
        )
    return kept


def read_config(folder: Path) -> ValidConfig:
    """The configuration of a run.

    Raises:
        WorkdirError: if the folder is not that of a run, or of a version that this one
            cannot read.
    """
    try:
        return to_config(read_fields(folder))
    except ConfigError as error:
        made = json.loads((folder / "config.json").read_text()).get(ABOUT) or {}
        by = f"ncjax {made.get('ncjax') or 'of an unknown version'}"
        by += f", commit {made['commit']}" if made.get("commit") else ""
        raise WorkdirError(
            f"The run {folder} cannot be read by this version of ncjax, "
            f"{about()['ncjax']}: {error} It was made by {by}: load it with that."
        ) from error


def read_fields(folder: Path) -> dict[str, Any]:
    """The configuration of a run, flat, with defaults for fields it does not have.

    Raises:
        WorkdirError: if the folder is not that of a run.
    """
    path = folder / "config.json"
    try:
        return complete(json.loads(path.read_text()))
    except OSError as error:
        raise WorkdirError(
            f"{folder} is not the folder of a run: {path} cannot be read "
            f"({error.strerror})."
        ) from error
    except (ValueError, AttributeError, TypeError) as error:
        raise WorkdirError(f"{path} is damaged, or not of ncjax: {error}.") from error


def _absolute(workdir: str | os.PathLike) -> Path:
    return Path(workdir).expanduser().absolute()


def _checkpoint(place: Place, like: Any, epoch: int | None) -> tuple[int, Any]:
    """Epoch and content of a checkpoint, by default of the newest."""
    path = place.checkpoints
    with closing(Checkpoints(path, keep=1, read_only=True)) as checkpoints:
        number = checkpoints.kept[-1] if epoch is None else epoch
        return number, checkpoints.load(number, like, run=digest(place.runs))
