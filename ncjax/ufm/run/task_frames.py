"""Several tasks: frames at right angles, which correlated labels tilt."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.options import ConfigError
from ncjax.tasks import cross_cosines, task_rows, task_weights
from ncjax.ufm.run.experiment import Experiment, Field, Progress
from ncjax.ufm.run.report import Report, Statement, at_most, equal, no_error
from ncjax.ufm.run.setting import decays, solve_certified
from ncjax.ufm.theory.tasks import (
    binary_pair_optimum,
    independent_optimum,
    limit_cosine,
    paired_counts,
)

FIELDS = {
    "tasks.classes": Field((10, 10), "number of classes of each task"),
    "tasks.weights": Field((), "weight of each task in the loss; (): 1 each"),
    "tasks.correlations": Field(
        (0.0, 0.25, 0.5, 0.75),
        "chances that both of two tasks get the same label; 0: independent ones",
    ),
}


def run(config: ConfigDict, progress: Progress) -> Report:
    """Optima of several tasks, certified, over the correlation of their labels.

    Independent labels: a simplex for each task, at right angles to the others, and
    features that are sums.  Two binary tasks: closed form at any correlation.  There
    are `model.per_class` samples of each combination of labels on average, N in all.
    """
    sizes, weights, correlations = _asked(config)
    model = config.model
    number = math.prod(sizes)
    samples = number * float(model.per_class)
    lambda_w, lambda_h = decays(model.c, model.ratio, model.per_class)
    given = {"lambda_w": lambda_w, "lambda_h": lambda_h}
    # All combinations have samples, so that the problems have one structure.
    tables = [
        paired_counts(sizes[0], rho, samples)
        if rho
        else np.full(sizes, samples / number)
        for rho in correlations
    ]
    progress("solve", problems=len(tables))
    found, gaps = solve_certified(
        [ufm.tasks(table, task_weights=weights, **given) for table in tables]
    )
    statements, rows = [at_most("duality gap, largest", gaps.max(), 1e-9)], []
    for index, (rho, gap) in enumerate(zip(correlations, gaps, strict=True)):
        value = float(found.objective[index])
        w, h = (np.asarray(found.params[name][index]) for name in ("W", "H"))
        text, theory = f"correlation {rho:g}", None
        if rho == 0:
            theory = independent_optimum(sizes, samples, weights=weights, **given)
            statements += _independent(w, h, sizes)
        elif sizes == (2, 2) and weights[0] == weights[1]:
            theory = binary_pair_optimum(rho, samples, weight=weights[0], **given)
        if theory is not None:
            off = w @ w.T - theory.classifier_gram
            statements.append(
                equal(f"objective, {text}", value, theory.objective, 1e-10)
            )
            statements.append(no_error(f"W W', {text}", off, 1e-7))
        rows.append(
            {
                "correlation": rho,
                "cosine": _same_class(w, sizes),
                "not_sum": not_sum(h, tables[index]),
                "objective": value,
                "gap": float(gap),
            }
        )
    bounds = [w / math.sqrt(number * k) for k, w in zip(sizes, weights, strict=True)]
    return Report(
        title=f"Tasks of {' + '.join(map(str, sizes))} classes, c = {model.c:g}, "
        f"{len(tables)} correlations",
        facts=[
            ("a task vanishes", f"at c = {', '.join(f'{c:.4g}' for c in bounds)}"),
            ("cosines of W", _listed(rows, "cosine")),
            ("no sums", _listed(rows, "not_sum")),
        ],
        statements=statements,
        rows=rows,
        figure=_draw(rows, found.params["W"], sizes, weights, (samples, given)),
    )


def _asked(config: ConfigDict) -> tuple[tuple, tuple, tuple]:
    """Sizes and weights of the tasks, and the correlations, in their order.

    Raises:
        ConfigError: for values out of range, or that do not fit each other.
    """
    about = config.tasks
    sizes, given = tuple(about.classes), tuple(about.correlations)
    if not sizes or not all(isinstance(k, int) and k >= 2 for k in sizes):
        raise ConfigError(
            "config.tasks.classes must hold whole numbers of at least 2, one for each "
            f"task, got {sizes}."
        )
    if not given or not all(0 <= rho < 1 for rho in given):
        raise ConfigError(
            f"config.tasks.correlations must hold numbers in [0, 1), got {given}."
        )
    if any(given) and (len(sizes) != 2 or sizes[0] != sizes[1]):
        raise ConfigError(
            "Labels are correlated between two tasks of equally many classes, and "
            f"config.tasks.classes = {sizes}. Set config.tasks.correlations to (0.0,)."
        )
    try:
        weights = task_weights(tuple(about.weights), len(sizes))
    except ValueError as error:
        raise ConfigError(f"config.tasks.weights: {error}") from error
    return sizes, weights, tuple(sorted(map(float, given)))


def _independent(w: np.ndarray, h: np.ndarray, sizes: tuple) -> list[Statement]:
    """Right angles between the tasks, and features that are sums."""
    rows = [np.asarray(x, float) for x in task_rows(w, sizes)]
    size = max(float(np.linalg.norm(x)) for x in rows)
    if size < 1e-6:  # all tasks have vanished
        return []
    crossed = [x @ y.T for i, x in enumerate(rows) for y in rows[i + 1 :]]
    off = np.concatenate([x.ravel() for x in crossed] or [np.zeros(1)])
    rank = np.linalg.matrix_rank(w @ w.T, tol=1e-6 * size**2, hermitian=True)
    kept = sum(len(x) - 1 for x in rows if np.linalg.norm(x) > 1e-6)
    return [
        no_error("W_s W_t' of two tasks, over |W|^2", off / size**2, 1e-8),
        equal("rank of W, the sum of K_t - 1", rank, kept, 0),
        at_most(
            "variance of features that is no sum", not_sum(h, np.ones(sizes)), 1e-10
        ),
    ]


def not_sum(features: np.ndarray, counts: np.ndarray) -> float:
    """Share of the features' variance that no sum over the tasks has; NaN of nothing.

    Args:
        features: one feature for each combination of labels that occurs [P, d].
        counts: number of samples of each combination [K_1, ..., K_T].
    """
    labels = np.argwhere(counts)
    hot = [np.eye(k)[labels[:, t]] for t, k in enumerate(counts.shape)]
    share = counts[counts > 0] / counts.sum()
    root = np.sqrt(share)[:, None]
    centred = root * (features - share @ features)
    table = root * np.concatenate(hot, axis=1)
    nearest = table @ np.linalg.lstsq(table, centred, rcond=None)[0]
    size = np.sum(centred**2)
    return float(np.sum((centred - nearest) ** 2) / size) if size > 1e-12 else math.nan


def _same_class(w: np.ndarray, sizes: tuple) -> float:
    """Mean cosine between the rows of class k of the first two tasks."""
    if len(sizes) < 2:
        return math.nan
    with np.errstate(invalid="ignore"):
        cosines = cross_cosines(*task_rows(w, sizes)[:2])
    return float(np.mean(np.diag(cosines)))


def _listed(rows: list[dict[str, Any]], key: str) -> str:
    return ", ".join(f"{row['correlation']:g}: {row[key]:.3g}" for row in rows)


def _draw(rows, w, sizes, weights, setting):
    """Cosines over the correlation, and W W' at its first and last value."""
    from ncjax.style import BLUE, GREY, ORANGE  # matplotlib is loaded when used
    from ncjax.ufm.run import figures

    figure, axes = figures.panels((13, 4), 1, 3, width_ratios=(1.2, 1, 1))
    places = [row["correlation"] for row in rows]
    fine = np.linspace(0, max(max(places), 0.5), 200).tolist()
    if sizes == (2, 2) and weights[0] == weights[1]:
        samples, given = setting
        curve = [
            binary_pair_optimum(rho, samples, weight=weights[0], **given).cosine
            for rho in fine
        ]
        axes[0].plot(fine, curve, color=ORANGE, lw=1.4, label="closed form")
    limit = [limit_cosine(rho) for rho in fine]
    axes[0].plot(fine, limit, color=GREY, lw=1.4, ls="--", label="decay to 0")
    found = [row["cosine"] for row in rows]
    axes[0].plot(places, found, "o", ms=5, color=BLUE, label="solved")
    figures.panel(axes[0], "Cosine of W, one class of two tasks", "correlation")
    grams = [
        (f"W W', correlation {places[i]:g}", np.asarray(w[i] @ w[i].T))
        for i in ((0, -1) if len(places) > 1 else (0,))
    ]
    figures.gram_panels(figure, axes[1:], grams, centre=False)
    return figure


TASK_FRAMES = Experiment(
    run, FIELDS, plain_model=False, uses=("per_class", "c", "ratio")
)
