"""MSE over the decay of the bias: from simplex to orthogonal frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from ml_collections import ConfigDict

from ncjax.options import ConfigError
from ncjax.ufm.run.experiment import Experiment, Progress
from ncjax.ufm.run.report import Figure, Report, at_most, equal, no_error
from ncjax.ufm.run.setting import decays, setting_of, solve_certified
from ncjax.ufm.theory.squared_error import squared_error_optimum


def run(config: ConfigDict, progress: Progress) -> Report:
    """Simplex ETF up to the decay K c/(1 - K c), then a blend with orthogonal frames.

    The model is solved for every decay of the bias in `config.grid`; logits are
    u P + v 11'/K.
    """
    model = config.model
    if model.loss != "mse" or not config.grid:
        raise ConfigError("bias_phase needs config.model.loss = 'mse' and config.grid.")
    decay, k = sorted(float(x) for x in config.grid), model.num_classes
    strength = k * model.c
    if strength >= 1:
        raise ConfigError(
            f"K c = {strength:g} >= 1 has only the trivial solution; lower model.c."
        )
    place = strength / (1 - strength)
    progress("solve", problems=len(decay))
    problems = [setting_of(config, lambda_b=x).problem for x in decay]
    found, gap = solve_certified(problems)
    logits = found.params["H"] @ np.swapaxes(found.params["W"], 1, 2)
    v = logits.sum((1, 2)) / k
    u = (np.trace(logits, axis1=1, axis2=2) - v) / (k - 1)
    bias = found.params["b"].mean(1)
    gram = found.params["W"] @ np.swapaxes(found.params["W"], 1, 2)
    cosine = (gram[:, 0, 1] / gram[:, 0, 0]).ravel()
    value, wanted_v, wanted_b = _theory(config, decay)
    wrong = np.sum((v > 1e-6) != (np.array(decay) > place))
    columns = zip(decay, u, v, bias, gap, strict=True)
    return Report(
        title=f"MSE with a bias: K = {k}, n = {model.per_class}, c = {model.c:g}, "
        f"{len(decay)} decays",
        facts=[
            ("transition", f"lambda_b = K c/(1 - K c) = {place:.6g}"),
            ("below", "simplex ETF, b = 1/(K (1 + lambda_b))"),
            ("above", "towards the orthogonal frame, b = c/lambda_b"),
        ],
        statements=[
            at_most("duality gap, largest", gap.max(), 1e-9),
            no_error("objective", found.objective - value, 1e-9),
            no_error("v of the logits", v - wanted_v, 1e-5),
            no_error("u of the logits", np.ptp(np.append(u, 1 - strength)), 1e-6),
            no_error("bias", bias - wanted_b, 1e-6),
            equal("decays on the wrong side of the transition", wrong, 0, 0),
        ],
        rows=[
            {"lambda_b": x, "u": u, "v": v, "bias": bias, "gap": gap}
            for x, u, v, bias, gap in columns
        ],
        figure=_draw(config, decay, place, (v, bias, cosine)),
    )


def _theory(config: ConfigDict, decay: list[float]) -> np.ndarray:
    """Objective, v and entry of the bias in closed form, for B decays [3, B]."""
    model = config.model
    pair = decays(model.c, model.ratio, model.per_class)
    fixed = model.num_classes, model.per_class, *pair
    found = [squared_error_optimum(*fixed, x) for x in decay]
    rows = [(x.objective, x.logits.sum() / len(x.bias), x.bias[0]) for x in found]
    return np.array(rows).T


def _draw(config: ConfigDict, decay: list[float], place: float, found: Any) -> Figure:
    """Mean mode of the logits, bias, and cosine of classifier rows over the decay."""
    from ncjax.style import BLUE, GREY, ORANGE  # matplotlib is loaded when used
    from ncjax.ufm.run import figures

    v, bias, cosine = found
    figure, axes = figures.panels((12, 4), 1, 3)
    fine = np.geomspace(decay[0], decay[-1], 300).tolist()
    _, curve_v, curve_b = _theory(config, fine)
    for axis, title, dots, line in (
        (axes[0], "Mean mode v of the logits", v, curve_v),
        (axes[1], "Bias", bias, curve_b),
    ):
        axis.plot(fine, line, color=ORANGE, lw=1.4, label="theory")
        axis.plot(decay, dots, "o", ms=4, color=BLUE, label="solved")
        axis.set_xscale("log")
        figures.threshold(axis, place, "K c/(1 - K c)")
        figures.panel(axis, title, "decay of the bias")
    axes[2].plot(decay, cosine, "o-", ms=4, color=BLUE)
    for level, text, at, side in (
        (-1 / (config.model.num_classes - 1), "simplex ETF", -1, "right"),
        (0.0, "orthogonal frame", 0, "left"),
    ):
        axes[2].axhline(level, color=GREY, lw=1, ls="--")
        axes[2].text(decay[at], level, text, fontsize=8, va="bottom", ha=side)
    axes[2].set_xscale("log")
    figures.threshold(axes[2], place, "")
    figures.panel(axes[2], "Cosine of two classifier rows", "decay of the bias")
    return figure


BIAS_PHASE = Experiment(run)
