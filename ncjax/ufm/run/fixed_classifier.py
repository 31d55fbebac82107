"""A classifier fixed to a simplex ETF: features t w_k, t from one equation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.options import ConfigError
from ncjax.ufm.run.experiment import Experiment, Progress
from ncjax.ufm.run.report import Figure, Findings, at_most, equal
from ncjax.ufm.run.setting import setting_of
from ncjax.ufm.theory.cross_entropy import fixed_simplex_optimum

_KNOWN = {1e-3: 6.587322, 1e-2: 4.771150, 1e-1: 2.910005}  # lH N: t, for K = 10


class Solved(NamedTuple):
    """The solution for one price lH N."""

    price: float
    features: np.ndarray  # H [K, d]
    length: float  # t found
    predicted: float  # t of the equation
    objective: float
    objective_error: float
    feature_error: float  # largest difference from t w_k
    gradient_norm: float
    nc2: float


class Found(NamedTuple):
    """Everything computed."""

    rows: np.ndarray  # W [K, d]
    total: int  # N, samples of all classes
    solved: list[Solved]  # by price, ascending


def solve(config: ConfigDict, progress: Progress) -> Found:
    """Solves the features for each price lH N in `config.grid`."""
    model = config.model
    if model.loss != "cross_entropy" or not config.grid:
        raise ConfigError("fixed_etf needs cross_entropy and config.grid, of lH N.")
    k, prices = model.num_classes, sorted(float(x) for x in config.grid)
    problem = setting_of(config).problem
    try:
        rows = ufm.simplex_rows(k, problem.feature_dim)
    except ValueError as error:
        raise ConfigError(f"config.model: {error}") from error
    total = k * model.per_class
    progress("solve", problems=len(prices))
    solved = [_solved(problem, rows, total, price) for price in prices]
    return Found(rows, total, solved)


def _solved(problem: ufm.Problem, rows: np.ndarray, total: int, price: float) -> Solved:
    decayed = problem.replace(lambda_h=np.asarray(price / total))  # type: ignore[attr-defined]
    features, value, norm = ufm.solve_features(decayed, rows)
    t, objective = fixed_simplex_optimum(problem.num_classes, total, price / total)
    features = np.asarray(features)
    return Solved(
        price=price,
        features=features,
        length=float(np.mean(np.sum(features * rows, axis=1))),
        predicted=t,
        objective=float(value),
        objective_error=abs(float(value) - objective),
        feature_error=float(np.abs(features - t * rows).max()),
        gradient_norm=float(norm),
        nc2=float(ufm.geometry({"W": rows, "H": features}).nc2),
    )


def state(found: Found) -> Findings:
    """Features are t w_k, with t from one scalar equation."""
    (k, width), solved = found.rows.shape, found.solved

    def worst(name: str, values: list[float], bound: float):
        return at_most(f"{name}, largest error", max(values), bound)

    norm, nc2 = max(x.gradient_norm for x in solved), max(x.nc2 for x in solved)
    statements = [
        at_most("gradient norm, largest", norm, 1e-10),
        worst("length t", [abs(x.length - x.predicted) for x in solved], 1e-8),
        worst("features against t w_k", [x.feature_error for x in solved], 1e-8),
        worst("objective", [x.objective_error for x in solved], 1e-10),
    ]
    for x in solved:
        if k == 10 and (value := _KNOWN.get(round(x.price, 12))):
            text = f"published t at lH N = {x.price:g}"
            statements.append(equal(text, x.length, value, 5e-7))
    statements.append(at_most("NC2 of the features, largest", nc2, 1e-9))
    rows = [
        {
            "price": x.price,
            "t": x.length,
            "theory": x.predicted,
            "objective": x.objective,
        }
        for x in solved
    ]
    return Findings(
        title=f"Fixed simplex classifier: cross-entropy, K = {k}, d = {width}",
        facts=[("theory", "h_k = t w_k, K/(e^{tK/(K-1)} + K - 1) = lH N t")],
        statements=statements,
        rows=rows,
    )


def draw(found: Found) -> Figure:
    """Length of the features over the price, and Gram matrices."""
    from ncjax.style import BLUE, ORANGE  # matplotlib is loaded when used
    from ncjax.ufm.run import figures

    k, solved = len(found.rows), found.solved
    prices, last = [x.price for x in solved], solved[-1].features
    figure = figures.canvas((11, 4))
    axes = figure.subplots(1, 3)
    fine = np.geomspace(prices[0], prices[-1], 200).tolist()
    curve = [fixed_simplex_optimum(k, found.total, x / found.total)[0] for x in fine]
    axes[0].semilogx(fine, curve, color=ORANGE, label="theory")
    axes[0].plot(prices, [x.length for x in solved], "o", color=BLUE, label="solved")
    figures.panel(axes[0], "Length of the features", "lH N")
    grams = [
        ("Class means", last @ last.T),
        ("Fixed classifier", found.rows @ found.rows.T),
    ]
    figures.gram_panels(figure, axes[1:], grams, [str(i) for i in range(k)])
    return figure


FIXED_CLASSIFIER = Experiment(solve, state, draw)
