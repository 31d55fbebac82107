"""What the runs of the study of steered geometries say, as arrays over seeds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ncjax import hierarchy
from ncjax.comparison.runs import CompareError, Run, find, read
from tests.benchmarks.studies.harness import LEVEL

METHODS = {
    "linear": "linear, learned",
    "spherical": "spherical, learned",
    "class_means": "class means (CMF)",
    "fixed": "fixed simplex",
    "nearest": "nearest simplex",
    "dot_regression": "fixed simplex, dot regression",
}
CONDITIONS = {
    "0": "clean",
    "0.2": "20 % random labels",
    "0.4": "40 % random labels",
    "few": "20 images a class",
    "long_tail": "long tail, 1000 to 10 images",
}
RARELY = ("few", "long_tail")  # conditions that are measured four times
UNCHANGED = "as they are"  # the test images
# Key of a metric -> its title, factor and digits in the table.
METRICS = {
    "test/error": ("test error %", 100, 2),
    "train/error": ("train error %", 100, 2),
    "nc/nc1": ("NC1", 1, 4),
    "nc/nc2": ("NC2", 1, 3),
    "nc/nc3": ("NC3", 1, 3),
    "nc1 <= 0.2": ("epochs to NC1 0.2", 1, 0),
    "nc2 <= 0.5": ("epochs to NC2 0.5", 1, 0),
}
Values = dict[str, np.ndarray]  # metric -> its value for each seed
# Method -> shift of the test images -> test error of each seed.
Shifted = dict[str, dict[str, list[float]]]


def runs_of(folder: Path) -> list[Run]:
    """The runs in a folder, by seed.

    Raises:
        CompareError: where one is unfinished.
    """
    runs = sorted(map(read, find([folder])), key=lambda run: run.seed)
    unfinished = [str(run.path) for run in runs if run.last < run.planned]
    if unfinished:
        raise CompareError(f"Unfinished: {', '.join(unfinished)}.")
    return runs


def values_of(runs: Sequence[Run]) -> Values:
    """The final metrics of runs, and the epochs in which they reached a threshold."""
    found = {
        key: np.array([run.rows[-1].get(key, np.nan) for run in runs])
        for key in METRICS
        if "<=" not in key
    }
    for key in METRICS:
        name, _, bound = key.partition(" <= ")
        if bound:
            found[key] = np.array([first(r, f"nc/{name}", float(bound)) for r in runs])
    return found


def first(run: Run, key: str, bound: float) -> float:
    """The first measured epoch in which a metric is at most so large, or nan."""
    hits = (row["epoch"] for row in run.rows if row.get(key, np.nan) <= bound)
    return float(next(hits, np.nan))


def opposite(run: Run) -> str:
    """Which class the first has opposite it, among four class means on a square.

    The greatest sum of the cosines within two pairs is that of the pairs next to each
    other; the least, that of the opposite ones.
    """
    gram = np.array(run.rows[-1]["nc/gram"])
    classes = run.config["data.classes"]
    sums = {}
    for partner in (1, 2, 3):
        a, b = (k for k in (1, 2, 3) if k != partner)
        sums[partner] = gram[0, partner] + gram[a, b]
    return str(classes[min(sums, key=sums.__getitem__)])


def code_distances(run: Run) -> np.ndarray:
    """1 - cosine of the class means of a run, for all pairs of classes."""
    gram = np.array(run.rows[-1]["nc/gram"])
    length = np.sqrt(np.diag(gram))
    return pairs(1 - gram / np.outer(length, length))


def pairs(distances: np.ndarray) -> np.ndarray:
    """The entries above the diagonal [K (K-1)/2]."""
    return distances[np.triu_indices(len(distances), 1)]


def references(data: Path) -> dict[str, np.ndarray]:
    """Distances of the classes of Fashion-MNIST: in the tree, and of mean images."""
    tree = hierarchy.BUILTIN["fashion_mnist"]()
    with np.load(data / "fashion.npz") as file:
        images, labels = file["x_train"].astype(float), file["y_train"]
    means = np.array([images[labels == k].mean(0).ravel() for k in np.unique(labels)])
    apart = np.linalg.norm(means[:, None] - means[None], axis=-1)
    return {
        "in the class tree": pairs(tree.distances()),
        "of mean images": pairs(apart),
    }


def rank_correlations(runs: Sequence[Run], reference: np.ndarray) -> np.ndarray:
    """Spearman's correlation of code distances with others, for each run [n]."""
    from scipy import stats

    return np.array([stats.spearmanr(code_distances(r), reference)[0] for r in runs])


def share(hits: int, number: int) -> tuple[float, float, float]:
    """A share with its exact 95 % interval (Clopper & Pearson 1934)."""
    from scipy import stats

    found = stats.binomtest(hits, number).proportion_ci(LEVEL, "exact")
    return hits / number, found.low, found.high


def squares(folder: Path, data: str) -> dict[str, list[Run]]:
    """Assignment, or "learned", which comes last -> its runs, on one data set."""
    paths = sorted(_folders(folder / data), key=lambda p: (p.name == "learned", p.name))
    return {path.name: runs_of(path) for path in paths}


def accuracy(runs: Sequence[Run]) -> np.ndarray:
    """Test accuracy of runs in % [n]."""
    return 100 * np.array([1 - run.rows[-1]["test/error"] for run in runs])


def methods(folder: Path) -> dict[str, dict[str, Values]]:
    """Condition -> method -> its values, of all runs that are there."""
    found: dict[str, dict[str, Values]] = {}
    for path in _folders(folder / "methods"):
        runs = runs_of(path)
        for part in sorted({run.config["data.random_labels"] for run in runs}):
            these = [r for r in runs if r.config["data.random_labels"] == part]
            found.setdefault(f"{part:g}", {})[path.name] = values_of(these)
    for condition in RARELY:
        for path in _folders(folder / condition):
            found.setdefault(condition, {})[path.name] = values_of(runs_of(path))
    return found


def _folders(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def tuning(folder: Path) -> list[tuple[str, float, float, float]]:
    """Method, learning rate, temperature or energy, error on held-out images."""
    rows = []
    for path in _folders(folder / "tuning"):
        knob = "energy" if path.name == "dot_regression" else "temperature"
        for run in runs_of(path):
            rate = run.config["optimizer.learning_rate"]
            error = run.rows[-1]["test/error"]
            rows.append((path.name, rate, run.config[f"loss.{knob}"], error))
    return rows


def shifted(folder: Path) -> dict[str, Shifted]:
    """Errors on shifted images: of the networks ("") and of fine-tuned ones."""
    found = {}
    if (folder / "shift.json").is_file():
        found[""] = json.loads((folder / "shift.json").read_text())
    tuned = {p.stem: json.loads(p.read_text()) for p in _folders(folder / "finetune")}
    return found | ({"fine-tuned": tuned} if tuned else {})
