"""Interleaved timing, tables, JSON: what all benchmarks share."""

from __future__ import annotations

import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

RESULTS = Path(__file__).parent / "results"


def interleave(
    functions: dict[str, Callable[[], object]], repeats: int
) -> dict[str, list[float]]:
    """Seconds of each call; the functions take turns, so that drift hits all alike.

    The order is drawn anew in each round, as the caches and threads that one leaves are
    what the next one finds.  Each is called once before, uncounted, to compile and warm
    up.
    """
    for function in functions.values():
        jax.block_until_ready(function())
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    order, shuffle = list(functions.items()), random.Random(0).shuffle
    for _ in tqdm(range(repeats), unit="round"):
        shuffle(order)
        for name, function in order:
            began = time.perf_counter()
            jax.block_until_ready(function())
            seconds[name].append(time.perf_counter() - began)
    return seconds


def ratio(seconds: dict[str, list[float]], name: str, base: str) -> float:
    """Median over rounds of the ratio of two functions in the same round."""
    pairs = zip(seconds[name], seconds[base], strict=True)
    return statistics.median(a / b for a, b in pairs)


def table(rows: list[dict[str, object]]) -> str:
    """Rows with the same keys as aligned text."""
    cells = [list(rows[0])] + [[_text(v) for v in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(c.rjust(w) for c, w in zip(line, widths, strict=True))
        for line in cells
    )


def report(name: str, rows: list[dict[str, object]]) -> None:
    """Prints the table and writes `results/NAME.json` with the machine it ran on."""
    print(table(rows))
    path = RESULTS / f"{name}.json"
    machine = {
        "devices": [d.device_kind for d in jax.devices()],
        "cores": len(os.sched_getaffinity(0)),
        "processor": platform.machine(),
        "jax": jax.__version__,
        "numpy": np.__version__,
    }
    path.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    print(f"written to {path}")


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
