"""Transitions: from simplex to orthogonal frame, and where small classes merge."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.config import ConfigError
from ncjax.ufm.run import figures
from ncjax.ufm.run.report import Report, at_most, equal
from ncjax.ufm.run.settings import decays, problem_of
from ncjax.ufm.theory.minority import ridge_threshold
from ncjax.ufm.theory.squared_error import squared_error_optimum

# Logits told apart at the threshold n_B = N^2 lW lH; theory, K = 5 + 5, n = 500 / 100.
_CONTRASTS = {0.0030: 0.6682, 0.0033: 0.0820, 0.0034: 0.0}


def solved_many(problems):
    """Solutions, and the largest duality gap."""
    found = ufm.solve_many(problems)
    stacked = ufm.stack(problems)
    with jax.enable_x64(True):
        gaps = jax.vmap(lambda p, x: ufm.bounds(p, x).gap)(stacked, found.params)
    return found, np.asarray(gaps)


def bias_phase(config: ConfigDict, progress: Callable) -> Report:
    """MSE over the decay of the bias: simplex ETF up to K c/(1 - K c), then a blend.

    `config.grid` holds the decays; the logits are u P + v 11'/K.
    """
    model = config.model
    if model.loss != "mse" or not config.grid:
        raise ConfigError("bias_phase needs config.model.loss = 'mse' and config.grid.")
    decay = sorted(float(x) for x in config.grid)
    lambda_w, lambda_h = decays(config)
    k, n = model.num_classes, model.per_class
    if k * model.c >= 1:
        raise ConfigError(
            f"K c = {k * model.c:g} >= 1 has only the trivial solution; lower model.c."
        )
    progress("solve", problems=len(decay))
    problems = [problem_of(config, lambda_b=x) for x in decay]
    found, gaps = solved_many(problems)
    theory = [squared_error_optimum(k, n, lambda_w, lambda_h, x) for x in decay]
    logits = found.params["H"] @ np.swapaxes(found.params["W"], 1, 2)
    v = logits.sum((1, 2)) / k
    u = (np.trace(logits, axis1=1, axis2=2) - v) / (k - 1)
    bias = found.params["b"].mean(1)
    wanted_v = np.array([t.logits.sum() / k for t in theory])
    wanted_b = np.array([t.bias[0] for t in theory])
    value = np.array([t.objective for t in theory])
    place = k * model.c / (1 - k * model.c)
    wrong = np.sum((v > 1e-6) != (np.array(decay) > place))
    statements = [
        at_most("duality gap, largest", gaps.max(), 1e-9),
        at_most(
            "objective, largest error", np.abs(found.objective - value).max(), 1e-9
        ),
        at_most("v of the logits, largest error", np.abs(v - wanted_v).max(), 1e-5),
        at_most(
            "u of the logits, largest error",
            np.ptp(np.append(u, 1 - k * model.c)),
            1e-6,
        ),
        at_most("bias, largest error", np.abs(bias - wanted_b).max(), 1e-6),
        equal("decays on the wrong side of the transition", wrong, 0, 0),
    ]
    facts = [
        ("transition", f"lambda_b = K c/(1 - K c) = {place:.6g}"),
        ("below", "simplex ETF, b = 1/(K (1 + lambda_b))"),
        ("above", "towards the orthogonal frame, b = c/lambda_b"),
    ]
    rows = [
        {"lambda_b": a, "u": b, "v": c, "bias": d, "gap": e}
        for a, b, c, d, e in zip(decay, u, v, bias, gaps, strict=True)
    ]
    figure = Figure(figsize=(12, 4), layout="constrained")
    axes = figure.subplots(1, 3)
    fine = np.geomspace(decay[0], decay[-1], 300).tolist()
    curve = [squared_error_optimum(k, n, lambda_w, lambda_h, x) for x in fine]
    for axis, title, dots, line in (
        (axes[0], "Mean mode v of the logits", v, [t.logits.sum() / k for t in curve]),
        (axes[1], "Bias", bias, [t.bias[0] for t in curve]),
    ):
        axis.plot(fine, line, color=figures.ORANGE, lw=1.4, label="theory")
        axis.plot(decay, dots, "o", ms=4, color=figures.BLUE, label="solved")
        axis.set_xscale("log")
        figures.threshold(axis, place, "K c/(1 - K c)")
        figures.decorate(axis, title, "decay of the bias")
    rows_gram = found.params["W"] @ np.swapaxes(found.params["W"], 1, 2)
    cosine = (rows_gram[:, 0, 1] / rows_gram[:, 0, 0]).ravel()
    axes[2].plot(decay, cosine, "o-", ms=4, color=figures.BLUE, label="classifier rows")
    for level, text, at, side in (
        (-1 / (k - 1), "simplex ETF", -1, "right"),
        (0.0, "orthogonal frame", 0, "left"),
    ):
        axes[2].axhline(level, color=figures.GREY, lw=1, ls="--")
        axes[2].text(decay[at], level, text, fontsize=8, va="bottom", ha=side)
    axes[2].set_xscale("log")
    figures.threshold(axes[2], place, "")
    figures.decorate(
        axes[2], "Cosine of two classifier rows", "decay of the bias", legend=False
    )
    title = f"MSE with a bias: K = {k}, n = {n}, c = {model.c:g}, {len(decay)} decays"
    return Report(title, facts, statements, rows, figure)


def minority(config: ConfigDict, progress: Callable) -> Report:
    """Small classes merge where n_B <= N^2 lW lH.

    `config.grid` holds mu = sqrt(lW lH); `config.minority` the small classes.
    """
    model, small = config.model, config.minority
    k, big = model.num_classes, model.num_classes - small.classes
    if big < 1 or not config.grid or model.loss != "cross_entropy":
        raise ConfigError(
            "minority needs cross_entropy, config.grid, and fewer minority.classes "
            f"than model.num_classes = {k}; got {model.loss!r}, {len(config.grid)} "
            f"grid values and {small.classes}."
        )
    sizes = np.array([model.per_class] * big + [small.per_class] * small.classes)
    total, strengths = int(sizes.sum()), sorted(float(x) for x in config.grid)
    progress("solve", problems=len(strengths))
    problems = [
        ufm.Problem.create(lambda_w=x, lambda_h=x, sizes=sizes) for x in strengths
    ]
    found, gaps = solved_many(problems)
    logits = found.params["H"] @ np.swapaxes(found.params["W"], 1, 2)
    contrast = logits[:, -1, -1] - logits[:, -1, -2]
    place = np.sqrt(small.per_class) / total
    merged = [small.per_class <= ridge_threshold(total, x, x) for x in strengths]
    wrong = np.sum((contrast < 1e-6) != np.array(merged))
    statements = [
        at_most("duality gap, largest", gaps.max(), 1e-9),
        equal("strengths on the wrong side of the threshold", wrong, 0, 0),
    ]
    if (big, small.classes, model.per_class, small.per_class) == (5, 5, 500, 100):
        for x, value in zip(strengths, contrast, strict=True):
            if (known := _CONTRASTS.get(round(float(x), 10))) is not None:
                statements.append(equal(f"contrast at mu = {x:g}", value, known, 6e-5))
    facts = [
        ("threshold", f"mu = sqrt(n_B)/N = {place:.7g}"),
        (
            "classes",
            f"{big} of {model.per_class}, {small.classes} of {small.per_class}",
        ),
    ]
    rows = [
        {"mu": a, "contrast": b, "gap": c}
        for a, b, c in zip(strengths, contrast, gaps, strict=True)
    ]
    figure = Figure(figsize=(13, 4), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=(1.2, 1, 1))
    axes[0].plot(strengths, contrast, "o-", ms=4, color=figures.BLUE)
    figures.threshold(axes[0], place, "sqrt(n_B) / N")
    figures.decorate(axes[0], "Contrast of two small classes", "mu", legend=False)
    grams = []
    for i in (0, len(strengths) - 1):
        means = found.params["H"][i]
        grams.append((f"Class means, mu = {strengths[i]:.4g}", means @ means.T))
    names = [str(i) for i in range(k)]
    figures.gram_panels(figure, axes[1:], grams, names)
    title = f"Minority collapse: cross-entropy, K = {k}, {len(strengths)} strengths"
    return Report(title, facts, statements, rows, figure)
