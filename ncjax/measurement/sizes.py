"""What is too large: refused before anything of that size is allocated or read.

Headers and labels of a file may say anything.  A file of a few megabytes can unpack to
terabytes, and one wrong label makes billions of classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ncjax.measurement.sources import MeasureError
from ncjax.memory import gigabytes, host_memory

# Beyond one gigabyte, what unpacks to so many times its size holds hardly any numbers:
# floats of features that are mostly 0 unpack to 20 times, zeros alone to 1000 times.
_UNPACKED, _TIMES = 2**30, 200
LINE, _COLUMNS = 2**22, 2**17  # characters and columns of a line of text
_LABEL = 1000  # characters of a label
_CLASSES, _FOR_EACH_ROW = 10**4, 10  # classes without a sample are known, but few


def check_shape(name: str, shape: Sequence[Any], itemsize: int) -> int:
    """The number of bytes of an array; refuses a shape that none can have."""
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in shape)
    if not whole or min(shape, default=0) < 0 or len(shape) > 32 or itemsize < 1:
        raise MeasureError(
            f"{name} is damaged: by its header an array of the shape {tuple(shape)} "
            f"with {itemsize} bytes for each number."
        )
    return math.prod(shape) * itemsize


def check_complete(name: str, there: int, needed: int) -> None:
    """Refuses a file of fewer bytes than its header says."""
    if there < needed:
        raise MeasureError(f"{name} is cut off: it has {there:,} bytes of {needed:,}.")


def check_unpacked(name: str, unpacked: int, packed: int) -> None:
    """Refuses what unpacks to so many bytes that it is no measurement of anything."""
    if unpacked > max(_UNPACKED, _TIMES * packed):
        raise MeasureError(
            f"{name} would unpack to {gigabytes(unpacked)} from {packed:,} bytes, more "
            f"than {_TIMES} times as much: hardly anything but zeros does. If it is "
            "meant so, save it uncompressed (np.savez, or .npy)."
        )


def check_number(num_classes: int, rows: int | None, told: str) -> None:
    """Refuses a number of classes that no such number of rows can have.

    Args:
        num_classes: number of classes K.
        rows: number of rows, or None if it is not known yet.
        told: what says that there are K classes, such as "the largest label".
    """
    if rows is not None and num_classes > max(_CLASSES, _FOR_EACH_ROW * rows):
        raise MeasureError(
            f"There are {num_classes:,} classes by {told}, but only {rows:,} rows; at "
            f"most {max(_CLASSES, _FOR_EACH_ROW * rows):,} are measured of so few. "
            "Labels count the classes from 0: number those that occur by "
            "np.unique(labels, return_inverse=True)[1]."
        )


def check_means(num_classes: int, width: int) -> None:
    """Refuses class means [K, d] for which no memory suffices."""
    needed = 4 * 8 * num_classes * (width + 8)  # means, corrections, pivots, a copy
    if needed > (there := host_memory()):
        raise MeasureError(
            f"The means of {num_classes:,} classes of features of width {width:,} need "
            f"{gigabytes(needed)} of memory; there are {gigabytes(there)}. Labels are "
            "0..K-1, where K is the largest label + 1: is one of them wrong?"
        )


def bounded_lines(file: TextIO, path: Path) -> Iterator[str]:
    """The lines of a text file; refuses one that is too long to be of a table."""
    while line := file.readline(LINE + 1):
        if len(line) > LINE:
            raise MeasureError(
                f"{path} has a line of more than {LINE:,} characters: save so wide an "
                "array as .npy."
            )
        yield line


def check_columns(lines: Sequence[str], path: Path) -> None:
    """Refuses a table of very many columns, each of which has a name and a type."""
    if any(max(map(line.count, ",;\t ")) > _COLUMNS for line in lines):
        raise MeasureError(
            f"{path} has more than {_COLUMNS:,} columns: save so wide an array as .npy."
        )


def short_labels(labels: np.ndarray, path: Path) -> np.ndarray:
    """Text [n] as an array of NumPy, in which each takes the memory of the longest."""
    longest = max(map(len, labels.tolist()), default=0)
    if longest > _LABEL:
        raise MeasureError(
            f"{path} has a label of {longest:,} characters; {_LABEL:,} are allowed."
        )
    return labels.astype(str)
