"""Sets of labels: their features are the scaled sums of those of their labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from ncjax.options import ConfigError, choose
from ncjax.ufm.label_sets import LOSSES, label_sets, sets_of
from ncjax.ufm.run.experiment import Experiment, Field, Progress
from ncjax.ufm.run.report import Figure, Report, Statement, at_most, no_error
from ncjax.ufm.run.setting import decays, solve_certified
from ncjax.ufm.theory.pick_all_label import (
    SetOptimum,
    label_threshold,
    pick_all_label_optimum,
)

FIELDS = {
    "sets.loss": Field("pick_all_label", f"one of {', '.join(LOSSES)}"),
    "sets.average_labels": Field(False, "divide the loss by the number of its terms"),
    "sets.per_set": Field((200.0, 44.0), "samples of each set of 1, 2, ... labels"),
}
_NOTHING = 1e-6  # largest logit where theory has 0


class Point(NamedTuple):
    """The optimum at one strength of weight decay."""

    strength: float  # sqrt(lW lH)
    gap: float
    objective: float
    logits: np.ndarray  # [R, K], without the bias
    classifier: np.ndarray  # W [K, d]
    features: np.ndarray  # [R, d], a row for each set
    scales: np.ndarray  # s_m [M], NaN for sizes that do not occur


def run(config: ConfigDict, progress: Progress) -> Report:
    """Certified optima over weight decay, and what the closed form says of them.

    The model itself has sqrt(lW lH) = c.  The others have the threshold, from which on
    features say nothing of the labels, times each number of `config.grid`.
    """
    labels, least = _checked(config)
    k, sets = config.model.num_classes, config.sets
    strengths = [config.model.c, *(least * float(x) for x in sorted(config.grid))]
    progress("solve", problems=len(strengths))
    points = _solve(config, strengths, labels)
    theory = [_theory(config, x) for x in strengths]
    statements = [at_most("duality gap, largest", max(p.gap for p in points), 1e-9)]
    if sets.loss == "pick_all_label":
        statements += _of_theory(points, theory)
    statements += _of_features(points[0].features, labels)
    over = [p for p in points if p.strength >= least]
    if over:
        size = max(np.nanmax(np.abs(p.scales)) for p in over)
        text = f"logits at or over the threshold ({len(over)} models), largest"
        statements.append(at_most(text, size, _NOTHING))
    regime = "no formula for the lengths, sums all the same"
    return Report(
        title=f"Sets of labels: {sets.loss}, K = {k}, {tuple(sets.per_set)} samples of "
        "each set of 1, 2, ... labels",
        facts=[
            ("theory", theory[0].regime if theory[0] is not None else regime),
            ("threshold", f"sqrt(lW lH) = {least:.4g}, {least / config.model.c:.4g} c"),
        ],
        statements=statements,
        rows=[
            {"strength": p.strength, "gap": p.gap, "scales": p.scales} for p in points
        ],
        figure=_draw(config, least, points, labels),
    )


def _checked(config: ConfigDict) -> tuple[np.ndarray, float]:
    """The sets of labels [R, K], and the threshold of the strength.

    Raises:
        ConfigError: for fields out of range.
    """
    sets, k = config.sets, config.model.num_classes
    choose("config.sets.loss", sets.loss, LOSSES)
    binary = sets.loss == "bce"
    try:
        labels = sets_of(k, sets.per_set)
        average = sets.average_labels and not binary
        least = label_threshold(k, sets.per_set, average_labels=average)
    except ValueError as error:
        raise ConfigError(
            f"config.sets.per_set and config.model.num_classes = {k}: {error}"
        ) from error
    return labels, least / k if binary and sets.average_labels else least


def _theory(config: ConfigDict, strength: float) -> SetOptimum | None:
    """The closed form at a strength; None for the loss that has none."""
    sets, model = config.sets, config.model
    if sets.loss != "pick_all_label":
        return None
    given = model.num_classes, sets.per_set, *decays(strength, model.ratio, 1)
    return pick_all_label_optimum(*given, average_labels=sets.average_labels)


def _solve(
    config: ConfigDict, strengths: list[float], labels: np.ndarray
) -> list[Point]:
    """The optimum at each strength."""
    sets, model = config.sets, config.model
    pairs = [decays(x, model.ratio, 1) for x in strengths]
    problems = [
        label_sets(
            model.num_classes,
            sets.per_set,
            lambda_w=lambda_w,
            lambda_h=lambda_h,
            lambda_b=None if model.lambda_b == -1 else model.lambda_b,
            loss=sets.loss,
            average_labels=sets.average_labels,
        )
        for lambda_w, lambda_h in pairs
    ]
    found, gaps = solve_certified(problems)
    rows, features = (np.asarray(found.params[name]) for name in ("W", "H"))
    logits = features @ np.swapaxes(rows, 1, 2)
    return [
        Point(x, float(gap), float(value), z, w, h, _scales(z, labels))
        for x, gap, value, z, w, h in zip(
            strengths, gaps, found.objective, logits, rows, features, strict=True
        )
    ]


def _scales(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean logit of the labels of sets of each size minus that of the others [M]."""
    sizes, found = labels.sum(1), np.full(labels.sum(1).max(), np.nan)
    for m in np.unique(sizes[sizes < labels.shape[1]]):
        z, own = logits[sizes == m], labels[sizes == m]
        found[m - 1] = z[own].mean() - z[~own].mean()
    return found


