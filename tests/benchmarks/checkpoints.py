"""What checkpoints cost a run that writes one each epoch, against one at its end.

    python -m tests.benchmarks.checkpoints [--epochs 400] [--rounds 3]

The digits, each run a process `ncjax train` from start to end, in turns, with compiled
programs kept from one run before them.  A run writes "all" its checkpoints, or those
that fit in a tenth of its time, as it does by default.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from tests.benchmarks.harness import report
from tests.benchmarks.processes import run

_EVERY = "--config.checkpoint.every_epochs=1"
_ALL = "--config.checkpoint.max_share=1.0"


def measure(epochs: int, rounds: int) -> list[dict[str, object]]:
    """A row for each kind of run: seconds, their ratio, and checkpoints written."""
    common = [f"--config.num_epochs={epochs}"]
    kinds = {
        "at the end": [f"--config.checkpoint.every_epochs={epochs}"],
        "each epoch, in a tenth of the time": [_EVERY],
        "each epoch, all": [_EVERY, _ALL],
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    written = {}
    with tempfile.TemporaryDirectory() as cache:
        for kind, flags in kinds.items():  # which also compiles
            with tempfile.TemporaryDirectory() as folder:
                keep = f"--config.checkpoint.keep={epochs}"
                run([*common, *flags, keep], cache, folder)
                written[kind] = len(list(Path(folder, "checkpoints").iterdir()))
        for _ in range(rounds):
            for kind, flags in kinds.items():
                with tempfile.TemporaryDirectory() as folder:
                    seconds[kind].append(run([*common, *flags], cache, folder)[0])
    base = seconds["at the end"]
    return [
        {
            "checkpoints": kind,
            "written": written[kind],
            "run, s": statistics.median(took),
            "over one at the end": statistics.median(
                a / b for a, b in zip(took, base, strict=True)
            ),
        }
        for kind, took in seconds.items()
    ]


def main() -> None:
    """Measures, prints and writes results/checkpoints.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=400, help="epochs of each run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind")
    options = parser.parse_args()
    report("checkpoints", measure(options.epochs, options.rounds))


if __name__ == "__main__":
    main()
