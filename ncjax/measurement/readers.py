"""Arrays in files: .npy, .npz, .safetensors, .pt; for text see `measurement.tables`.

Rows are read from the file when they are asked for, so that features may be larger
than memory.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import operator
import os
import zipfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from ncjax.io import no_file
from ncjax.measurement.sizes import check_complete, check_shape, check_unpacked
from ncjax.measurement.sources import (
    MeasureError,
    MeasureTypeError,
    Source,
    in_memory,
    sliced,
)
from ncjax.measurement.tables import (
    LABEL_COLUMNS,
    is_index,
    read_csv,
    read_parquet,
)
from ncjax.options import suggest, takes

Arrays = dict[str, Source]

# What each array may be called, best first; also as the end of a dotted name.
NAMES = {
    "features": ("features", "embeddings", "feature", "embedding", "h", "x"),
    "labels": LABEL_COLUMNS,
    "classifier": (
        *("classifier", "weight", "w"),
        *("fc.weight", "classifier.weight", "head.weight", "linear.weight"),
    ),
    "bias": ("bias", "b"),
}

_MEMBERS = 10**4  # arrays in a file
_HEADER = 2 * 10**7  # bytes, of some 200,000 arrays

_SAFETENSORS = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "U16": np.uint16,
    "U32": np.uint32,
    "U64": np.uint64,
    "BOOL": np.bool_,
}


def open_arrays(path: str | os.PathLike, label: str | None = None) -> Arrays:
    """The arrays of a file by name; a file of one nameless array has the name "".

    Args:
        path: the file.
        label: name of the column of a table that holds the labels, which is then none
            of the features.

    Raises:
        MeasureError: if it does not exist, is empty, cut off, or of no known format.
    """
    path = Path(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise MeasureError(
            f"{path} has the ending {path.suffix!r}. Available: {', '.join(READERS)}."
        )
    with _readable(path):
        if kind := no_file(path):
            raise MeasureError(f"{path} is {kind}; a file is needed.")
        if path.stat().st_size == 0:
            raise MeasureError(f"{path} is empty (0 bytes).")
        arrays = reader(path, label=label) if takes(reader, "label") else reader(path)
    if not arrays:
        raise MeasureError(f"{path} is empty: it holds no arrays.")
    return {
        name: dataclasses.replace(x, chunks=functools.partial(_chunks, path, x.chunks))
        for name, x in arrays.items()
    }


@contextmanager
def _readable(path: Path) -> Generator[None]:
    """Makes a `MeasureError` of whatever a parser says of foreign or damaged bytes."""
    try:
        yield
    except MeasureError:
        raise
    except FileNotFoundError as error:
        raise MeasureError(f"There is no file {path}.") from error
    except UnicodeDecodeError as error:
        raise MeasureError(f"{path} is no text in UTF-8: save it as UTF-8.") from error
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise MeasureError(
            f"Cannot read {path} as {path.suffix.lower()}: {text[:300]}"
        ) from error


def _chunks(path: Path, chunks: Callable[[int], Iterator[Any]], size: int) -> Iterator:
    """The chunks of an array in a file, of which the damaged part may come late."""
    with _readable(path):
        yield from chunks(size)


def find(
    arrays: Mapping[str, Source],
    what: str,
    path: str | os.PathLike,
    key: str | None = None,
    *,
    only: bool = True,
) -> Source | None:
    """The array of a file that is the features, labels, classifier or bias.

    Args:
        arrays: what `open_arrays` returned.
        what: a key of `NAMES`, such as "features".
        path: name of the file, for messages.
        key: name of the array; if it is given, the array must be there.
        only: whether an array of another name is taken if it is the only candidate.

    Returns:
        The array; None if there is none and no key was given.

    Raises:
        MeasureError: for a key that is not there, or if there are several candidates.
    """
    if key is not None:
        if key not in arrays:
            raise MeasureError(
                f"{path} has no array {key!r}.{suggest(key, arrays)} Available: "
                f"{', '.join(arrays)}."
            )
        return arrays[key]
    lower = {name.lower(): name for name in arrays}
    for wanted in NAMES[what]:
        inner = [name for end, name in lower.items() if end.endswith(f".{wanted}")]
        named = [lower[wanted]] if wanted in lower else inner
        # `w` may as well be weights of the samples [n].
        if len(named) == 1 and (what != "classifier" or _is_matrix(arrays[named[0]])):
            return arrays[named[0]]
    if what == "labels" and only:
        rest = [n for n in arrays if not is_index(n) and n != "features"]
        if len(rest) == 1:
            return arrays[rest[0]]
    if what == "classifier":
        inner = [
            n
            for n, array in arrays.items()
            if n.endswith(".weight")
            and array.shape is not None
            and len(array.shape) == 2
        ]
        if len(inner) == 1:
            return arrays[inner[0]]
        if inner and only:
            raise MeasureError(
                f"{path} has {len(inner)} weight matrices; say which is the last layer "
                f"with --classifier-key: {', '.join(inner[-8:])}."
            )
    return next(iter(arrays.values())) if only and len(arrays) == 1 else None


def _is_matrix(array: Source) -> bool:
    """Whether an array is [K, d], or the kernel of a 1x1 convolution."""
    shape = array.shape or ()
    return len(shape) == 2 or (len(shape) == 4 and (1, 1) in (shape[2:], shape[:2]))


def _npy(path: Path) -> Arrays:
    with open(path, "rb") as file:
        shape, fortran, dtype = _npy_header(file, str(path))
        offset = file.tell()
    return {"": _mapped(path, str(path), dtype, shape, offset, fortran)}


def _npy_header(file: Any, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise MeasureTypeError(
            f"{name} holds Python objects, which are not read from files; save "
            "one array of numbers."
        )
    if dtype.kind == "V" and dtype.itemsize == 2 and dtype.names is None:
        dtype = np.dtype(ml_dtypes.bfloat16)  # as np.save writes it
    check_shape(name, shape, dtype.itemsize)
    return shape, fortran, dtype


def _mapped(path, name, dtype, shape, offset, fortran=False) -> Source:
    """An array at a place in a file; each chunk is its own memory map."""
    dtype = np.dtype(dtype)
    needed = offset + check_shape(name, shape, dtype.itemsize)
    check_complete(str(path), path.stat().st_size, needed)
    row = math.prod(shape[1:]) * dtype.itemsize

    mapped = functools.partial(np.memmap, path, dtype, "r")

    def chunks(size: int) -> Iterator[np.ndarray]:
        if 0 in shape:  # the other numbers of its header may be anything
            yield _nothing(shape, dtype)
            return
        if not shape or fortran:
            whole = mapped(offset, shape, "F" if fortran else "C")
            yield from map(np.ascontiguousarray, sliced(np.atleast_1d(whole), size))
            return
        for start in range(0, shape[0], size):
            part = (min(size, shape[0] - start), *shape[1:])
            # A map of the whole file would count every page it touched as ours.
            yield np.asarray(mapped(offset + start * row, part))

    return Source(name, chunks, tuple(shape))


def _nothing(shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """An array without numbers, with an axis of length 0 where `shape` has one."""
    return np.empty([min(n, 1) for n in shape], dtype)


def _npz(path: Path) -> Arrays:
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        members = [x for x in archive.infolist() if x.filename.endswith(".npy")]
        if len(members) > _MEMBERS:
            raise MeasureError(
                f"{path} holds {len(members):,} arrays; {_MEMBERS:,} are read at most."
            )
        for member in members:
            key = member.filename.removesuffix(".npy")
            name = f"{path}[{key}]"
            with archive.open(member) as file:
                shape, fortran, dtype = _npy_header(file, name)
                needed = file.tell() + check_shape(name, shape, dtype.itemsize)
            check_complete(name, member.file_size, needed)
            read = functools.partial(_unzip, path, name, member, shape, fortran, dtype)
            arrays[key] = Source(name, read, tuple(shape))
    return arrays


def _unzip(path, name, member, shape, fortran, dtype, size: int) -> Iterator:
    """Chunks of a member of an .npz, compressed or not, without reading it whole."""
    check_unpacked(name, member.file_size, member.compress_size)
    if 0 in shape:
        yield _nothing(shape, dtype)
        return
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        _npy_header(file, name)
        if fortran or not shape:
            whole = np.frombuffer(file.read(), dtype)
            whole = whole.reshape(shape or (1,), order="F" if fortran else "C")
            yield from sliced(whole, size)
            return
        row = math.prod(shape[1:]) * dtype.itemsize
        for start in range(0, shape[0], size):
            rows = min(size, shape[0] - start)
            yield np.frombuffer(file.read(rows * row), dtype).reshape(rows, *shape[1:])


def _safetensors(path: Path) -> Arrays:
    """The format is a length, a JSON header and the bytes; no library is needed."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= min(path.stat().st_size - 8, _HEADER):
            raise MeasureError(f"{path} is no .safetensors file, or is cut off.")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    arrays = {}
    for key, entry in header.items():
        name, kind, shape = f"{path}[{key}]", entry["dtype"], entry["shape"]
        if kind in _SAFETENSORS:
            dtype = np.dtype(_SAFETENSORS[kind])
            needed = check_shape(name, shape, dtype.itemsize)
            begin = 8 + length + _begin(name, entry["data_offsets"], needed)
            arrays[key] = _mapped(path, name, dtype, shape, begin)
        else:  # refused where it is asked for
            unread = functools.partial(_unread, name, kind)
            arrays[key] = Source(name, unread, tuple(shape))
    return arrays


