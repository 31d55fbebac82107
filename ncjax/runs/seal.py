"""The seal of a checkpoint: checksums of its arrays, and what it belongs to.

It lies in the checkpoint, is written with it or not at all, and has a checksum of its
own.  It also holds the rows of metrics up to its epoch, so that a run goes on with the
same history whatever has become of metrics.jsonl.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ncjax.runs.about import version_of

Seal = dict[str, Any]


def make_seal(
    state: Any, *, epoch: int, run: str = "", rows: Mapping[str, str] | None = None
) -> Seal:
    """The seal of a tree of arrays; all processes of a run must call it.

    CRC-32 takes about half a second for each gigabyte, in writing and in reading.

    Args:
        state: the arrays.
        epoch: the epoch after which they are written.
        run: digest of the configuration of the run.
        rows: folder below that of the run -> its metrics up to the epoch, as lines of
            JSON.
    """
    packed = {
        name: base64.b64encode(zlib.compress(text.encode())).decode()
        for name, text in (rows or {}).items()
    }
    content = {
        "ncjax": version_of("ncjax"),
        "epoch": epoch,
        "run": run,
        "arrays": _describe(state),
        "rows": packed,
    }
    return content | {"checksum": _checksum(content)}


def broken(seal: Seal, state: Any, *, epoch: int, run: str = "") -> str:
    """Why arrays are not those that were sealed, as half a sentence; "" if they are.

    Args:
        seal: the seal, as it was read.
        state: the arrays, as they were read.
        epoch: the epoch of which they should be.
        run: digest of the configuration of the run; "" for any run.
    """
    # All processes read all arrays, before any of them gives up.
    found = _by_plain_name(json.loads(json.dumps(_describe(state))))
    if why := _foreign(seal, epoch, run):
        return why
    sealed = _by_plain_name(seal["arrays"])
    names = sorted(sealed.keys() | found.keys())
    if differ := [name for name in names if sealed.get(name) != found.get(name)]:
        return (
            f"{len(differ)} of {len(names)} arrays, the first {differ[0]}, are not "
            "those that were written: their checksums differ"
        )
    return ""


def rows_in(seal: Seal, *, epoch: int, run: str = "") -> dict[str, str]:
    """The rows in a seal: folder below that of the run -> lines of JSON.

    There are none in a damaged seal, or one of another epoch or run.
    """
    if _foreign(seal, epoch, run):
        return {}
    return {
        name: zlib.decompress(base64.b64decode(packed)).decode()
        for name, packed in seal["rows"].items()
    }


def _foreign(seal: Seal, epoch: int, run: str) -> str:
    """Why a seal is not that of an epoch of a run; "" if it is."""
    content = {key: value for key, value in seal.items() if key != "checksum"}
    if seal.get("checksum") != _checksum(content):
        return "its seal, which has the checksums, is damaged"
    if run and seal["run"] != run:
        return "it is of a run of another configuration"
    if seal["epoch"] != epoch:
        return f"it is that of epoch {seal['epoch']}, under another number"
    return ""


def _describe(state: Any) -> dict[str, list]:
    """Name of each array -> its checksum, shape and type."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    found = {}
    for path, leaf in leaves:
        array = _whole(leaf)
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        described = [zlib.crc32(data.data), list(array.shape), array.dtype.name]
        found[jax.tree_util.keystr(path)] = described
    return found


def _by_plain_name(arrays: Mapping[str, list]) -> dict[str, list]:
    """The same with fields of a class named like keys of a dict, as Orbax has them."""
    return {re.sub(r"\.(\w+)", r"['\1']", name): x for name, x in arrays.items()}


def _whole(leaf: Any) -> np.ndarray:
    """An array on the host, with the parts that lie on devices of other processes."""
    if isinstance(leaf, jax.Array) and not (
        leaf.is_fully_addressable or leaf.is_fully_replicated
    ):
        from jax.experimental import multihost_utils  # late: for many processes alone

        return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))
    return np.asarray(leaf)


def _checksum(content: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())
