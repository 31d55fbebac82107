"""MSE over the decay of the bias: from simplex to orthogonal frame."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from ncjax.options import ConfigError
from ncjax.ufm.run.experiment import Experiment, Progress
from ncjax.ufm.run.grid import solve_certified
from ncjax.ufm.run.report import Figure, Findings, at_most, equal
from ncjax.ufm.run.setting import decays, setting_of
from ncjax.ufm.theory.class_optimum import ClassOptimum
from ncjax.ufm.theory.squared_error import squared_error_optimum


class Found(NamedTuple):
    """Everything computed, for B decays of the bias; logits are u P + v 11'/K."""

    config: ConfigDict
    decay: list[float]  # [B], ascending
    u: np.ndarray  # [B]
    v: np.ndarray  # [B]
    bias: np.ndarray  # [B] mean entry of b
    cosine: np.ndarray  # [B] between two classifier rows
    objective: np.ndarray  # [B]
    gap: np.ndarray  # [B] duality gap
    theory: list[ClassOptimum]  # [B]

    @property
    def threshold(self) -> float:
        """The decay at which theory puts the transition, K c/(1 - K c)."""
        strength = self.config.model.num_classes * self.config.model.c
        return strength / (1 - strength)


def solve(config: ConfigDict, progress: Progress) -> Found:
    """Solves the model for every decay of the bias in `config.grid`."""
    model = config.model
    if model.loss != "mse" or not config.grid:
        raise ConfigError("bias_phase needs config.model.loss = 'mse' and config.grid.")
    decay, k = sorted(float(x) for x in config.grid), model.num_classes
    if k * model.c >= 1:
        raise ConfigError(
            f"K c = {k * model.c:g} >= 1 has only the trivial solution; lower model.c."
        )
    progress("solve", problems=len(decay))
    problems = [setting_of(config, lambda_b=x).problem for x in decay]
    found, gap = solve_certified(problems)
    logits = found.params["H"] @ np.swapaxes(found.params["W"], 1, 2)
    v = logits.sum((1, 2)) / k
    gram = found.params["W"] @ np.swapaxes(found.params["W"], 1, 2)
    return Found(
        config=config,
        decay=decay,
        u=(np.trace(logits, axis1=1, axis2=2) - v) / (k - 1),
        v=v,
        bias=found.params["b"].mean(1),
        cosine=(gram[:, 0, 1] / gram[:, 0, 0]).ravel(),
        objective=np.asarray(found.objective),
        gap=gap,
        theory=_theory(config, decay),
    )


def _theory(config: ConfigDict, decay: list[float]) -> list[ClassOptimum]:
    """The optimum in closed form for every decay of the bias."""
    model = config.model
    pair = decays(model.c, model.ratio, model.per_class)
    fixed = model.num_classes, model.per_class, *pair
    return [squared_error_optimum(*fixed, x) for x in decay]


def state(found: Found) -> Findings:
    """Simplex ETF up to K c/(1 - K c), then a blend with the orthogonal frame."""
    model, place = found.config.model, found.threshold
    k, decay = model.num_classes, found.decay
    value = np.array([x.objective for x in found.theory])
    wanted_v = np.array([x.logits.sum() / k for x in found.theory])
    wanted_b = np.array([x.bias[0] for x in found.theory])
    wrong = np.sum((found.v > 1e-6) != (np.array(decay) > place))

    def error(name: str, difference: Any, bound: float):
        return at_most(f"{name}, largest error", np.abs(difference).max(), bound)

    statements = [
        at_most("duality gap, largest", found.gap.max(), 1e-9),
        error("objective", found.objective - value, 1e-9),
        error("v of the logits", found.v - wanted_v, 1e-5),
        error("u of the logits", np.ptp(np.append(found.u, 1 - k * model.c)), 1e-6),
        error("bias", found.bias - wanted_b, 1e-6),
        equal("decays on the wrong side of the transition", wrong, 0, 0),
    ]
    facts = [
        ("transition", f"lambda_b = K c/(1 - K c) = {place:.6g}"),
        ("below", "simplex ETF, b = 1/(K (1 + lambda_b))"),
        ("above", "towards the orthogonal frame, b = c/lambda_b"),
    ]
    columns = zip(decay, found.u, found.v, found.bias, found.gap, strict=True)
    return Findings(
        title=f"MSE with a bias: K = {k}, n = {model.per_class}, c = {model.c:g}, "
        f"{len(decay)} decays",
        facts=facts,
        statements=statements,
        rows=[
            {"lambda_b": x, "u": u, "v": v, "bias": bias, "gap": gap}
            for x, u, v, bias, gap in columns
        ],
    )


def draw(found: Found) -> Figure:
    """Mean mode of the logits, bias, and cosine of classifier rows over the decay."""
    from ncjax.style import BLUE, GREY, ORANGE  # matplotlib is loaded when used
    from ncjax.ufm.run import figures

    k, decay = found.config.model.num_classes, found.decay
    figure = figures.canvas((12, 4))
    axes = figure.subplots(1, 3)
    fine = np.geomspace(decay[0], decay[-1], 300).tolist()
    curve = _theory(found.config, fine)
    for axis, title, dots, line in (
        (
            *(axes[0], "Mean mode v of the logits", found.v),
            [x.logits.sum() / k for x in curve],
        ),
        (axes[1], "Bias", found.bias, [x.bias[0] for x in curve]),
    ):
        axis.plot(fine, line, color=ORANGE, lw=1.4, label="theory")
        axis.plot(decay, dots, "o", ms=4, color=BLUE, label="solved")
        axis.set_xscale("log")
        figures.threshold(axis, found.threshold, "K c/(1 - K c)")
        figures.panel(axis, title, "decay of the bias")
    axes[2].plot(decay, found.cosine, "o-", ms=4, color=BLUE)
    for level, text, at, side in (
        (-1 / (k - 1), "simplex ETF", -1, "right"),
        (0.0, "orthogonal frame", 0, "left"),
    ):
        axes[2].axhline(level, color=GREY, lw=1, ls="--")
        axes[2].text(decay[at], level, text, fontsize=8, va="bottom", ha=side)
    axes[2].set_xscale("log")
    figures.threshold(axes[2], found.threshold, "")
    figures.panel(axes[2], "Cosine of two classifier rows", "decay of the bias")
    return figure


BIAS_PHASE = Experiment(solve, state, draw)
