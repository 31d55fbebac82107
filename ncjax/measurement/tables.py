"""Features in tables, .csv and .parquet: a column of labels, the others features."""

from __future__ import annotations

import csv
import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ncjax.measurement.checks import some
from ncjax.measurement.sources import MeasureError, Source

LABEL_COLUMNS = ("label", "labels", "y", "target", "targets")

# Indices that pandas writes beside the data.
_INDEX_COLUMNS = ("", "unnamed: 0", "__index_level_0__")


def read_csv(path: Path) -> dict[str, Source]:
    """Columns of a text file, with or without a line of names.

    Returns:
        Each column by name, and `features`: all numeric columns but the label and the
        index of pandas, as [n, d] float32.  A file of one column has just the name "".
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        first, second = file.readline(), file.readline()
    if not first.strip():
        raise MeasureError(f"{path} begins with an empty line; data are needed there.")
    delimiter = max(",;\t", key=first.count)
    delimiter = delimiter if delimiter in first else None
    fields = _split(first, delimiter)
    header = not all(map(_is_number, fields)) and (
        len(fields) > 1 or _is_number(second.strip()) or _is_label(fields[0])
    )
    if header and not second.strip():
        raise MeasureError(f"{path} is empty: it has a line of names, but no rows.")

    def column(name: str, places: list[int], dtype: Any = str, notes=()) -> Source:
        read = functools.partial(_lines, path, delimiter, places, header, dtype)
        return Source(name, read, notes=notes)

    if len(fields) == 1:
        return {"": column(str(path), [0])}
    names = fields if header else [str(i) for i in range(len(fields))]
    samples = _split(second if header else first, delimiter)
    numeric = [i for i, sample in enumerate(samples) if _is_number(sample)]
    columns = {name: column(f"{path}[{name}]", [i]) for i, name in enumerate(names)}
    used = [i for i in numeric if _is_feature(names[i])]
    if used:
        left_out = _left_out(path, names, [names[i] for i in used])
        notes = ("Numbers in text are read as float32.", *left_out)
        columns["features"] = column(str(path), used, np.float32, notes)
    return columns


def _lines(path, delimiter, columns, header, dtype, size: int) -> Iterator[np.ndarray]:
    """Columns of a text file: [m, d] of numbers, [m] of text or what it means."""
    text = dtype is str
    with open(path, newline="", encoding="utf-8-sig") as file:
        if header:
            file.readline()
        start = 1 + header
        while lines := list(itertools.islice(file, size)):
            try:
                rows = np.loadtxt(
                    lines,
                    dtype,
                    comments=None,
                    delimiter=delimiter,
                    usecols=columns,
                    quotechar='"',
                    ndmin=1 if text else 2,
                )
            except ValueError as error:
                raise MeasureError(
                    f"{path} cannot be read between lines {start:,} and "
                    f"{start + len(lines) - 1:,}: {error}"
                ) from error
            start += len(lines)
            if len(rows):
                yield _meaning(rows) if text else rows


def _meaning(text: np.ndarray) -> np.ndarray:
    """Text that is numbers as numbers."""
    try:
        numbers = text.astype(np.float64)
    except ValueError:
        return text
    dotted = np.char.find(text, ".") >= 0
    whole = (numbers == np.floor(numbers)).all() and not dotted.any()
    return numbers.astype(np.int64) if whole else numbers


def _split(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return line.split()
    fields = next(csv.reader([line.strip("\r\n")], delimiter=delimiter))
    return [field.strip() for field in fields]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_label(name: str) -> bool:
    return name.lower() in LABEL_COLUMNS


def _is_feature(name: str) -> bool:
    return not _is_label(name) and name.lower() not in _INDEX_COLUMNS


def _left_out(path: Path, names: list[str], used: list[str]) -> tuple[str, ...]:
    """A note on the columns that are neither features nor labels."""
    others = [repr(n) for n in names if n not in used and not _is_label(n)]
    if not others:
        return ()
    return (f"Columns of {path} that are no features: {some(others)}.",)


def read_parquet(path: Path) -> dict[str, Source]:
    """Columns of a Parquet file.

    Returns:
        Each column by name (a list column as [n, d]), and, unless a column has that
        name, `features`: the only list column, else the numeric columns but the label
        and the index of pandas.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MeasureError(
            f"{path} needs pyarrow to be read, which is not installed: `pip install "
            "pyarrow`, or save the arrays as .npy, .npz or .safetensors."
        ) from error
    file = pq.ParquetFile(path)
    schema, rows = file.schema_arrow, file.metadata.num_rows
    if rows == 0:
        raise MeasureError(f"{path} is empty: it has columns, but no rows.")

    def stored(names: list[str], matrix: bool, notes=()) -> Source:
        read = functools.partial(_record_batches, path, names, matrix)
        name = str(path) if matrix else f"{path}[{names[0]}]"
        return Source(name, read, (rows, len(names)) if matrix else None, notes)

    columns = {name: stored([name], False) for name in schema.names}
    numeric = [
        field.name
        for field in schema
        if pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
    ]
    kinds = pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list
    lists = [f.name for f in schema if any(is_kind(f.type) for is_kind in kinds)]
    used = [n for n in numeric if _is_feature(n)]
    if len(lists) == 1:
        columns.setdefault("features", columns[lists[0]])
    if used and "features" not in columns:
        columns["features"] = stored(used, True, _left_out(path, schema.names, used))
    return columns


def _record_batches(path, names, matrix, size: int) -> Iterator[np.ndarray]:
    """Chunks of columns: [m, d] if `matrix`, else [m], or [m, d] of a list column."""
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(batch_size=size, columns=names):
        if matrix:
            parts = [batch[n].to_numpy(zero_copy_only=False) for n in names]
            yield np.stack(parts, axis=1)
            continue
        column = batch[names[0]]
        if not hasattr(column, "value_lengths"):  # no list
            yield column.to_numpy(zero_copy_only=False)
            continue
        lengths = set(column.value_lengths().to_pylist())
        if len(lengths) != 1 or None in lengths:
            raise MeasureError(
                f"{path}[{names[0]}] holds lists of different lengths; features need "
                "one width."
            )
        flat = column.flatten().to_numpy(zero_copy_only=False)
        yield flat.reshape(len(column), -1)