def _begin(name: str, offsets: Any, needed: int) -> int:
    """Where an array begins in a .safetensors file, of the bytes that it needs."""
    try:
        begin, end = map(operator.index, offsets)
    except (TypeError, ValueError):
        begin, end = 0, -1
    if begin < 0 or end - begin != needed:
        raise MeasureError(
            f"{name} is damaged: it lies at {offsets!r}, but has {needed:,} bytes."
        )
    return begin


def _unread(name: str, kind: str, size: int) -> Iterator[np.ndarray]:
    raise MeasureTypeError(
        f"{name} is {kind}, which is not read. Available: {', '.join(_SAFETENSORS)}. "
        "Convert it before it is saved, features to BF16 or F32."
    )
    yield


def _torch(path: Path) -> Arrays:
    try:
        import torch  # pyrefly: ignore[missing-import]
    except ImportError as error:
        raise MeasureError(
            f"{path} needs PyTorch to be read, which is not installed: `pip install "
            "torch`, or save the arrays as .npy, .npz or .safetensors."
        ) from error
    options = {"map_location": "cpu", "weights_only": True}
    try:
        loaded = torch.load(path, mmap=True, **options)
    except RuntimeError:  # files of the old format cannot be mapped
        loaded = torch.load(path, **options)
    if isinstance(loaded, torch.Tensor):
        loaded = {"": loaded}
    if not isinstance(loaded, Mapping):
        raise MeasureError(
            f"{path} holds a {type(loaded).__name__}; a tensor or a dictionary of "
            "tensors is needed."
        )
    return {
        key: in_memory(
            f"{path}[{key}]" if key else str(path),
            value if value.ndim else value.reshape(1),
        )
        for key, value in _flat(loaded)
    }


def _flat(tree: Mapping, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif hasattr(value, "detach"):
            yield f"{prefix}{key}", value


# Those of tables also take the name `label` of the column of the labels.
READERS: dict[str, Callable[..., Arrays]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".pt": _torch,
    ".pth": _torch,
    ".parquet": read_parquet,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".txt": read_csv,
}
