"""Theory beside trained networks, as text and as data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ncjax.collapse.registry import Metric
from ncjax.comparison.tables import cell
from ncjax.comparison.theory import GroupTheory, RunTheory
from ncjax.statistics import t_interval
from ncjax.table import Part, Table
from ncjax.ufm.proof import Proof

# Number of `RunTheory.values` -> how it is averaged and printed.
COLUMNS = (
    Metric("c", "c (Gram)", log=True),
    Metric("c_from_loss", "c (loss)", log=True),
    Metric("nc2", "NC2 found"),
    Metric("nc2_predicted", "NC2 theory"),
    Metric("to_prediction", "theory"),
    Metric("to_prediction_from_loss", "theory of c (loss)"),
    Metric("to_simplex", "simplex"),
    Metric("to_tree", "tree"),
    Metric("classifier_to_prediction", "W to theory"),
    Metric("classifier_to_prediction_from_loss", "W to theory of c (loss)"),
)
_COSINE = Metric("cosine", "cosine")


def tables(groups: Sequence[GroupTheory], level: float) -> list[Part]:
    """Numbers of each group, and cosines by height; with notes.

    Args:
        groups: the groups with their theory.
        level: confidence of the intervals.
    """
    heights = sorted({h for g in groups for run in g.runs for h in run.cosines})
    both = ("found", "theory")
    titles = [f"height {h} {what}" for h in heights for what in both]
    rows = [["Theory", *(metric.title for metric in COLUMNS), "optimum"]]
    cosines = [["Cosines of class means", *titles]]
    for group in groups:
        runs = group.runs
        columns = [[run.values[metric.key] for run in runs] for metric in COLUMNS]
        each = zip(COLUMNS, columns, strict=True)
        cells = (_cell(m, c, level) for m, c in each)
        rows.append([group.name, *cells, _proof([run.proof for run in runs])])
        pairs = [[r.cosines[h] for r in runs if h in r.cosines] for h in heights]
        columns = [[pair[i] for pair in found] for found in pairs for i in (0, 1)]
        cosines.append([group.name, *(_cell(_COSINE, c, level) for c in columns)])
    return [Table(rows), Table(cosines, notes=tuple(_notes(groups, level)))]


def to_dict(groups: Sequence[GroupTheory]) -> list[dict[str, Any]]:
    """Everything, for JSON; NaN where c is not determined."""
    return [
        {
            "name": group.name,
            "classes": list(group.hierarchy.class_names),
            "runs": [_run(run) for run in group.runs],
        }
        for group in groups
    ]


def _run(run: RunTheory) -> dict[str, Any]:
    return {
        "seed": run.seed,
        "epoch": run.epoch,
        "loss_of_class_means": run.loss,
        "c_state": run.fitted.state,
        "c_from_loss_state": run.from_loss.state,
        "optimum": str(run.proof),
        **run.values,
        "cosines": {
            str(h): {"found": found, "predicted": predicted}
            for h, (found, predicted) in run.cosines.items()
        },
        "spectrum": {
            "found": spectrum(run.gram).tolist(),
            "predicted": spectrum(run.prediction).tolist(),
        },
        "gram": {"found": run.gram.tolist(), "predicted": run.prediction.tolist()},
    }


def spectrum(gram: np.ndarray) -> np.ndarray:
    """Eigenvalues, the largest first; the last, of the constant vector, is 0 [K]."""
    return np.linalg.eigvalsh(gram)[::-1]


def _proof(proofs: Sequence[Proof]) -> str:
    """What the optima of all seeds rest on, in a few words."""
    kinds = {proof.kind for proof in proofs}
    text = "certified" if "certified" in kinds else "closed form"
    if "starts" in kinds:
        reached = [proof.reached for proof in proofs if proof.kind == "starts"]
        starts = max(proof.starts for proof in proofs)
        text = f"best of {starts} starts ({min(reached)} reach it)"
    return text if all(proof.unique for proof in proofs) else f"{text}, one of many"


def _cell(metric: Metric, values: Sequence[float], level: float) -> str:
    if not values:
        return "-"
    if np.isnan(values).all():
        return "any"
    interval = t_interval(np.array(values), level, metric.log)
    return cell(metric, interval, len(values))


def _notes(groups: Sequence[GroupTheory], level: float) -> Iterable[str]:
    yield (
        "Distances are || G/|G| - G'/|G'| || of the Gram matrices of centred class "
        "means, found and of theory; of a simplex; of -P D P (tree), D the tree's "
        "distances; W: of the centred classifiers."
    )
    yield (
        "Theory: the optimum of the unconstrained-features model with a free bias, "
        "for the run's loss, tree and class sizes. Its constant, c = sqrt(n lW lH), is "
        "fitted to the Gram matrix; or to the loss of the class means, and the "
        "geometry then has no free constant."
    )
    if named := [group.name for group in groups if group.of_outputs]:
        yield (
            f"Class means of {', '.join(named)} are here those of its outputs, without "
            "their signs, and not of the features."
        )
    if named := [group.name for group in groups if group.head == "fixed"]:
        yield (
            f"{', '.join(named)}: the optimum of the features for the class vectors as "
            "they are, without a bias, c = n lH; unique and certified."
        )
    if named := [group.name for group in groups if group.head == "spherical"]:
        yield (
            f"{', '.join(named)}: the optimum of unit features and unit class vectors "
            "at the temperature of the run, which has no c; a simplex in closed form "
            "for K <= d + 1, else the best of random starts, which tends to the "
            "softmax code as the temperature falls. Its points are assigned to the "
            "classes as is nearest to the means."
        )
    yield (
        "optimum: certified by a duality gap below 1e-9, or known in closed form; "
        "elsewhere the model is not convex, and it is the best of random starts, "
        "with no certificate.  One of many: others of the same value have other Gram "
        "matrices, so that the distance to theory is that to one of them."
    )
    if any(len(g.runs) > 1 for g in groups):
        yield (
            f"Mean over seeds ± half of the {100 * level:.4g} % t-interval; c: "
            "geometric mean ×/÷ its factor."
        )
    free = [g.name for g in groups if all(r.fitted.state == "free" for r in g.runs)]
    if free:
        yield (
            f"any: {', '.join(free)} has the same geometry for every c; theory is that "
            "of c (loss)."
        )
    for g in groups:
        for name, states in (
            ("Gram", [r.fitted.state for r in g.runs]),
            ("loss", [r.from_loss.state for r in g.runs]),
        ):
            if edge := states.count("edge"):
                yield (
                    f"{g.name}: c ({name}) lies at an end of the range searched in "
                    f"{edge} of {len(states)} runs; the true one may lie beyond."
                )
