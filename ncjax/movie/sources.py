"""Where films come from: the folder of a run, or of an unconstrained-features model."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ncjax.config.stored import RECORDER
from ncjax.movie.film import Film, make_film
from ncjax.movie.view import MovieError
from ncjax.options import ConfigError
from ncjax.runs.frames import read_frames
from ncjax.runs.place import SWEEP
from ncjax.runs.workdir import CONFIG

_UFM = "verdict.json"  # which `ncjax ufm` writes, and nobody else


def film_of(
    run: str | os.PathLike, *, classes: Sequence[str] = (), view: str = "auto"
) -> Film:
    """The film of a run, of training or of `ncjax ufm`.

    Args:
        run: its folder: that of a run with `config.eval.movie = True`, the folder
            seeds/SEED or members/NAME of one of many, or a workdir of `ncjax ufm`,
            whose gradient flow is then computed (seconds).
        classes: names of the classes to show; () shows all.
        view: see `ncjax.movie.view.choose_view`.

    Raises:
        MovieError: if there is no such run, it has no frames, or no such view.
    """
    folder = Path(run).expanduser().absolute()
    if (folder / SWEEP).is_file():
        raise _choose(folder, "members")
    fields = _fields(folder)
    if (folder / _UFM).is_file():
        from ncjax.movie.flow import frames_of_flow  # late: solvers take a second

        try:
            frames, title = frames_of_flow(fields)
        except (ConfigError, ValueError, FloatingPointError) as error:
            raise MovieError(f"The flow of {folder} has no movie: {error}") from error
        return make_film(frames, title, unit="t", classes=classes, view=view)
    if not (frames := read_frames(folder)):
        if (folder / "seeds").is_dir():
            raise _choose(folder, "seeds")
        if RECORDER in fields:
            raise MovieError(
                f"The run {folder} is that of a Recorder, which keeps no features: "
                "it has no movie. `ncjax report` shows its class means by epoch."
            )
        raise MovieError(
            f"The run {folder} has no frames for a movie. Train it with "
            "--config.eval.movie=True, in another --workdir: it keeps them at the "
            "epochs that it measures."
        )
    return make_film(frames, _title(fields), classes=classes, view=view)


def _choose(folder: Path, among: str) -> MovieError:
    names = sorted(path.name for path in (folder / among).glob("*"))
    more = " or another" if len(names) > 1 else ""
    return MovieError(
        f"The run {folder} has {len(names)} networks, and a movie shows one. Choose "
        f"{folder / among / (names[0] if names else '')}{more}."
    )


def _fields(folder: Path) -> dict[str, Any]:
    """The configuration of a run, as nested fields."""
    path = folder / CONFIG
    try:
        found = json.loads(path.read_text())
        if not isinstance(found, dict):
            raise ValueError("it has no fields")
    except OSError as error:
        raise MovieError(
            f"{folder} is not the folder of a run: {path} cannot be read "
            f"({error.strerror})."
        ) from error
    except ValueError as error:
        raise MovieError(f"{path} is damaged, or not of ncjax: {error}.") from error
    return found


def _title(fields: dict[str, Any]) -> str:
    """The names of data, model and loss."""
    parts = [fields.get(name) for name in ("data", "model", "loss")]
    named = [part for part in parts if isinstance(part, dict) and "name" in part]
    return ", ".join(str(part["name"]) for part in named)
