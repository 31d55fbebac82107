"""Regression: the classifier follows the root of the target covariance."""

from __future__ import annotations

import numpy as np
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.options import ConfigError
from ncjax.ufm.run.experiment import Experiment, Field, Progress
from ncjax.ufm.run.report import Report, at_most, equal, no_error, trajectory_rows
from ncjax.ufm.run.setting import decays, flow_of
from ncjax.ufm.theory.regression import best_gamma, nrc3, regression_optimum

FIELDS = {
    "regression.spectrum": Field((4.0, 1.0, 0.25), "eigenvalues of the covariance")
}


def run(config: ConfigDict, progress: Progress) -> Report:
    """W W' = sqrt(lH/lW) (Sigma^(1/2) - sqrt(lW lH) I)_+; the best gamma is lW lH.

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
    model = config.model
    lambda_w, lambda_h = decays(model.c, model.ratio, model.per_class)
    price = lambda_w * lambda_h
    problem = ufm.regression(covariance, lambda_w=lambda_w, lambda_h=lambda_h)
    theory = regression_optimum(covariance, lambda_w, lambda_h)
    progress("solve")
    solution = ufm.solve(problem, config.seed)
    certificate = ufm.certify(problem, solution.params)
    progress("flow")
    path = flow_of(config, problem)
    gram = solution.params["W"] @ solution.params["W"].T
    kept = np.linalg.eigvalsh(gram)
    statements = [
        at_most("duality gap", certificate.bounds.gap, 1e-9),
        equal("objective", solution.objective, theory.objective, 1e-10),
        no_error("W W'", gram - theory.classifier_gram, 1e-7),
        equal("directions kept", np.sum(kept > 1e-6 * kept[-1]), theory.rank, 0),
    ]
    # Proportional targets leave gamma free, and dropped directions bend the formula.
    if theory.rank == len(spectrum) and np.ptp(spectrum) > 0:
        gamma = best_gamma(gram, covariance)
        statements.append(equal("best gamma over lW lH", gamma / price, 1, 1e-4))
        statements.append(at_most("NRC3 at it", nrc3(gram, covariance, gamma), 1e-12))
    end = f"to t = {float(path.times[-1]):.4g}, gap {float(path.gap[-1]):.1e}"
    lower = float(certificate.bounds.lower)
    return Report(
        title=f"Regression: {len(spectrum)} targets, spectrum {spectrum.tolist()}, "
        f"lW lH = {price:g}",
        facts=[
            ("certificate", certificate.verdict),
            ("theory", theory.regime),
            ("flow", end),
        ],
        statements=statements,
        rows=trajectory_rows(path),
        figure=_draw(path, lower, (gram, theory.classifier_gram), covariance, price),
    )


def _draw(path, lower, grams, covariance, price):
    """The flow, NRC3 over gamma, and W W' beside the predicted one."""
    from ncjax.ufm.run import figures  # matplotlib is loaded when used

    figure, axes = figures.panels((12.5, 7.2), 2, 3)
    figures.flow_panels(axes[0], path, lower)
    axes[0, 2].clear()
    gammas = np.linspace(0, 3 * np.sqrt(price), 200) ** 2
    values = [nrc3(grams[0], covariance, g) for g in gammas.tolist()]
    axes[0, 2].semilogy(gammas / price, values)
    figures.threshold(axes[0, 2], 1.0, "lW lH")
    figures.panel(axes[0, 2], "NRC3 over gamma", "gamma / (lW lH)")
    pair = list(zip(("W W' found", "W W' predicted"), grams, strict=True))
    figures.gram_panels(figure, axes[1], pair, centre=False)
    return figure


REGRESSION = Experiment(
    run, FIELDS, plain_model=False, uses=("per_class", "c", "ratio")
)
