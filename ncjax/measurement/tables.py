"""Features in tables, .csv and .parquet: a column of labels, the others features."""

from __future__ import annotations

import csv
import dataclasses
import functools
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ncjax.io import text_encoding
from ncjax.measurement.checks import some
from ncjax.measurement.sizes import (
    LINE,
    bounded_lines,
    check_columns,
    check_unpacked,
    short_labels,
)
from ncjax.measurement.sources import MeasureError, Source

# Best first.
LABEL_COLUMNS = ("labels", "y", "targets", "label", "target")

# Indices that pandas and spreadsheets write beside the data.
_INDEX_COLUMNS = re.compile(r"|index|id|idx|row|unnamed: [\d.]+|__index_level_\d+__")

_LOOK = 64  # lines that tell what the columns are
_HELD = 2**26  # characters of a chunk
_COUNTED = 8  # rows that at least must count up to be an index without a name
_DECIMAL = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_EMPTY = ' \t\r\n,;"'  # all that is in an empty row


@dataclasses.dataclass(frozen=True)
class _Table:
    """How a text file is read, and its first rows."""

    path: Path
    encoding: str
    skip: int  # lines before the first row
    delimiter: str | None  # None: white space
    names: list[str]  # of the columns; their numbers where the file has none
    named: bool  # whether the file has names
    rows: list[list[str]]  # the first rows
    comma: bool  # whether numbers have a decimal comma

    def column(self, index: int) -> list[str]:
        """The first fields of a column, without those that are empty."""
        return [row[index] for row in self.rows if index < len(row) and row[index]]

    def is_numeric(self, index: int) -> bool:
        """Whether the first field of a column is a number."""
        return any(map(_is_number, self.column(index)[:1]))

    def is_index(self, index: int) -> bool:
        """Whether a column only names or numbers the rows."""
        if self.named:
            return is_index(self.names[index])
        first = self.column(index)
        return index == 0 and len(first) >= _COUNTED and _counts(first)

    def source(self, places: list[int], notes: tuple[str, ...] = (), text=True):
        """Columns as rows of numbers, or one as text or what it means."""
        where = f"[{self.names[places[0]]}]" if text and len(self.names) > 1 else ""
        return Source(
            f"{self.path}{where}",
            functools.partial(_chunks, self, places, text),
            notes=notes,
            count=functools.partial(_count, self),
        )


def read_csv(path: Path, label: str | None = None) -> dict[str, Source]:
    """Columns of a text file, with or without a line of names.

    Args:
        path: the file.
        label: name of the column that holds the labels, if it is given.

    Returns:
        Each column by name, and `features`: all numeric columns but the labels and an
        index, as [n, d] float32.  A file of one column has just the name "".
    """
    table = _look(path, label)
    if len(table.names) == 1:
        headed = not table.named and table.column(0)[:1] == ["0"]
        return {"": dataclasses.replace(table.source([0]), headed=headed)}
    columns = {
        name: table.source([i], (f"The labels are column {name!r} of {path}.",))
        for i, name in enumerate(table.names)
    }
    used = [
        i
        for i, name in enumerate(table.names)
        if table.is_numeric(i) and not (_is_label(name, label) or table.is_index(i))
    ]
    if used:
        notes = ["Numbers in text are read as float32."]
        notes += ["Decimal commas are read as points."] * table.comma
        taken = [table.names[i] for i in used]
        notes += _notes(path, table.names, taken, label, table.named)
        columns["features"] = table.source(used, tuple(notes), text=False)
    return columns


