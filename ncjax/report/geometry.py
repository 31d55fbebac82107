"""Class means and mistakes as charts: cosines, spectra, confusion, severity."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from ncjax.evaluation.mistakes import confusion_by_level
from ncjax.hierarchy import Hierarchy
from ncjax.report.charts import BLUE, GREY, ORANGE, Chart, label
from ncjax.runs.classes import Classes
from ncjax.runs.columns import Row

GRAM, CONFUSION = "nc/gram", "test/confusion"
_ENTRIES = 60_000  # of the matrices of all epochs in a page
_WIDEST = 220  # rows of a matrix; more are averaged in blocks
_FEW = 5  # epochs for which it is worth a slider
_NAMED = 40  # classes with names on the axes
# Above the matrix: beside it a telephone has no room.
_BAR: Chart = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "thickness": 8}
_TICKS = (0.0, 0.1, 1.0, 10.0, 50.0, 100.0)  # percent


def tree_order(classes: Classes, count: int) -> np.ndarray:
    """The classes in the order of their tree [K]; without one that of the labels."""
    tree = classes.tree
    if tree is None or tree.num_classes != count:
        return np.arange(count)
    return np.lexsort(tree.lineage[::-1])


def names_of(classes: Classes, count: int) -> list[str]:
    """The names of so many classes; their numbers where they are not known."""
    if len(classes.names) == count:
        return list(map(str, classes.names))
    return [str(k) for k in range(count)]


def square(value: Any) -> np.ndarray | None:
    """A table of a row as a matrix [K, K] with K at least 2; None if it is none."""
    try:
        table = np.array(value, float)
    except (TypeError, ValueError):
        return None
    good = table.ndim == 2 and table.shape[0] == table.shape[1] > 1
    return table if good else None


def cosines(gram: np.ndarray) -> np.ndarray:
    """Cosines of vectors from their Gram matrix [K, K]; NaN of a vector that is 0."""
    norms = np.sqrt(np.maximum(np.diag(gram), 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return gram / np.outer(norms, norms)


def spectrum(gram: np.ndarray) -> np.ndarray:
    """Eigenvalues [K-1], largest first, over those of a simplex of the same size.

    All are 1 at a simplex; NaN for a matrix that is 0 or not finite.
    """
    count = len(gram)
    total = np.trace(gram)
    if not np.isfinite(gram).all() or not total > 0:
        return np.full(count - 1, np.nan)
    values = np.linalg.eigvalsh((gram + gram.T) / 2)[::-1][: count - 1]
    return values * (count - 1) / total


def geometry(rows: Sequence[Row], classes: Classes) -> dict[str, Any] | None:
    """The class means at the measured epochs, and what theory predicts of them.

    Returns:
        `epochs`; for each of them `cosines` [K, K] and `spectra` [K-1]; `predicted` and
        `predicted_spectrum`, or None; `names`, in the order of the tree; `shapes`, the
        lines between superclasses.  None for a run that has not kept Gram matrices.
    """
    kept = [(row["epoch"], square(row.get(GRAM))) for row in rows]
    known = [(epoch, gram) for epoch, gram in kept if gram is not None]
    known = [(epoch, gram) for epoch, gram in known if len(gram) == len(known[-1][1])]
    if not known:
        return None
    count = len(known[-1][1])
    wide = min(count, _WIDEST)
    most = max(_ENTRIES // wide**2, 2)
    if len(known) > most:
        places = np.unique(np.linspace(0, len(known) - 1, most).round().astype(int))
        known = [known[place] for place in places]
    order = tree_order(classes, count)
    ideal = classes.geometry
    if ideal is not None and len(ideal) != count:
        ideal = None

    def ordered(gram: np.ndarray) -> list[list[float | None]]:
        return _listed(blocks(cosines(gram)[np.ix_(order, order)]), 3)

    names = names_of(classes, count)
    return {
        "epochs": [epoch for epoch, _ in known],
        "cosines": [ordered(gram) for _, gram in known],
        "spectra": [_listed(spectrum(gram), 4) for _, gram in known],
        "predicted": None if ideal is None else ordered(ideal),
        "predicted_spectrum": None if ideal is None else _listed(spectrum(ideal), 4),
        "names": _block_names([names[k] for k in order]),
        "shapes": [] if count > _WIDEST else _borders(classes, order),
    }


def cosine_charts(found: dict[str, Any]) -> list[Chart]:
    """Heat maps of the cosines: measured at the last epoch; predicted, if known."""
    names, tables = found["names"], [found["cosines"][-1], found["predicted"]]
    charts = []
    for table in tables:
        if table is None:
            continue
        trace: Chart = {"type": "heatmap", "z": table, "zmin": -1, "zmax": 1}
        trace |= {"meta": "diverging", "x": names, "y": names, "colorbar": _BAR}
        trace["hovertemplate"] = "%{y}, %{x}: %{z:.3f}<extra></extra>"
        across, down = _matrix_axes(names)
        layout = {"xaxis": across, "yaxis": down, "shapes": found["shapes"]}
        charts.append({"data": [trace], "layout": layout})
    return charts


def spectrum_chart(found: dict[str, Any]) -> Chart:
    """Eigenvalues of the Gram matrix of the last epoch beside those of theory."""
    values = found["spectra"][-1]
    places = list(range(1, len(values) + 1))
    data = [
        {"type": "bar", "x": places, "y": values, "name": "measured"}
        | {"marker": {"color": BLUE}, "hovertemplate": "%{y:.3g}"}
    ]
    if found["predicted_spectrum"] is not None:
        data.append(
            {"x": places, "y": found["predicted_spectrum"], "name": "predicted"}
            | {"mode": "markers+lines", "line": {"color": ORANGE, "dash": "dot"}}
            | {"marker": {"size": 7, "symbol": "line-ew-open", "color": ORANGE}}
            | {"hovertemplate": "%{y:.3g}"}
        )
    everything = [x for row in found["spectra"] for x in row if x is not None]
    everything += [x for x in found["predicted_spectrum"] or [] if x is not None]
    top = 1.08 * max(everything, default=1.0)
    layout: Chart = {
        "xaxis": {"title": {"text": "eigenvalue, largest first"}},
        "yaxis": {"title": {"text": "relative to a simplex"}, "range": [0, top]},
        "hovermode": "x unified",
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    }
    if len(places) < 10:
        layout["xaxis"]["dtick"] = 1  # there is no half eigenvalue
    return {"data": data, "layout": layout}


def confusion_epochs(rows: Sequence[Row]) -> list[Row]:
    """The measured epochs whose confusion a page has room for, the last one at the end.

    Of many classes that is the last epoch alone.
    """
    counted = [row for row in rows if square(row.get(CONFUSION)) is not None]
    if not counted:
        return []
    wide = len(counted[-1][CONFUSION])
    counted = [row for row in counted if len(row[CONFUSION]) == wide]
    most = _ENTRIES // (2 * wide**2)
    if most < _FEW:
        return counted[-1:]
    places = np.linspace(0, len(counted) - 1, min(most, len(counted)))
    return [counted[place] for place in np.unique(places.round().astype(int))]


def confusion_charts(row: Row, classes: Classes) -> list[tuple[str, Chart]]:
    """The confusion of the test set at each level of the tree, classes last.

    Empty if it was not counted.
    """
    table = square(row.get(CONFUSION))
    if table is None:
        return []
    tree = _fitting(classes, len(table))
    if tree is None:
        return [("classes", _confusion(table, names_of(classes, len(table)), []))]
    found = []
    for depth in (*tree.levels[:-1], tree.height):
        counts, names = confusion_by_level(table, tree, depth)
        groups, _ = tree.superclasses(depth)
        _, member = np.unique(groups, return_index=True)  # a class of each group
        order = np.lexsort(tree.lineage[1 : depth + 1, member][::-1])
        lines = _borders(classes, order) if depth == tree.height else []
        title = "classes" if depth == tree.height else f"level {depth}"
        ordered = counts[np.ix_(order, order)]
        found.append((title, _confusion(ordered, [names[k] for k in order], lines)))
    return found


def _confusion(table: np.ndarray, names: list[str], lines: list[Chart]) -> Chart:
    """Percent of each row, on a scale on which few mistakes are seen."""
    table, names = blocks(table, total=True), _block_names(names)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = 100 * table / table.sum(1, keepdims=True)
    shown = (shares / 100) ** 0.25  # mistakes are few: half of the shades are below 6 %
    across, down = _matrix_axes(names)
    trace: Chart = {
        "type": "heatmap",
        "z": _listed(shown, 3),
        "zmin": 0,
        "zmax": 1,
        "meta": "sequential",
        "x": names,
        "y": names,
        "text": [[_percent(x) for x in row] for row in shares],
        "hovertemplate": "%{y} taken for %{x}: %{text} %<extra></extra>",
        "colorbar": _BAR
        | {
            "tickvals": [(x / 100) ** 0.25 for x in _TICKS],
            "ticktext": [f"{x:g}" for x in _TICKS],
        },
    }
    if len(names) <= 12:
        trace["texttemplate"] = "%{text}"
    across["title"], down["title"] = {"text": "decision"}, {"text": "true class"}
    return {
        "data": [trace],
        "layout": {"xaxis": across, "yaxis": down, "shapes": lines},
    }


def severity_chart(row: Row, classes: Classes) -> Chart | None:
    """Mistakes on the test set by their height in the tree, beside those of chance.

    The height is that of the lowest common ancestor of label and decision.  By chance a
    mistake falls on each of the other classes alike.
    """
    table = square(row.get(CONFUSION))
    tree = None if table is None else _fitting(classes, len(table))
    if table is None or tree is None:
        return None
    heights, wrong = tree.lca_heights(), table * (1 - np.eye(len(table)))
    total = wrong.sum()
    if not total > 0:
        return None
    places = list(range(1, tree.height + 1))
    even = wrong.sum(1, keepdims=True) / (len(table) - 1) * (1 - np.eye(len(table)))
    data = [
        {"type": "bar", "x": places, "name": name, "marker": {"color": color}}
        | {"y": [_share(of[heights == h].sum(), total) for h in places]}
        | {"hovertemplate": "%{y:.3g} %"}
        for name, of, color in (("mistakes", wrong, BLUE), ("by chance", even, GREY))
    ]
    layout: Chart = {
        "xaxis": {"title": {"text": "height of the lowest common ancestor"}},
        "yaxis": {"title": {"text": "% of the mistakes"}, "rangemode": "tozero"},
        "hovermode": "x unified",
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    }
    layout["xaxis"]["tickvals"] = places
    return {"data": data, "layout": layout}


def blocks(table: np.ndarray, *, total: bool = False) -> np.ndarray:
    """A matrix of at most `_WIDEST` rows: means, or totals, of blocks of a larger."""
    starts = _starts(len(table))
    if len(starts) == len(table):
        return table
    sizes = np.diff([*starts, len(table)])
    summed = np.add.reduceat(np.add.reduceat(table, starts, 0), starts, 1)
    return summed if total else summed / np.outer(sizes, sizes)


def _starts(count: int) -> np.ndarray:
    step = -(-count // _WIDEST)
    return np.arange(0, count, step)


def _block_names(names: Sequence[str]) -> list[str]:
    """A name for each row of `blocks`, once each: of the first and the last class."""
    starts = _starts(len(names)).tolist()
    ends = [*starts[1:], len(names)]
    found: dict[str, None] = {}
    for a, b in zip(starts, ends, strict=True):
        last = "" if b - a == 1 else f" … {label(names[b - 1], 30)}"
        name = f"{label(names[a], 30)}{last}"
        found[f"{name} ({a})" if name in found else name] = None
    return list(found)


def _matrix_axes(names: Sequence[str]) -> tuple[Chart, Chart]:
    """Square cells, class 0 at the top left; names where there is room for them."""
    named = len(names) <= _NAMED
    shown = [label(html.unescape(name), 16) for name in names]
    ticks: Chart = {"type": "category", "showgrid": False, "zeroline": False}
    ticks |= {"tickvals": list(range(len(names))) if named else []}
    ticks |= {"ticktext": shown if named else [], "constrain": "domain"}
    across = ticks | {"tickangle": -90 if named else 0}
    return across, ticks | {"autorange": "reversed", "scaleanchor": "x"}


def _borders(classes: Classes, order: np.ndarray) -> list[Chart]:
    """Lines between the superclasses of a matrix in the order of the tree."""
    tree = classes.tree
    if tree is None or tree.num_classes != len(order):
        return []
    drawn: set[int] = set()
    shapes, last = [], len(order) - 0.5
    for depth, line in enumerate(tree.lineage[1:-1, order]):
        for place in set(np.flatnonzero(np.diff(line)).tolist()) - drawn:
            look = {"color": GREY, "width": max(2.0 / (depth + 1), 0.6)}
            at, ends = place + 0.5, {"0": -0.5, "1": last}
            for one, other in (("x", "y"), ("y", "x")):
                shape: Chart = {"type": "line", "line": look}
                shape |= {f"{one}{end}": at for end in ends}
                shape |= {f"{other}{end}": value for end, value in ends.items()}
                shapes.append(shape)
            drawn.add(place)
    return shapes


def _fitting(classes: Classes, count: int) -> Hierarchy | None:
    """The tree, if it is one over so many classes."""
    tree = classes.tree
    return tree if tree is not None and tree.num_classes == count else None


def _listed(values: np.ndarray, digits: int) -> list[Any]:
    """Nested lists, rounded; None where a value is not finite."""
    if values.ndim > 1:
        return [_listed(row, digits) for row in values]
    return [round(x, digits) + 0.0 if np.isfinite(x) else None for x in values.tolist()]


def _percent(share: float) -> str:
    if not np.isfinite(share):
        return "-"
    return "100" if share >= 99.95 else f"{share:.2g}"


def _share(part: float, total: float) -> float:
    return round(100 * float(part) / float(total), 3)
