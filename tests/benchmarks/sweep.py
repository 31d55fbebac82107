"""A sweep in one program against its runs started one by one, and its memory.

    python -m tests.benchmarks.sweep

56 settings x 3 seeds of the digits as `ncjax train --sweep...`, whole, in a process of
its own; of the 168 runs alone a few, each a process `ncjax train`, for what all would
take.  Compiled programs are not kept from one process to the next, except in the rows
"kept", in which they were compiled before.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile

from tests.benchmarks.harness import report
from tests.benchmarks.processes import run

_RATES = "1e-3..3e-1:8"
_DECAYS = "0,1e-4,5e-4,1e-3,5e-3,1e-2,5e-2"
_SETTINGS, _SEEDS = 56, 3


def seconds(flags: list[str], cache: str) -> tuple[float, float]:
    """Seconds of a process `ncjax train` in a new folder, and its memory in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        return run(flags, cache, f"{folder}/run")


def measure(epochs: int, sample: int) -> list[dict[str, object]]:
    """Rows: the sweep, and runs alone, cold and with kept programs."""
    common = ["--config=configs/digits.py", f"--config.num_epochs={epochs}"]
    whole = [
        *common,
        f"--config.num_seeds={_SEEDS}",
        f"--sweep.optimizer.learning_rate={_RATES}",
        f"--sweep.optimizer.weight_decay={_DECAYS}",
    ]
    draw = random.Random(0)
    rows: list[dict[str, object]] = []
    for kind in ("cold", "kept"):
        alone: list[float] = []
        with tempfile.TemporaryDirectory() as cache:
            if kind == "kept":
                seconds(whole, cache)
                seconds(common, cache)
            for number in range(sample):
                own = [
                    f"--config.optimizer.learning_rate={10 ** draw.uniform(-3, -0.5)}",
                    f"--config.seed={number}",
                ]
                with tempfile.TemporaryDirectory() as fresh:
                    place = cache if kind == "kept" else fresh
                    took, alone_mib = seconds([*common, *own], place)
                alone.append(took)
            took, mib = seconds(whole, cache)
        each = statistics.median(alone)
        rows.append(
            {
                "programs": kind,
                "runs": _SETTINGS * _SEEDS,
                "sweep, s": took,
                "a run alone, s": each,
                "sweep / runs one by one": took / (each * _SETTINGS * _SEEDS),
                "sweep, MiB": mib,
                "a run alone, MiB": alone_mib,
            }
        )
    return rows


def main() -> None:
    """Measures, prints and writes results/sweep.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=100, help="epochs of each run")
    parser.add_argument("--sample", type=int, default=4, help="runs alone")
    options = parser.parse_args()
    report("sweep", measure(options.epochs, options.sample))


if __name__ == "__main__":
    main()
