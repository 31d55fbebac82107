"""Test errors of the networks of six methods on shifted images, and of stored ones.

    launch/steering.sh methods
    python -m tests.benchmarks.studies.steering_shift    # reads the networks

The networks have learned from clean images with clean labels.  Writes `shift.json`:
{method: {shift: test error of each seed}}.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ncjax.comparison.runs import find, read
from ncjax.config.binding import load_data
from ncjax.io import write_json
from ncjax.training.loaded import load_runs
from ncjax.training.stored import read_config
from tests.benchmarks.studies.steering_runs import UNCHANGED

_NOISE = 40.0  # standard deviation, of pixels in 0..255


def moved(images: np.ndarray) -> np.ndarray:
    """Images [n, h, w, c] a pixel further down and to the right; the edge is black."""
    found = np.zeros_like(images)
    found[:, 1:, 1:] = images[:, :-1, :-1]
    return found


def noisy(images: np.ndarray) -> np.ndarray:
    """Images with Gaussian noise, the same for every network, cut to 0..255."""
    noise = np.random.default_rng(0).normal(0, _NOISE, images.shape)
    return np.clip(images + noise, 0, 255).round().astype(np.uint8)


def dim(images: np.ndarray) -> np.ndarray:
    """Images at half their brightness."""
    return images // 2


def inverted(images: np.ndarray) -> np.ndarray:
    """Negatives of the images: 255 - x."""
    return 255 - images


SHIFTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    UNCHANGED: lambda images: images,
    "moved": moved,
    "noisy": noisy,
    "dim": dim,
    "inverted": inverted,
}


def clean_members(sweep: Path) -> list[Path]:
    """The runs of a sweep that have learned from clean labels, by seed."""
    runs = [read(path) for path in find([sweep])]
    clean = [run for run in runs if not run.config["data.random_labels"]]
    return [run.path for run in sorted(clean, key=lambda run: run.seed)]


def errors(sweep: Path) -> dict[str, list[float]]:
    """Shift -> test error of each network of a sweep that has clean labels."""
    members = clean_members(sweep)
    config = read_config(members[0])
    dataset = load_data(config)
    images, labels = np.asarray(dataset.test.images), dataset.test.labels
    shifted = {name: shift(images) for name, shift in SHIFTS.items()}
    found: dict[str, list[float]] = {name: [] for name in SHIFTS}
    for run in load_runs(members, config, dataset):
        for name, these in shifted.items():
            logits, _ = run(these)
            wrong = np.asarray(logits).argmax(1) != labels
            found[name].append(float(wrong.mean()))
    return found


def main() -> None:
    """Reads the networks and writes the errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", type=Path, default=Path("runs/steering"))
    folder = parser.parse_args().workdir
    found = {}
    for sweep in sorted((folder / "methods").iterdir()):
        found[sweep.name] = errors(sweep)
        means = {name: round(np.mean(e), 4) for name, e in found[sweep.name].items()}
        print(sweep.name, means, flush=True)
    write_json(folder / "shift.json", found)


if __name__ == "__main__":
    main()
