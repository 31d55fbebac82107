"""movie.jsonl: the frames of a movie of a run, as `ncjax movie` shows it.

Each line is a JSON object of one measured epoch: the arrays of
`ncjax.evaluation.sample.frame_of` as 16-bit numbers over the largest of them, in
base64, and a checksum.  That is 8 kB for ten classes, 300 examples.
"""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ncjax.runs.columns import Row
from ncjax.runs.journal import checksum, read_rows

NAME = "movie.jsonl"
_ARRAYS = ("means", "deviations", "weights")


@dataclasses.dataclass(frozen=True)
class Frame:
    """A sample of features at one moment, in a basis of their class means.

    Attributes:
        at: the moment: number of the epoch, or time of a flow.
        nc1: NC1 at that moment; nan where it is not known.
        names: names of the C classes.
        place: place of each example's class among them [n].
        means: class means [C, r], minus the mean of all class means.
        deviations: features minus the mean of their class [n, r].
        weights: rows of the classifier [C, r], minus the mean of all rows.
        weight_norm: root of the mean squared norm of these rows, also with the part
            outside of the basis.
    """

    at: float
    nc1: float
    names: tuple[str, ...]
    place: np.ndarray
    means: np.ndarray
    deviations: np.ndarray
    weights: np.ndarray
    weight_norm: float


def rows_of_frames(
    rows: Sequence[Row], found: Mapping[str, Any], watched: Any
) -> list[Row]:
    """The lines of a frame of each network.

    Args:
        rows: metrics of the epoch, one row for each network.
        found: arrays of `ncjax.evaluation.sample.frame_of`, on the host, with a leading
            axis over the networks if there are many; {} if there is no frame.
        watched: names of the watched classes, and the place of each example's class
            among them [n].
    """
    if not found:
        return []
    many = found["means"].ndim == 3
    names, place = watched
    each = [
        {k: x[i] if many else x for k, x in found.items()} for i in range(len(rows))
    ]
    return [
        _to_row(int(row["epoch"]), row["nc/nc1"], names, place, own)
        for row, own in zip(rows, each, strict=True)
    ]


def _to_row(
    epoch: int, nc1: float, names: Sequence[str], place: np.ndarray, found: Mapping
) -> Row:
    """The line of a frame of one network; see `rows_of_frames`."""
    packed = {name: _pack(np.asarray(found[name])) for name in _ARRAYS}
    norm = float(found["weight_norm"])
    row: Row = {"epoch": epoch, "nc1": nc1 if math.isfinite(nc1) else None}
    row |= {"names": list(names), "place": _text(np.asarray(place, np.uint8))}
    row |= packed | {"weight_norm": norm if math.isfinite(norm) else None}
    return row | {"checksum": checksum(row)}


def read_frames(folder: Path) -> list[Frame]:
    """The frames in the folder of a run, in order; none if there is no such file.

    Warns of lines that cannot be read.
    """
    return [_from_row(row) for row in read_rows(folder / NAME)]


def _from_row(row: Mapping[str, Any]) -> Frame:
    return Frame(
        at=float(row["epoch"]),
        nc1=float(row["nc1"]),
        names=tuple(row["names"]),
        place=np.frombuffer(base64.b64decode(row["place"]), np.uint8).astype(int),
        weight_norm=float(row["weight_norm"]),
        **{name: _unpack(row[name]) for name in _ARRAYS},
    )


def _pack(array: np.ndarray) -> dict[str, Any]:
    """An array over its largest number, of which 11 bits are kept."""
    largest = float(np.abs(array).max(initial=0.0))
    if not math.isfinite(largest):  # what cannot be drawn is nan when it is read
        return {"shape": list(array.shape), "largest": None, "data": ""}
    parts = (array / (largest or 1.0)).astype("<f2")
    return {"shape": list(array.shape), "largest": largest, "data": _text(parts)}


def _unpack(packed: Mapping[str, Any]) -> np.ndarray:
    if packed["largest"] is None:
        return np.full(packed["shape"], np.nan)
    parts = np.frombuffer(base64.b64decode(packed["data"]), "<f2")
    return parts.reshape(packed["shape"]).astype(float) * packed["largest"]


def _text(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()
