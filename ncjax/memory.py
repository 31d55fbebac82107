"""How much memory there is, to refuse what cannot fit before it is allocated."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

_GROUP = Path("/sys/fs/cgroup/memory.max")  # the limit of a container on Linux


def host_memory() -> float:
    """Bytes of memory that this process may use at most; infinity where unknown."""
    try:
        found = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):  # not on every system
        found = float("inf")
    try:
        return min(found, float(_GROUP.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit
        return found


def device_memory(device: Any) -> float:
    """Bytes of memory of a device of JAX; those of the host for a CPU."""
    return float((device.memory_stats() or {}).get("bytes_limit", host_memory()))


def gigabytes(size: float | int) -> str:
    """A number of bytes as text, such as "1.5 GB"."""
    return f"{size / 1e9:,.1f} GB"