def _look(path: Path, label: str | None) -> _Table:
    """Looks at the first lines of a text file.

    Raises:
        MeasureError: for a file without rows, or with another number of names than of
            columns.
    """
    encoding = text_encoding(path)
    with open(path, newline="", encoding=encoding) as file:
        lines, read = [], 0
        for line in bounded_lines(file, path):
            lines.append(line)
            read += len(line)
            if len(lines) == _LOOK or (len(lines) > 1 and read > LINE):
                break
    if not lines[0].strip():
        raise MeasureError(f"{path} begins with an empty line; data are needed there.")
    above = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
    body = [line for line in lines[len(above) :] if line.strip(_EMPTY)]
    check_columns(body[:1], path)
    delimiter = _delimiter(body)
    rows = [_split(line, delimiter) for line in body]
    names, skip = None, len(above)
    if above and rows:  # NumPy puts a "#" before the names
        found = _split(above[-1].lstrip("# "), delimiter)
        names = found if len(found) == len(rows[0]) else None
    if names is None and rows and _is_header(rows[0], rows[1:], label):
        names, rows = rows[0], rows[1:]
        skip = 1 + next(i for i, x in enumerate(lines) if x is body[0])
    if not rows:
        raise MeasureError(f"{path} is empty: it has a line of names, but no rows.")
    if names is not None and len(rows[0]) == len(names) + 1:
        names = ["", *names]  # R leaves out the name of the names of the rows
    if names is not None and len(rows[0]) != len(names):
        raise MeasureError(
            f"{path} has {len(names)} names, but {len(rows[0])} fields in the row "
            "below them; one name for each column is needed."
        )
    comma = any(_DECIMAL.fullmatch(field) for row in rows for field in row)
    if comma and delimiter == ",":
        raise MeasureError(
            f"{path} has decimal commas, and commas between its columns: write decimal "
            "points, or semicolons between the columns."
        )
    if comma:
        rows = [[field.replace(",", ".") for field in row] for row in rows]
    numbers = [str(i) for i in range(len(rows[0]))]
    named = names is not None
    return _Table(path, encoding, skip, delimiter, names or numbers, named, rows, comma)


def _delimiter(lines: list[str]) -> str | None:
    """What stands between the columns; None is white space."""
    for delimiter in "\t;":
        # A line is not split by what is not in it: as one field it may be too long.
        split = [_split(x, delimiter) if delimiter in x else [x] for x in lines[:2]]
        sizes = set(map(len, split))
        if len(sizes) == 1 and min(sizes) > 1:
            return delimiter
    spaced = lines[-1].split() if lines else []
    if len(spaced) > 1 and all(map(_DECIMAL.fullmatch, spaced)):
        return None
    return "," if any("," in line for line in lines[:1]) else None


def _is_header(first: list[str], rows: list[list[str]], label: str | None) -> bool:
    """Whether the first line holds the names of the columns.

    It does if a name in it is that of labels or an index, if a field is text above
    numbers or a number above text, if all of several fields are text, or if those that
    are numbers count the columns, 0, 1, ..., as pandas names them.
    """
    texts = {field for field in first if field and not _is_number(field)}
    if any(field == label or _is_label(field) or is_index(field) for field in texts):
        return True
    # R leaves out the name of the column of row names.
    shift = int(bool(rows) and len(rows[0]) == len(first) + 1)
    for i, field in enumerate(first, start=shift):
        numeric = {_is_number(row[i]) for row in rows if i < len(row) and row[i]}
        if numeric == {True} and field in texts:
            return True
        if numeric == {False} and field in (str(i), str(i - 1)):
            return True
    numbers = [field for field in first if field and field not in texts]
    if not numbers:
        return len(first) > 1
    if not _counts(numbers) or numbers[0] != "0":
        return False
    whole = all(field.lstrip("+-").isdigit() for row in rows[:1] for field in row)
    return first[0] == "" or len(numbers) > 3 or (len(numbers) > 1 and not whole)


def _counts(fields: list[str]) -> bool:
    """Whether the fields count 0, 1, 2, ... or 1, 2, 3, ..."""
    start = fields[0] if fields else ""
    return start in ("0", "1") and fields == [
        str(int(start) + i) for i in range(len(fields))
    ]


def _lines(table: _Table, size: int) -> Iterator[tuple[int, int, list[str]]]:
    """The lines with data, up to `size` at a time, and the first and last line read."""
    number = begin = table.skip + 1
    held, read = [], 0
    try:
        with open(table.path, newline="", encoding=table.encoding) as file:
            for _ in range(table.skip):
                file.readline()
            for number, line in enumerate(bounded_lines(file, table.path), begin):
                if line.strip(_EMPTY):
                    held.append(line)
                    read += len(line)
                if len(held) == size or read > _HELD:
                    yield begin, number, held
                    held, read, begin = [], 0, number + 1
            if held:
                yield begin, number, held
    except UnicodeDecodeError as error:
        raise MeasureError(
            f"{table.path} is no text in UTF-8 beyond line {number:,}: save it as "
            "UTF-8."
        ) from error


