"""What the folder of a run holds, as far as it can be read, and what is missing."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ncjax.config import ConfigError
from ncjax.config.binding import bind_objective, needs_hierarchy
from ncjax.config.fields import SECTIONS, choice
from ncjax.config.stored import ABOUT, RECORDER, complete, to_config
from ncjax.hierarchy import BUILTIN, Hierarchy, HierarchyError, read as read_tree
from ncjax.losses.predicted import limit_values
from ncjax.options import InputError
from ncjax.runs.classes import NAME as CLASSES, Classes, read_classes
from ncjax.runs.columns import Row, is_measured, what
from ncjax.runs.history import History
from ncjax.runs.journal import NAME as METRICS, read as read_journal
from ncjax.runs.lock import is_left_behind
from ncjax.runs.place import place_of
from ncjax.runs.workdir import CONFIG, LOCK, WorkdirError

T = TypeVar("T")


class ReportError(InputError):
    """A folder of which no report can be made; the message says why."""


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """A run, as its folder holds it.

    Attributes:
        folder: the folder.
        config: the flat configuration, {"loss.name": "mse", ...}; {} if it is lost.
        defaults: the same with the defaults of what was chosen.
        about: what made the run, of `ncjax.runs.about`; {} if not known.
        history: the measured epochs.
        epoch: the last epoch of which there is a row; 0 without any.
        classes: names, tree and predicted geometry of the classes.
        recorded: whether a `Recorder` has measured somebody's own training.
        missing: a sentence on each thing that is missing, damaged or unfinished.
    """

    folder: Path
    config: dict[str, Any]
    defaults: dict[str, Any]
    about: dict[str, Any]
    history: History
    epoch: int
    classes: Classes
    recorded: bool
    missing: list[str]

    @property
    def planned(self) -> int | None:
        """The last epoch, as planned; None if a recorder knows of no plan."""
        planned = self.config.get("num_epochs")
        return planned if isinstance(planned, int) and not self.recorded else None

    @property
    def title(self) -> str:
        """Name of the folder, and below `seeds` or `members` that of the run too."""
        above = self.folder.parent
        inside = above.name in ("seeds", "members")
        return f"{above.parent.name}/{self.folder.name}" if inside else self.folder.name


def read(folder: Path) -> Found:
    """Reads the folder of a training run or of a recorder.

    Raises:
        OSError: if the folder cannot be read.
    """
    missing: list[str] = []
    stored = read_json(folder / CONFIG, missing)
    about = stored.get(ABOUT)
    recorded = RECORDER in stored
    config = _tried(lambda: complete(stored), {}) if stored else {}
    rows, problems = read_journal(folder / METRICS)
    if not (folder / METRICS).exists():
        missing.append(f"{METRICS} is missing: nothing is known of what was measured.")
    elif problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        told = "; ".join(problems[:3])
        missing.append(
            f"{METRICS} is damaged and read as far as it goes: {told}{more}."
        )
    measured = _filled(list(filter(is_measured, rows)))
    classes = _classes(folder, config, missing)
    history = History(
        measured,
        folder,
        seeds=_seeds(folder, config, measured),
        about=what(config),
        limit=classes.limit,
    )
    found = Found(
        folder,
        config,
        _defaults(stored) if config and not recorded else {},
        about if isinstance(about, dict) else {},
        history,
        int(rows[-1]["epoch"]) if rows else 0,
        classes,
        recorded,
        missing,
    )
    missing += _unfinished(found)
    return found


def read_json(path: Path, missing: list[str]) -> dict[str, Any]:
    """The object in a JSON file; {} and a sentence in `missing` if there is none."""
    try:
        content = json.loads(path.read_text())
        if isinstance(content, dict):
            return content
        missing.append(f"{path.name} is damaged: it holds no object.")
    except FileNotFoundError:
        missing.append(f"{path.name} is missing.")
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON
        missing.append(f"{path.name} is damaged: {error}.")
    return {}


def modified(path: Path) -> datetime.datetime | None:
    """When a file was last written; None if it is not there."""
    try:
        return datetime.datetime.fromtimestamp(os.path.getmtime(path)).astimezone()
    except OSError:
        return None


def made_by(about: dict[str, Any]) -> list[tuple[str, str]]:
    """Versions, hardware and date, those that are known, of `ncjax.runs.about`."""
    packages = ("ncjax", "jax", "flax", "optax", "numpy", "python")
    versions = [f"{name} {about[name]}" for name in packages if about.get(name)]
    facts = [("versions", ", ".join(versions))] if versions else []
    if about.get("commit"):
        facts.append(("commit", str(about["commit"])))
    devices = about.get("devices")
    hardware = []
    if isinstance(devices, dict):
        hardware.append(f"{devices.get('count')} x {devices.get('kind')}")
    if about.get("cpus"):
        hardware.append(f"{about['cpus']} CPU cores")
    if about.get("platform"):
        hardware.append(str(about["platform"]))
    if hardware:
        facts.append(("hardware", ", ".join(hardware)))
    if about.get("date"):
        facts.append(("begun", str(about["date"]).replace("T", " ")))
    return facts


def shown(value: Any) -> str:
    """A value of a configuration as text."""
    return repr(value) if isinstance(value, str | list | dict) else str(value)


def _tried(read: Callable[[], T], otherwise: T) -> T:
    """A value, or another where what is stored does not give it."""
    try:
        return read()
    except (ConfigError, HierarchyError, ValueError, TypeError, AttributeError):
        return otherwise


def _filled(rows: list[Row]) -> list[Row]:
    """The rows, each with all numbers: NaN where one was not measured."""
    keys = dict.fromkeys(k for r in rows for k, v in r.items() if not _is_table(v))
    return [{k: _number(row.get(k)) for k in keys} | _tables(row) for row in rows]


def _is_table(value: Any) -> bool:
    return isinstance(value, list)


def _tables(row: Row) -> Row:
    return {key: value for key, value in row.items() if _is_table(value)}


def _number(value: Any) -> Any:
    """A number as it is; NaN for anything else that stands in its place."""
    return value if isinstance(value, int | float) else math.nan


def _seeds(folder: Path, config: dict[str, Any], rows: list[Row]) -> list[History]:
    """The seeds whose means the rows are, empty where one cannot be read.

    There are none of the rows of one network.
    """
    if not any(key.endswith("/low") for row in rows[-1:] for key in row):
        return []
    number = config.get("num_seeds")
    number = number if isinstance(number, int) and number > 1 else 2
    first = config.get("seed")
    first = first if isinstance(first, int) else 0
    found = []
    for seed in range(first, first + number):
        try:
            own, _ = read_journal(folder / "seeds" / str(seed) / METRICS)
        except OSError:
            own = []
        found.append(History(_filled(list(filter(is_measured, own)))))
    return found


def _defaults(stored: dict[str, Any]) -> dict[str, Any]:
    """The fields of a configuration that chooses the same, and changes nothing else."""
    parts = {part: stored.get(part) for part in SECTIONS}
    chosen = {
        part: {"name": x["name"]}
        for part, x in parts.items()
        if isinstance(x, dict) and "name" in x
    }
    return _tried(lambda: complete(chosen), {})


def _classes(folder: Path, config: dict[str, Any], missing: list[str]) -> Classes:
    """What is known of the classes: of the run, or of its data set's own tree."""
    # A network among others in one run has the classes of that run.
    try:
        whole = place_of(folder).whole
    except (WorkdirError, ValueError):
        whole = folder
    try:
        return read_classes(whole if (whole / CLASSES).exists() else folder)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, RecursionError) as error:
        missing.append(f"{CLASSES} is damaged: {error}.")
    tree = _tried(lambda: _tree(config), None)
    if tree is None:
        return Classes()
    limit, geometry = _tried(lambda: _theory(config, tree), ({}, None))
    return Classes(tree.class_names, tree, limit, geometry)