def _of_theory(points: list[Point], theory: list[Any]) -> list[Statement]:
    """Statements on objective, lengths and classifier by the closed form."""
    value = np.array([p.objective - t.objective for p, t in zip(points, theory)])
    scales = np.array([p.scales - t.scales for p, t in zip(points, theory)])
    w = points[0].classifier
    return [
        no_error("objective", value, 1e-10),
        no_error("scales s_m of the logits", scales[np.isfinite(scales)], 1e-6),
        no_error("W W'", w @ w.T - theory[0].classifier_gram, 1e-7),
    ]


def _of_features(features: np.ndarray, labels: np.ndarray) -> list[Statement]:
    """Statements on directions, if features are not all one: the simplex, and sums.

    Features lose the mean of the sets of their size.  With P = I - 11'/K the cosine of
    two sets is that of P 1_S and P 1_T, and a set has the direction of its sum.
    """
    centred = _centred(features, labels)
    lengths = np.linalg.norm(centred, axis=1)
    proper = labels.sum(1) < labels.shape[1]
    if lengths[proper].min() <= _NOTHING:
        return []
    wanted = labels[proper] - labels[proper].mean(1, keepdims=True)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    units = centred[proper] / lengths[proper][:, None]
    found = [
        no_error("cosines of any two sets", units @ units.T - wanted @ wanted.T, 1e-7)
    ]
    sizes = labels.sum(1)
    if 1 not in sizes:
        return found
    sums = labels @ centred[sizes == 1]
    for m in np.unique(sizes[proper & (sizes > 1)]).tolist():
        own, of = centred[sizes == m], sums[sizes == m]
        scale = np.sum(own * of) / np.sum(of**2)
        text = (
            f"features of {m} labels against {scale:.4g} times the sum of single ones"
        )
        found.append(no_error(text, (own - scale * of) / np.abs(of).max(), 1e-6))
    return found


def _centred(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Features minus the mean of those of sets of the same size [R, d]."""
    sizes, found = labels.sum(1), features.copy()
    for m in np.unique(sizes):
        found[sizes == m] -= features[sizes == m].mean(0)
    return found


def _draw(
    config: ConfigDict, least: float, points: list[Point], labels: np.ndarray
) -> Figure:
    """Lengths of the logits over weight decay, and the Gram matrix of the sets."""
    from ncjax.ufm.run import figures  # matplotlib is loaded when used

    figure, axes = figures.panels((12.5, 4), 1, 3)
    solved = sorted(points, key=lambda point: point.strength)
    places = np.array([point.strength for point in solved])
    found = np.array([point.scales for point in solved])
    fine = np.geomspace(places[0], places[-1], 200)
    curves = [_theory(config, x) for x in fine.tolist()]
    known = np.array([curve.scales for curve in curves if curve is not None])
    for axis, title, of in (
        (axes[0], "Length s_m of the logits (line: theory)", lambda x: x),
        (axes[1], "s_m / s_1: sets in units of sums", _over_first),
    ):
        _lines(axis, places / least, of(found), "o")
        if len(known):
            _lines(axis, fine / least, of(known), "-")
        axis.set_xscale("log")
        figures.threshold(axis, 1.0, "")
        figures.panel(axis, title, "sqrt(lW lH) over its threshold (dotted)")
    features = _centred(points[0].features, labels)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    units = features / np.where(lengths > _NOTHING, lengths, np.inf)
    grams = [("Gram matrix of all sets, one label first", units @ units.T)]
    figures.gram_panels(figure, axes[2:], grams, centre=False)
    return figure


def _over_first(scales: np.ndarray) -> np.ndarray:
    """Scales in units of that of one label; NaN where there is nothing to compare."""
    first = scales[:, :1]
    return scales / np.where(first > _NOTHING, first, np.nan)


def _lines(axis: Any, places: np.ndarray, scales: np.ndarray, mark: str) -> None:
    """A line, or points with a label, for each number of labels."""
    from ncjax.style import COLORS

    for m, (values, color) in enumerate(zip(scales.T, COLORS, strict=False), 1):
        if np.isfinite(values).any():
            label = f"{m} label{'s' if m > 1 else ''}" if mark == "o" else None
            axis.plot(places, values, mark, ms=4, lw=1.2, color=color, label=label)


LABEL_SETS = Experiment(
    run,
    FIELDS,
    plain_model=False,
    uses=("num_classes", "c", "ratio", "lambda_b"),
)
