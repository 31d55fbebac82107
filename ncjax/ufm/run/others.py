"""Regression, and a classifier that is fixed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.config import ConfigError
from ncjax.ufm.run import figures
from ncjax.ufm.run.report import Report, at_most, equal, trajectory_rows
from ncjax.ufm.run.settings import decays, problem_of
from ncjax.ufm.theory.cross_entropy import fixed_simplex_optimum
from ncjax.ufm.theory.regression import best_gamma, nrc3, regression_optimum


def regression(config: ConfigDict, progress: Callable) -> Report:
    """W W' = sqrt(lH/lW) (Sigma^(1/2) - sqrt(lW lH) I)_+; best gamma is lW lH.

    The covariance has the spectrum `config.regression.spectrum` in a random basis;
    lW lH = c^2.
    """
    spectrum = np.asarray(config.regression.spectrum, float)
    if spectrum.ndim != 1 or len(spectrum) < 2 or np.any(spectrum <= 0):
        raise ConfigError(
            "config.regression.spectrum must hold at least 2 positive numbers, got "
            f"{config.regression.spectrum}."
        )
    rng = np.random.default_rng(config.seed)
    turn, _ = np.linalg.qr(rng.standard_normal((len(spectrum),) * 2))
    covariance = (turn * spectrum) @ turn.T
    lambda_w, lambda_h = decays(config)
    problem = ufm.regression(covariance, lambda_w=lambda_w, lambda_h=lambda_h)
    theory = regression_optimum(covariance, lambda_w, lambda_h)
    progress("solve")
    solution = ufm.solve(problem, config.seed)
    certificate = ufm.certify(problem, solution.params)
    gram = solution.params["W"] @ solution.params["W"].T
    progress("flow")
    path = ufm.flow(
        problem,
        ufm.small_start(problem, config.seed, config.flow.scale),
        t_max=config.flow.t_max,
        points=config.flow.points,
        stop_gap=config.flow.stop_gap,
    )
    off = np.abs(gram - theory.classifier_gram).max()
    kept = np.linalg.eigvalsh(gram)
    statements = [
        at_most("duality gap", certificate.bounds.gap, 1e-9),
        equal("objective", solution.objective, theory.objective, 1e-10),
        at_most("W W', largest error", off, 1e-7),
        equal("directions kept", np.sum(kept > 1e-6 * kept[-1]), theory.rank, 0),
    ]
    facts = [
        ("certificate", certificate.verdict),
        ("theory", theory.regime),
        ("flow", f"to t = {float(path.times[-1]):.4g}, gap {float(path.gap[-1]):.1e}"),
    ]
    price = lambda_w * lambda_h
    if theory.rank == len(spectrum) and np.ptp(spectrum) > 0:
        gamma = best_gamma(gram, covariance)
        statements.append(equal("best gamma over lW lH", gamma / price, 1, 1e-4))
        statements.append(at_most("NRC3 at it", nrc3(gram, covariance, gamma), 1e-12))
    figure = Figure(figsize=(12.5, 7.2), layout="constrained")
    axes = figure.subplots(2, 3)
    figures.flow_panels(axes[0], path, float(certificate.bounds.lower))
    axes[0, 2].clear()
    gammas = np.linspace(0, 3 * np.sqrt(price), 200) ** 2
    axes[0, 2].semilogy(
        gammas / price, [nrc3(gram, covariance, g) for g in gammas.tolist()]
    )
    figures.threshold(axes[0, 2], 1.0, "lW lH")
    figures.decorate(axes[0, 2], "NRC3 over gamma", "gamma / (lW lH)", legend=False)
    names = [str(i) for i in range(len(spectrum))]
    pair = [("W W' found", gram), ("W W' predicted", theory.classifier_gram)]
    figures.gram_panels(figure, axes[1], pair, names, centre=False)
    title = (
        f"Regression: {len(spectrum)} targets, spectrum {spectrum.tolist()}, "
        f"lW lH = {price:g}"
    )
    return Report(title, facts, statements, trajectory_rows(path), figure)


def fixed_etf(config: ConfigDict, progress: Callable) -> Report:
    """W fixed to a simplex ETF of unit rows: features t w_k, t from one equation.

    `config.grid` holds lH N.
    """
    model = config.model
    if model.loss != "cross_entropy" or not config.grid:
        raise ConfigError("fixed_etf needs cross_entropy and config.grid, of lH N.")
    k, prices = model.num_classes, sorted(float(x) for x in config.grid)
    problem = problem_of(config)
    try:
        rows = ufm.simplex_rows(k, problem.feature_dim)
    except ValueError as error:
        raise ConfigError(f"config.model: {error}") from error
    total, lines, errors, solutions = k * model.per_class, [], [], []
    progress("solve", problems=len(prices))
    for price in prices:
        decayed = problem.replace(lambda_h=np.asarray(price / total))  # type: ignore
        features, value, norm = ufm.solve_features(decayed, rows)
        t, objective = fixed_simplex_optimum(k, total, price / total)
        solutions.append(np.asarray(features))
        found = float(np.mean(np.sum(features * rows, axis=1)))
        errors.append(
            (
                abs(found - t),
                np.abs(features - t * rows).max(),
                abs(float(value) - objective),
                float(norm),
                float(ufm.geometry({"W": rows, "H": np.asarray(features)}).nc2),
            )
        )
        lines.append(
            {"price": price, "t": found, "theory": t, "objective": float(value)}
        )
    worst, last = np.max(errors, axis=0), solutions[-1]
    statements = [
        at_most("gradient norm, largest", worst[3], 1e-10),
        at_most("length t, largest error", worst[0], 1e-8),
        at_most("features against t w_k, largest error", worst[1], 1e-8),
        at_most("objective, largest error", worst[2], 1e-10),
    ]
    known = {1e-3: 6.587322, 1e-2: 4.771150, 1e-1: 2.910005}  # K = 10
    for line in lines:
        if k == 10 and (value := known.get(round(line["price"], 12))):
            text = f"published t at lH N = {line['price']:g}"
            statements.append(equal(text, line["t"], value, 5e-7))
    statements.append(at_most("NC2 of the features, largest", worst[4], 1e-9))
    figure = Figure(figsize=(11, 4), layout="constrained")
    axes = figure.subplots(1, 3)
    fine = np.geomspace(prices[0], prices[-1], 200).tolist()
    curve = [fixed_simplex_optimum(k, total, x / total)[0] for x in fine]
    axes[0].semilogx(fine, curve, color=figures.ORANGE, label="theory")
    axes[0].plot(
        prices, [x["t"] for x in lines], "o", color=figures.BLUE, label="solved"
    )
    figures.decorate(axes[0], "Length of the features", "lH N")
    grams = [
        ("Class means", last @ last.T),
        ("Fixed classifier", rows @ rows.T),
    ]
    figures.gram_panels(figure, axes[1:], grams, [str(i) for i in range(k)])
    facts = [("theory", "h_k = t w_k, K/(e^{tK/(K-1)} + K - 1) = lH N t")]
    title = (
        f"Fixed simplex classifier: cross-entropy, K = {k}, d = {problem.feature_dim}"
    )
    return Report(title, facts, statements, lines, figure)
