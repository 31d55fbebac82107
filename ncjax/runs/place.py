"""Where the checkpoints of a network lie: in its own folder, or among those of many."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from ncjax.runs.workdir import WorkdirError

SWEEP = "sweep.json"  # what a sweep goes through, and which runs share a program


@dataclasses.dataclass(frozen=True)
class Place:
    """The checkpoints that a network is in.

    Attributes:
        whole: folder of the run: its own, or that of many seeds or of a sweep.
        checkpoints: folder of the checkpoints.
        runs: folders whose config.json say what the networks in a checkpoint are.
        index: place of the network among those of a checkpoint; None if it is alone.
        count: number of networks in a checkpoint.
        traced: fields of the configuration in which these differ, as numbers that JAX
            traces; only in a sweep.
    """

    whole: Path
    checkpoints: Path
    runs: tuple[Path, ...]
    index: int | None = None
    count: int = 1
    traced: tuple[str, ...] = ()


def place_of(folder: Path) -> Place:
    """Where the network of a run is, or of a folder seeds/SEED or members/NAME.

    Raises:
        WorkdirError: if the file of the seeds or of the sweep is damaged.
    """
    whole, own = folder.parent.parent, folder.parent.name
    if own == "seeds" and (path := whole / "config.json").is_file():
        config = _read(path, "seed", "num_seeds")
        index = int(folder.name) - config["seed"]
        number = config["num_seeds"]
        return Place(whole, whole / "checkpoints", (whole,), index, number)
    if own == "members" and (path := whole / SWEEP).is_file():
        programs = enumerate(_read(path, "programs")["programs"])
        for number, program in programs:
            if folder.name in (runs := program["runs"]):
                place = runs.index(folder.name) if len(runs) > 1 else None
                kept = whole / "checkpoints" / str(number)
                all_runs = tuple(whole / "members" / name for name in runs)
                traced = tuple(program["traced"])
                return Place(whole, kept, all_runs, place, len(runs), traced)
    return Place(folder, folder / "checkpoints", (folder,))


def _read(path: Path, *keys: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
        return {key: content[key] for key in keys}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkdirError(f"{path} is damaged, or not of ncjax: {error!r}.") from error
