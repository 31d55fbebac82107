"""A classifier fixed to a simplex ETF: features t w_k, t from one equation."""

from __future__ import annotations

import numpy as np
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.options import ConfigError
from ncjax.ufm.run.experiment import Experiment, Progress
from ncjax.ufm.run.report import Report, at_most, equal, no_error
from ncjax.ufm.run.setting import setting_of
from ncjax.ufm.theory.cross_entropy import fixed_simplex_optimum

_KNOWN = {1e-3: 6.587322, 1e-2: 4.771150, 1e-1: 2.910005}  # lH N: t, for K = 10


def run(config: ConfigDict, progress: Progress) -> Report:
    """Features are t w_k for each price lH N in `config.grid`."""
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
    solved, theory = [], []
    for price in prices:
        decay = price / total
        decayed = problem.replace(lambda_h=np.asarray(decay))  # type: ignore[attr-defined]
        solved.append(ufm.solve_features(decayed, rows))
        theory.append(fixed_simplex_optimum(k, total, decay))
    features, value, norm = map(np.array, zip(*solved, strict=True))
    wanted_t, wanted_value = np.array(theory).T
    t = np.sum(features * rows, axis=2).mean(axis=1)
    nc2 = [ufm.geometry({"W": rows, "H": x}).nc2 for x in features]
    off = features - wanted_t[:, None, None] * rows
    published = [
        equal(f"published t at lH N = {price:g}", x, _KNOWN[round(price, 12)], 5e-7)
        for price, x in zip(prices, t, strict=True)
        if k == 10 and round(price, 12) in _KNOWN
    ]
    columns = zip(prices, t, wanted_t, value, strict=True)
    return Report(
        title=f"Fixed simplex classifier: cross-entropy, K = {k}, d = {rows.shape[1]}",
        facts=[("theory", "h_k = t w_k, K/(e^{tK/(K-1)} + K - 1) = lH N t")],
        statements=[
            at_most("gradient norm, largest", norm.max(), 1e-10),
            no_error("length t", t - wanted_t, 1e-8),
            no_error("features against t w_k", off, 1e-8),
            no_error("objective", value - wanted_value, 1e-10),
            *published,
            at_most("NC2 of the features, largest", max(nc2), 1e-9),
        ],
        rows=[
            {"price": price, "t": t, "theory": wanted, "objective": value}
            for price, t, wanted, value in columns
        ],
        figure=_draw(prices, t, total, features[-1], rows),
    )


def _draw(prices, t, total, last, rows):
    """Length of the features over the price, and Gram matrices."""
    from ncjax.style import BLUE, ORANGE  # matplotlib is loaded when used
    from ncjax.ufm.run import figures

    k = len(rows)
    figure, axes = figures.panels((11, 4), 1, 3)
    fine = np.geomspace(prices[0], prices[-1], 200).tolist()
    curve = [fixed_simplex_optimum(k, total, x / total)[0] for x in fine]
    axes[0].semilogx(fine, curve, color=ORANGE, label="theory")
    axes[0].plot(prices, t, "o", color=BLUE, label="solved")
    figures.panel(axes[0], "Length of the features", "lH N")
    grams = [("Class means", last @ last.T), ("Fixed classifier", rows @ rows.T)]
    figures.gram_panels(figure, axes[1:], grams)
    return figure


FIXED_CLASSIFIER = Experiment(
    run, uses=("loss", "num_classes", "per_class", "feature_dim")
)
