"""The networks of a run, read back from its folder and measured again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ncjax.config.binding import load_data
from ncjax.config.stored import complete, to_config
from ncjax.runs.checkpoints import Checkpoints
from ncjax.runs.workdir import WorkdirError
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
        WorkdirError: if there is no such run or no such checkpoint.
        CheckpointError: if the checkpoint is damaged.
        ConfigError, DataError: if the run is of a version that this one cannot read, or
            its data cannot be had.
    """
    folder = Path(workdir).expanduser().absolute()
    config = to_config(_fields(folder) | dict(changes or {}))
    experiment = Experiment(config, load_data(config), devices)
    (found,) = load_states([folder], experiment, epoch)
    return *found, experiment


def load_states(
    folders: Iterable[Path], experiment: Experiment, epoch: int | None = None
) -> Iterator[tuple[int, TrainState]]:
    """The networks of runs that differ in nothing but the seed, and their epochs.

    Args:
        folders: folders of runs, or folders seeds/SEED of a run of many seeds.
        experiment: the functions of one of the runs.
        epoch: epoch of the checkpoints, by default the newest of each.

    Raises:
        WorkdirError: if there is no such run or no such checkpoint.
        CheckpointError: if the checkpoint is damaged.
    """
    like = experiment.init()

    @lru_cache(1)
    def of_all_seeds(whole: Path) -> tuple[int, int, TrainState]:
        """The first seed, the epoch, and all networks, which lie in one checkpoint."""
        fields = _fields(whole)
        shapes = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(
                (fields["num_seeds"], *x.shape), x.dtype, sharding=x.sharding
            ),
            like,
        )
        return fields["seed"], *_checkpoint(whole, shapes, epoch)

    for folder in folders:
        whole = folder.parent.parent
        if folder.parent.name == "seeds" and (whole / "config.json").is_file():
            first, number, states = of_all_seeds(whole)
            place = int(folder.name) - first
            yield number, jax.tree.map(lambda x, place=place: x[place], states)
        else:
            yield _checkpoint(folder, like, epoch)


def _fields(folder: Path) -> dict[str, Any]:
    """The configuration of a run, flat, with defaults for fields it does not have."""
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


def _checkpoint(folder: Path, like: Any, epoch: int | None) -> tuple[int, Any]:
    """Epoch and content of a checkpoint, by default of the newest."""
    path = folder / "checkpoints"
    if not path.is_dir():
        raise WorkdirError(f"The run {folder} has no checkpoints.")
    with closing(Checkpoints(path, keep=1, read_only=True)) as checkpoints:
        kept = checkpoints.kept
        if not kept:
            raise WorkdirError(f"The run {folder} has no whole checkpoint yet.")
        epoch = kept[-1] if epoch is None else epoch
        if epoch not in kept:
            raise WorkdirError(
                f"The run {folder} keeps no checkpoint of epoch {epoch}. It keeps "
                f"those of {', '.join(map(str, kept))} "
                "(config.checkpoint.keep says how many)."
            )
        return epoch, checkpoints.load(epoch, like)
