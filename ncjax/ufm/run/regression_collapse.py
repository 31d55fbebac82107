"""Regression: the classifier follows the root of the target covariance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.options import ConfigError
from ncjax.ufm.run.experiment import Experiment, Field, Progress
from ncjax.ufm.run.report import Figure, Findings, at_most, equal, trajectory_rows
from ncjax.ufm.run.setting import decays
from ncjax.ufm.theory.regression import (
    RegressionOptimum,
    best_gamma,
    nrc3,
    regression_optimum,
)

FIELDS = {
    "regression.spectrum": Field(
        (4.0, 1.0, 0.25), "eigenvalues of the target covariance"
    ),
}


class Found(NamedTuple):
    """Everything computed; t targets."""

    spectrum: np.ndarray  # [t] eigenvalues of the target covariance
    covariance: np.ndarray  # [t, t] of the targets
    price: float  # lW lH
    theory: RegressionOptimum
    solution: ufm.Solution
    certificate: ufm.Certificate
    path: ufm.Trajectory

    @property
    def gram(self) -> np.ndarray:
        """W W' [t, t] of the solution."""
        return self.solution.params["W"] @ self.solution.params["W"].T


def solve(config: ConfigDict, progress: Progress) -> Found:
    """Solves the model, and flows to its optimum.

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
    problem = ufm.regression(covariance, lambda_w=lambda_w, lambda_h=lambda_h)
    progress("solve")
    solution = ufm.solve(problem, config.seed)
    progress("flow")
    path = ufm.flow(
        problem,
        ufm.small_start(problem, config.seed, config.flow.scale),
        t_max=config.flow.t_max,
        points=config.flow.points,
        stop_gap=config.flow.stop_gap,
    )
    return Found(
        spectrum=spectrum,
        covariance=covariance,
        price=lambda_w * lambda_h,
        theory=regression_optimum(covariance, lambda_w, lambda_h),
        solution=solution,
        certificate=ufm.certify(problem, solution.params),
        path=path,
    )


def state(found: Found) -> Findings:
    """W W' = sqrt(lH/lW) (Sigma^(1/2) - sqrt(lW lH) I)_+; the best gamma is lW lH."""
    theory, solution, path, gram = found.theory, found.solution, found.path, found.gram
    off = np.abs(gram - theory.classifier_gram).max()
    kept = np.linalg.eigvalsh(gram)
    statements = [
        at_most("duality gap", found.certificate.bounds.gap, 1e-9),
        equal("objective", solution.objective, theory.objective, 1e-10),
        at_most("W W', largest error", off, 1e-7),
        equal("directions kept", np.sum(kept > 1e-6 * kept[-1]), theory.rank, 0),
    ]
    # Proportional targets leave gamma free, and dropped directions bend the formula.
    if theory.rank == len(found.spectrum) and np.ptp(found.spectrum) > 0:
        gamma = best_gamma(gram, found.covariance)
        least = nrc3(gram, found.covariance, gamma)
        statements.append(equal("best gamma over lW lH", gamma / found.price, 1, 1e-4))
        statements.append(at_most("NRC3 at it", least, 1e-12))
    facts = [
        ("certificate", found.certificate.verdict),
        ("theory", theory.regime),
        ("flow", f"to t = {float(path.times[-1]):.4g}, gap {float(path.gap[-1]):.1e}"),
    ]
    spectrum = found.spectrum.tolist()
    return Findings(
        title=f"Regression: {len(spectrum)} targets, spectrum {spectrum}, "
        f"lW lH = {found.price:g}",
        facts=facts,
        statements=statements,
        rows=trajectory_rows(path),
    )


def draw(found: Found) -> Figure:
    """The flow, NRC3 over gamma, and W W' beside the predicted one."""
    from ncjax.ufm.run import figures  # matplotlib is loaded when used

    figure = figures.canvas((12.5, 7.2))
    axes = figure.subplots(2, 3)
    figures.flow_panels(axes[0], found.path, float(found.certificate.bounds.lower))
    axes[0, 2].clear()
    gammas = np.linspace(0, 3 * np.sqrt(found.price), 200) ** 2
    values = [nrc3(found.gram, found.covariance, g) for g in gammas.tolist()]
    axes[0, 2].semilogy(gammas / found.price, values)
    figures.threshold(axes[0, 2], 1.0, "lW lH")
    figures.panel(axes[0, 2], "NRC3 over gamma", "gamma / (lW lH)")
    pair = [
        ("W W' found", found.gram),
        ("W W' predicted", found.theory.classifier_gram),
    ]
    names = [str(i) for i in range(len(found.spectrum))]
    figures.gram_panels(figure, axes[1], pair, names, centre=False)
    return figure


REGRESSION = Experiment(solve, state, draw, FIELDS, plain_model=False)
