"""Four and more ReLU layers: low rank beats deep neural collapse."""

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
from ncjax.ufm.theory.deep_collapse import dnc_cost, srg_cost


def deep(config: ConfigDict, progress: Callable) -> Report:
    """The best of some starts lies below orthogonal frames, at a rank below K.

    With L <= 3, where no such solution is known, it is the orthogonal frames.
    """
    model, own = config.model, config.deep
    if model.loss != "mse":
        raise ConfigError(f"deep has a theory for 'mse' only, got {model.loss!r}.")
    if own.width < model.num_classes:
        raise ConfigError(
            f"config.deep.width = {own.width} is too small: the orthogonal frames of "
            f"{model.num_classes} classes need as many units."
        )
    k, depth = model.num_classes, own.depth
    problem = ufm.Deep.create(
        depth=depth,
        num_classes=k,
        feature_dim=own.width,
        sizes=model.per_class,
        lambda_w=own.decay,
        lambda_h=own.decay,
    )
    progress("solve", starts=own.starts)
    seeds = range(config.seed, config.seed + own.starts)
    found = ufm.solve_many(problem, seeds)
    decays = [own.decay] * depth
    frames = dnc_cost(k, model.per_class, decays, own.decay)
    vertices = (1 + np.sqrt(1 + 8 * k)) / 2
    regular = depth >= 3 and vertices == round(vertices)
    graph = (
        srg_cost(round(vertices), model.per_class, decays, own.decay)
        if regular
        else None
    )
    best = int(np.argmin(found.objective))
    layers = _layers(jax.tree.map(lambda x: x[best], found.params))
    before, after = layers[-2][1], layers[-1][1]
    ranks = [int(np.sum(s > 1e-3 * s[0])) for _, s in layers]
    value = float(found.objective[best])
    facts = [
        ("found", "f = " + ", ".join(f"{x:.6f}" for x in found.objective)),
        ("frames", f"f = {frames:.8f} (deep neural collapse)"),
        ("SRG", f"f = {graph:.8f} (strongly regular graph)" if graph else "none"),
        (
            "ranks",
            ", ".join(f"{n} {r}" for (n, _), r in zip(layers, ranks, strict=True)),
        ),
    ]
    if depth > 3:
        statements = [
            at_most("best objective (orthogonal frames)", value, frames - 1e-4),
            at_most("rank before the last ReLU", ranks[-2], k - 1),
            equal("rank after it", ranks[-1], k, 0),
        ]
    else:
        statements = [equal("best objective", value, frames, 1e-6)]
    rows = [
        {"seed": s, "objective": float(f)}
        for s, f in zip(seeds, found.objective, strict=True)
    ]
    figure = Figure(figsize=(13, 4), layout="constrained")
    axes = figure.subplots(1, 3)
    axes[0].plot(list(seeds), found.objective, "o", color=figures.BLUE, label="found")
    axes[0].axhline(frames, color=figures.ORANGE, label="orthogonal frames")
    if graph:
        axes[0].axhline(
            graph, color=figures.GREEN, ls="--", label="strongly regular graph"
        )
    axes[0].set_xticks(list(seeds))
    figures.decorate(axes[0], "Objective", "start")
    for (name, values), color in zip(
        (("before the last ReLU", before), ("after it", after)),
        (figures.BLUE, figures.ORANGE),
        strict=True,
    ):
        axes[1].semilogy(
            np.arange(1, k + 1),
            np.maximum(values[:k], 1e-12),
            "o-",
            color=color,
            label=name,
        )
    figures.decorate(axes[1], "Singular values of the class means", "index")
    last = _last(jax.tree.map(lambda x: x[best], found.params))
    figures.gram_panels(
        figure,
        axes[2:],
        [("Class means before the last ReLU", last @ last.T)],
        [str(i) for i in range(k)],
    )
    title = f"Deep model: {depth} ReLU layers, MSE, K = {k}, lambda = {own.decay:g}"
    return Report(title, facts, statements, rows, figure)


def _last(params) -> np.ndarray:
    """Class means before the last ReLU [K, width]."""
    value = np.asarray(params["H"])
    for i, layer in enumerate(params["hidden"]):
        value = (value if i == 0 else np.maximum(value, 0)) @ np.asarray(layer).T
    return value


def _layers(params) -> list[tuple[str, np.ndarray]]:
    """Singular values of the class means, before and after each ReLU."""
    value = np.asarray(params["H"])
    seen = [("features", value)]
    for i, layer in enumerate(params["hidden"], 1):
        before = value @ np.asarray(layer).T
        value = np.maximum(before, 0)
        seen += [(f"layer {i}", before), (f"relu {i}", value)]
    return [(name, np.linalg.svd(x, compute_uv=False)) for name, x in seen]
