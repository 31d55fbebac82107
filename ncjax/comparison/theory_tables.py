"""Theory beside trained networks, as text and as data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ncjax.collapse.registry import Metric
from ncjax.comparison.tables import cell, markdown_table
from ncjax.statistics import t_interval

if TYPE_CHECKING:
    from ncjax.comparison.theory import GroupTheory, RunTheory

# Number of `RunTheory.values` -> how it is averaged and printed.
COLUMNS = (
    Metric("c", "c (Gram)", log=True),
    Metric("c_from_loss", "c (loss)", log=True),
    Metric("nc2", "NC2 found"),
    Metric("nc2_predicted", "NC2 predicted"),
    Metric("to_prediction", "prediction"),
    Metric("to_prediction_from_loss", "prediction of c (loss)"),
    Metric("to_simplex", "simplex"),
    Metric("to_tree", "tree"),
    Metric("classifier_to_prediction", "W to prediction"),
    Metric("classifier_to_prediction_from_loss", "W to prediction of c (loss)"),
)


def tables(groups: Sequence[GroupTheory], level: float) -> str:
    """Both tables and what to know of them, as Markdown."""
    rows = [["Theory", *(metric.title for metric in COLUMNS)]]
    for group in groups:
        cells = []
        for metric in COLUMNS:
            values = np.array([run.values[metric.key] for run in group.runs])
            cells.append(_cell(metric, values, level))
        rows.append([group.name, *cells])
    heights = sorted({h for g in groups for run in g.runs for h in run.cosines})
    both = ("found", "predicted")
    titles = [f"height {h} {what}" for h in heights for what in both]
    cosines = [["Cosines of class means", *titles]]
    for group in groups:
        row = [group.name]
        for h in heights:
            pairs = [run.cosines[h] for run in group.runs if h in run.cosines]
            for values in np.array(pairs).reshape(-1, 2).T:
                metric = Metric("cosine", "cosine")
                row.append(_cell(metric, values, level) if pairs else "-")
        cosines.append(row)
    notes = "  \n".join(_notes(groups, level))
    return "\n\n".join([markdown_table(rows), markdown_table(cosines), notes])


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


def _cell(metric: Metric, values: np.ndarray, level: float) -> str:
    if np.isnan(values).all():
        return "any"
    return cell(metric, t_interval(values, level, metric.log), len(values))


def _notes(groups: Sequence[GroupTheory], level: float) -> Iterable[str]:
    yield (
        "Distances are || G/|G| - G'/|G'| || of the Gram matrices of centred class "
        "means, found and predicted; of a simplex; of -P D P (tree), D the tree's "
        "distances; W: of the centred classifiers."
    )
    yield (
        "Predicted: the optimum of the unconstrained-features model with a free bias, "
        "for the run's loss, tree and class sizes. Its constant, c = sqrt(n lW lH), is "
        "fitted to the Gram matrix; or to the loss of the class means, and the "
        "geometry then has no free constant."
    )
    if any(len(g.runs) > 1 for g in groups):
        yield (
            f"Mean over seeds ± half of the {100 * level:.4g} % t-interval; c: "
            "geometric mean ×/÷ its factor."
        )
    free = [g.name for g in groups if all(r.fitted.state == "free" for r in g.runs)]
    if free:
        yield (
            f"any: {', '.join(free)} has the same geometry for every c; the prediction "
            "is that of c (loss)."
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
