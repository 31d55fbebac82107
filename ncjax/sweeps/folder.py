"""The folder of a sweep: what sweep.json says, and how its programs are made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from ncjax.config import resolved
from ncjax.config.stored import ABOUT
from ncjax.io import plain
from ncjax.runs.about import about, recipe_of
from ncjax.runs.place import SWEEP
from ncjax.runs.workdir import WorkdirError, claim
from ncjax.sweeps.plan import Program

HOLDS = "sweep of ncjax"  # the folder of one


def claim_sweep(
    folder: Path,
    config: ConfigDict,
    fields: Mapping[str, Sequence[Any]],
    together: Sequence[Sequence[str]],
    parts: Sequence[Program],
) -> dict[str, Any]:
    """Makes the folder of a sweep; returns what its mark says.

    Its programs are those of the first time: as many networks as fitted then train
    together.

    Raises:
        WorkdirError: if the folder cannot be had, or holds another sweep.
    """
    content = plain(
        {"config": resolved(config), "fields": dict(fields), "together": together}
    )
    order = [
        {"runs": [member.name for member in part.members], "traced": part.traced}
        for part in parts
    ]
    own = about() | recipe_of(content["config"])
    made = content | {"programs": order, ABOUT: own}
    if not claim(folder, SWEEP, holds=HOLDS, content=made):
        return made
    try:
        stored = json.loads((folder / SWEEP).read_text())
        stored["programs"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkdirError(
            f"{folder / SWEEP} cannot be read ({error}). Choose another --workdir."
        ) from error
    for part, value in content.items():
        if stored.get(part) != value:
            raise WorkdirError(
                f"The workdir {folder} holds another sweep: its {part} were "
                f"{stored.get(part)!r}, and are {value!r} now. Choose another with "
                "--workdir."
            )
    return stored


def as_before(
    order: Sequence[Mapping[str, Any]], parts: Sequence[Program]
) -> list[Program]:
    """The programs with the runs that they had the first time."""
    known = {member.name: member for part in parts for member in part.members}
    return [
        Program(tuple(known[name] for name in one["runs"]), tuple(one["traced"]))
        for one in order
    ]