def _tree(config: dict[str, Any]) -> Hierarchy | None:
    """The tree that a configuration names, where no data are needed for it."""
    name, file = config.get("hierarchy.name"), config.get("hierarchy.file")
    if config.get("data.classes"):
        return None
    if file:
        return read_tree(file) if Path(file).exists() else None
    name = config.get("data.name") if name == "dataset" else name
    return BUILTIN[name]() if name in BUILTIN else None


def _theory(
    config: dict[str, Any], tree: Hierarchy
) -> tuple[dict[str, float], np.ndarray | None]:
    """The limits and the geometry of the loss of a configuration."""
    valid = to_config(config)
    loss, head = choice(valid, "loss"), choice(valid, "classifier")
    geometry = bind_objective(loss, head, tree, tree.num_classes).geometry
    bent = geometry is not None and needs_hierarchy(loss, head)
    return (limit_values(geometry, tree) if bent else {}), geometry


def _unfinished(found: Found) -> list[str]:
    """Sentences on what a run has not come to."""
    said = []
    running = (found.folder / LOCK).exists()
    planned = found.planned
    if planned is not None and found.epoch < planned:
        how = "The same command goes on."
        if running and is_left_behind(found.folder):
            how = f"The program that ran it is gone, and has left {LOCK}. {how}"
        elif running:
            how = f"{LOCK} is there: it may be running now."
        said.append(f"The run is not finished: epoch {found.epoch} of {planned}. {how}")
    if found.history.rows:
        return said
    if found.epoch:
        said.append("No epoch was measured yet, so that there are no curves.")
    elif (found.folder / METRICS).exists():
        said.append(f"{METRICS} holds no epoch yet.")
    return said
