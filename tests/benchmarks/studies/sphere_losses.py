"""NTCE and NONL against cross-entropy: how soon they collapse, and to what.

The BatchNorm MLP 128-128-128 on 10,000 images of Fashion-MNIST, 80 epochs.  NormFace,
NTCE and NONL end on the sphere, behind a linear layer of the same width and at the
published temperature; cross-entropy has its linear layer on the features.  Each has the
same budget: five learning rates on one seed, of which the one with the least final NC2
(among those that err on at most 1 % of the images) is trained with five other seeds.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

import ncjax
from ncjax.collapse.generalized import effective_rank
from ncjax.config.binding import load_data
from ncjax.io import write_whole
from ncjax.statistics import holm, t_interval
from ncjax.training.loaded import load_runs
from tests.benchmarks.studies.harness import LEVEL, difference
from tests.benchmarks.verdicts import Answer, Verdict

COMMAND = "python -m tests.benchmarks.studies.spherical"
METHODS = {
    "cross_entropy": "cross-entropy",
    "normface": "NormFace",
    "ntce": "NTCE",
    "nonl": "NONL",
}
RATES = (0.01, 0.03, 0.1, 0.3, 1.0)
SHARE = 0.075  # of the epochs of cross-entropy, as published
_EPOCHS = (*range(1, 11), 12, 15, 20, 25, 30, 40, 50, 60, 70, 80)
_PAPER = "Neural Collapse by Design, ICML 2026 (arXiv 2605.20302), CIFAR-10, ResNet-18"
# Final metric -> its title; all but NC2 and the error are of the directions h/|h|.
FINAL = {
    "nc2": "NC2",
    "within": "effective rank within classes",
    "between": "effective rank of the class means",
    "weights": "1 - cos(w, class mean)",
    "instances": "1 - cos(h, w)",
    "error": "test error",
}
# (final metric, method that has less, method that has more, published numbers).
_CLAIMS = (
    ("within", "normface", "cross_entropy", "10.5 < 22.5"),
    ("within", "ntce", "normface", "9.0 < 10.5"),
    ("within", "nonl", "ntce", "4.0 < 9.0"),
    ("between", "cross_entropy", "normface", "8.6 < 9.0"),
    ("between", "cross_entropy", "ntce", "8.6 < 9.0"),
    ("between", "cross_entropy", "nonl", "8.6 < 9.0"),
    ("weights", "ntce", "cross_entropy", "0.08 < 0.59"),
    ("weights", "nonl", "cross_entropy", "0.11 < 0.59"),
    ("instances", "ntce", "cross_entropy", "0.10 < 0.69"),
    ("instances", "nonl", "cross_entropy", "0.16 < 0.69"),
    ("error", "nonl", "cross_entropy", "5.1 < 5.4 %"),
)
# Method -> rate, epochs [m], NC2 by seed [S, m], and each final metric by seed [S].
Found = dict[str, dict[str, np.ndarray]]


def config_of(method: str, smoke: bool) -> ConfigDict:
    """The configuration of a method, but for its learning rate."""
    config = runpy.run_path("configs/fashion_mlp_ce.py")["get_config"](
        "smoke" if smoke else ""
    )
    config.num_epochs = 3 if smoke else 80
    config.model.widths = (128, 128, 128)
    config.loss.name = method
    if method != "cross_entropy":
        config.classifier.project, config.classifier.temperature = 128, 0.2
    config.hierarchy.name, config.eval.crm = "none", False
    config.eval.epochs = _EPOCHS[:3] if smoke else _EPOCHS
    return config


def tuned(method: str, folder: Path, smoke: bool) -> float:
    """The learning rate with the least final NC2 among those that fit the images."""
    config = config_of(method, smoke)
    config.seed = 1000
    found = ncjax.sweep(config, {"optimizer.learning_rate": list(RATES)}, folder)
    nc2, error = found["nc/nc2"], found["train/error"]
    fits = np.isfinite(nc2) & (error <= max(0.01, np.nanmin(error)))
    place = np.where(fits, nc2, np.inf).argmin()
    return float(found["optimizer.learning_rate"][place])


def run(folder: Path, smoke: bool) -> Found:
    """Trains all, or reads what is trained already."""
    found: Found = {}
    for method in METHODS:
        rate = tuned(method, folder / "tune" / method, smoke)
        config = config_of(method, smoke)
        config.optimizer.learning_rate = rate
        config.num_seeds = 2 if smoke else 5
        path = folder / f"{method}_{rate:g}"
        history = ncjax.train(config, path)
        nc2 = np.array([seed["nc/nc2"] for seed in history.seeds])
        error = [seed.rows[-1]["test/error"] for seed in history.seeds]
        found[method] = {
            "rate": np.array(rate),
            "epochs": np.asarray(history.seeds[0]["epoch"]),
            "curve": nc2,
            "nc2": nc2[:, -1],
            "error": np.array(error),
            **_directions(path, config),
        }
    return found


def _directions(folder: Path, config: ConfigDict) -> dict[str, np.ndarray]:
    """The final metrics of h/|h| by seed; kept in the folder of the runs."""
    kept = folder / "directions.json"
    if not kept.exists():
        folders = sorted((folder / "seeds").iterdir(), key=lambda path: int(path.name))
        dataset = load_data(config)
        rows = []
        for network in load_runs(folders, config, dataset):
            images, labels = dataset.train.images, np.asarray(dataset.train.labels)
            features = np.asarray(network(images)[1], np.float64)
            rows.append(directions(features, labels, np.asarray(network.classifier[0])))
        write_whole(kept, json.dumps(rows) + "\n")
    rows = json.loads(kept.read_text())
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def directions(
    features: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> dict[str, float]:
    """Effective ranks and alignment of the directions h/|h|, less their mean.

    Args:
        features: h [n, d], none of them 0.
        labels: class of each example [n], all classes there.
        weights: rows w_k [K, d].
    """
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    means = np.array([units[labels == k].mean(axis=0) for k in range(len(weights))])
    centre = means.mean(axis=0)
    within = np.linalg.svd(units - means[labels], compute_uv=False)
    between = np.linalg.svd(means - centre, compute_uv=False)
    return {
        "within": float(effective_rank(jnp.asarray(within))),
        "between": float(effective_rank(jnp.asarray(between))),
        "weights": float(np.mean(1 - _cosines(means - centre, weights))),
        "instances": float(np.mean(1 - _cosines(units - centre, weights[labels]))),
    }


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.sum(a * b, axis=1) / lengths


def shares(found: Found, method: str, factor: float = 1.0) -> np.ndarray:
    """Share of the epochs after which NC2 is at most `factor` that of cross-entropy.

    Returns:
        For each seed the first measured epoch with NC2 <= factor times the final NC2 of
        cross-entropy with the same seed, over the number of epochs; inf if there is
        none.
    """
    epochs, curve = found[method]["epochs"], found[method]["curve"]
    reached = curve <= factor * found["cross_entropy"]["nc2"][:, None]
    first = epochs[reached.argmax(axis=1)] / epochs[-1]
    return np.where(reached.any(axis=1), first, np.inf)


def judge(found: Found) -> list[Verdict]:
    """How soon, then each order by a paired test over seeds, corrected over all."""
    rows = [_soon(found, method) for method in ("nonl", "ntce")]
    pairs = [(found[more][key], found[less][key]) for key, less, more, _ in _CLAIMS]
    tests = [difference(more, less) for more, less in pairs]
    corrected = holm(np.array([test[3] for test in tests]))
    for claim, (gap, low, high, _), p in zip(_CLAIMS, tests, corrected, strict=True):
        key, less, more, theirs = claim
        unit, factor = (" %", 100) if key == "error" else ("", 1)
        verdict: Answer = "undecided"
        if p < 1 - LEVEL:
            verdict = "holds" if gap > 0 else "does not"
        small, large = (factor * found[m][key].mean() for m in (less, more))
        rows.append(
            Verdict(
                claim=f"{FINAL[key]}: that of {METHODS[less]} is below that of "
                f"{METHODS[more]}",
                source=_PAPER,
                theirs=theirs,
                ours=f"{small:.3g} and {large:.3g}{unit}: lower by {factor * gap:.2g}",
                interval=f"[{factor * low:.2g}, {factor * high:.2g}]",
                seeds=len(found[less][key]),
                verdict=verdict,
                command=COMMAND,
                note=f"Fashion-MNIST, MLP; p = {p:.2g}, corrected",
            )
        )
    return rows


def _soon(found: Found, method: str) -> Verdict:
    """Whether a method needs at most the published share of the epochs."""
    each, own = shares(found, method), shares(found, "cross_entropy", 1.1)
    never = int(np.isinf(each).sum())
    interval = t_interval(np.where(np.isinf(each), np.nan, each), LEVEL)
    verdict: Answer = "undecided"
    if never > len(each) / 2 or interval.low > SHARE:
        verdict = "does not"
    elif not never and interval.high <= SHARE:
        verdict = "holds"
    least, end = found[method]["nc2"].mean(), found["cross_entropy"]["nc2"].mean()
    note = f"Fashion-MNIST, MLP; final NC2 {least:.3g} against {end:.3g}; "
    note += f"cross-entropy is within 10 % of it after {100 * own.mean():.0f} %"
    ours = "never" if never == len(each) else f"{100 * interval.centre:.1f} %"
    some = 0 < never < len(each)
    return Verdict(
        claim=f"{METHODS[method]} reaches the final NC2 of cross-entropy within "
        f"{100 * SHARE:g} % of its epochs",
        source=_PAPER,
        theirs=f"at most {100 * SHARE:g} %",
        ours=ours + f", and never in {never} of {len(each)} seeds" * some,
        interval=f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}] %"
        if never < len(each) - 1
        else f"in none of {len(each)} seeds",
        seeds=len(each),
        verdict=verdict,
        command=COMMAND,
        note=note,
    )


def table(found: Found) -> str:
    """A row for each method and seed, as CSV."""
    lines = ["method,rate,seed,share_of_epochs," + ",".join(FINAL)]
    for method, values in found.items():
        for seed, share in enumerate(shares(found, method)):
            cells = ",".join(f"{values[key][seed]:.6g}" for key in FINAL)
            rate = values["rate"]
            lines.append(f"{method},{rate:g},{seed},{share:.6g},{cells}")
    return "\n".join(lines) + "\n"