def _count(table: _Table) -> int:
    return sum(len(lines) for _, _, lines in _lines(table, 2**16))


def _chunks(table: _Table, places, text: bool, size: int) -> Iterator[np.ndarray]:
    """Columns of a text file: [m, d] of numbers, [m] of text or what it means."""
    for first, last, lines in _lines(table, size):
        if table.comma and not text:
            lines = [line.replace(",", ".") for line in lines]
        try:
            rows = np.loadtxt(
                lines,
                object if text else np.float32,
                comments=None,
                delimiter=table.delimiter,
                usecols=places,
                quotechar='"',
                ndmin=1 if text else 2,
            )
        except ValueError as error:
            raise MeasureError(
                f"{table.path} cannot be read between lines {first:,} and {last:,}: "
                f"{error}"
            ) from error
        yield _meaning(short_labels(rows, table.path)) if text else rows


def _meaning(text: np.ndarray) -> np.ndarray:
    """Text that is numbers as numbers."""
    try:
        numbers = text.astype(np.float64)
    except ValueError:
        return text
    dotted = np.char.find(text, ".") >= 0
    # What is beyond 2^53, or no number, stays as it is, and is refused so.
    whole = (numbers == np.floor(numbers)) & (np.abs(numbers) < 2**53)
    whole = whole.all() and not dotted.any()
    return numbers.astype(np.int64) if whole else numbers


def _split(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return [field.strip('"') for field in line.split()]
    fields = next(csv.reader([line.strip("\r\n")], delimiter=delimiter))
    return [field.strip() for field in fields]


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", ".") if _DECIMAL.fullmatch(text) else text)
    except ValueError:
        return False
    return True


def _is_label(name: str, label: str | None = None) -> bool:
    return name == label or name.lower() in LABEL_COLUMNS


def is_index(name: str) -> bool:
    """Whether a column of this name only numbers or names the rows."""
    return _INDEX_COLUMNS.fullmatch(name.lower()) is not None


def _notes(
    path: Path, names: list[str], taken: list[str], label: str | None, named: bool
) -> list[str]:
    """Notes on the columns that are features, and on those that are nothing."""
    without = "" if named else ", which has no line of names"
    notes = [
        f"The features are {len(taken)} columns of {path}{without}: {some(taken)}."
    ]
    if label is None:
        label = next((n for x in LABEL_COLUMNS for n in names if n.lower() == x), None)
    known = {*taken, label}
    if others := [repr(name) for name in names if name not in known]:
        notes.append(f"Columns of {path} that are no features: {some(others)}.")
    return notes


def read_parquet(path: Path, label: str | None = None) -> dict[str, Source]:
    """Columns of a Parquet file.

    Args:
        path: the file.
        label: name of the column that holds the labels, if it is given.

    Returns:
        Each column by name (a list column as [n, d]), and, unless a column has that
        name, `features`: the only list column, else the numeric columns but the labels
        and an index.
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
        least = 8 * rows * len(names)  # numbers as they are read
        check_unpacked(str(path), least, path.stat().st_size)
        read = functools.partial(_record_batches, path, names, matrix)
        name = str(path) if matrix else f"{path}[{names[0]}]"
        return Source(name, read, (rows, len(names)) if matrix else None, notes)

    columns = {
        name: stored([name], False, (f"The labels are column {name!r} of {path}.",))
        for name in schema.names
    }
    numeric = [
        field.name
        for field in schema
        if pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
    ]
    kinds = pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list
    lists = [f.name for f in schema if any(is_kind(f.type) for is_kind in kinds)]
    used = [n for n in numeric if not (_is_label(n, label) or is_index(n))]
    if len(lists) == 1:
        notes = tuple(_notes(path, schema.names, lists, label, True))
        columns.setdefault("features", stored(lists, False, notes))
    if used and "features" not in columns:
        notes = tuple(_notes(path, schema.names, used, label, True))
        columns["features"] = stored(used, True, notes)
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
