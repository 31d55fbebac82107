"""Four and more ReLU layers: low rank beats deep neural collapse."""

from __future__ import annotations

import jax
import numpy as np
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.options import ConfigError
from ncjax.ufm.run.experiment import Experiment, Field, Progress
from ncjax.ufm.run.report import Report, at_most, equal
from ncjax.ufm.theory.deep_collapse import dnc_cost, srg_cost

FIELDS = {
    "deep.depth": Field(4, "number L of layers on the features", 1),
    "deep.width": Field(30, "units of each layer, and of the features", 0),
    "deep.decay": Field(4e-3, "weight decay of all layers and of the features", 0),
    "deep.starts": Field(4, "number of random starts", 0),
}

_LESS = 1e-4  # by how much less than orthogonal frames low rank must cost


def run(config: ConfigDict, progress: Progress) -> Report:
    """The best of some starts lies below orthogonal frames, at a rank below K.

    So it is where a solution of low rank, the strongly regular graph, is known to cost
    less.  With L <= 3 layers the best is the orthogonal frames.
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
    seeds = list(range(config.seed, config.seed + own.starts))
    found = ufm.solve_many(problem, seeds)
    best = int(np.argmin(found.objective))
    layers = _layers(jax.tree.map(lambda x: x[best], found.params))
    ranks = {name: int(np.sum(values > 1e-3 * values[0])) for name, _, values in layers}
    frames, graph = _costs(config)
    value = found.objective[best]
    if graph is not None and graph < frames - _LESS:
        before, after = list(ranks.values())[-2:]
        statements = [
            at_most("best objective (orthogonal frames)", value, frames - _LESS),
            at_most("rank before the last ReLU", before, k - 1),
            equal("rank after it", after, k, 0),
        ]
    elif depth > 3:  # nothing is known of low rank, but frames are a solution
        statements = [at_most("best objective", value, frames + 1e-6)]
    else:
        statements = [equal("best objective", value, frames, 1e-6)]
    pairs = zip(seeds, found.objective, strict=True)
    return Report(
        title=f"Deep model: {depth} ReLU layers, MSE, K = {k}, lambda = {own.decay:g}",
        facts=[
            ("found", "f = " + ", ".join(f"{x:.6f}" for x in found.objective)),
            ("frames", f"f = {frames:.8f} (deep neural collapse)"),
            ("SRG", f"f = {graph:.8f} (strongly regular graph)" if graph else "none"),
            ("ranks", ", ".join(f"{name} {rank}" for name, rank in ranks.items())),
        ],
        statements=statements,
        rows=[{"seed": seed, "objective": value} for seed, value in pairs],
        figure=_draw(seeds, found.objective, (frames, graph), layers),
    )


def _costs(config: ConfigDict) -> tuple[float, float | None]:
    """Objectives of orthogonal frames, and of the strongly regular graph if any."""
    k, own = config.model.num_classes, config.deep
    costs = config.model.per_class, [own.decay] * own.depth, own.decay
    # The graph is that of the edges between r vertices: K = r (r - 1) / 2.
    vertices = (1 + np.sqrt(1 + 8 * k)) / 2
    regular = own.depth >= 3 and vertices == round(vertices)
    return dnc_cost(k, *costs), srg_cost(round(vertices), *costs) if regular else None


def _layers(params: ufm.Params) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, class means [K, width] and singular values, before and after each ReLU."""
    value = np.asarray(params["H"])
    seen = [("features", value)]
    for i, layer in enumerate(params["hidden"], 1):
        before = value @ np.asarray(layer).T
        value = np.maximum(before, 0)
        seen += [(f"layer {i}", before), (f"relu {i}", value)]
    return [(name, x, np.linalg.svd(x, compute_uv=False)) for name, x in seen]


def _draw(seeds, objectives, costs, layers):
    """Objectives of the starts, singular values, and means before the last ReLU."""
    from ncjax.style import BLUE, GREEN, ORANGE  # matplotlib is loaded when used
    from ncjax.ufm.run import figures

    frames, graph = costs
    (_, means, before), (_, _, after) = layers[-2:]
    figure, axes = figures.panels((13, 4), 1, 3)
    axes[0].plot(seeds, objectives, "o", color=BLUE, label="found")
    axes[0].axhline(frames, color=ORANGE, label="orthogonal frames")
    if graph:
        axes[0].axhline(graph, color=GREEN, ls="--", label="strongly regular graph")
    axes[0].set_xticks(seeds)
    figures.panel(axes[0], "Objective", "start")
    for name, values, color in (
        ("before the last ReLU", before, BLUE),
        ("after it", after, ORANGE),
    ):
        values = np.maximum(values[: len(means)], 1e-12)
        index = np.arange(1, len(means) + 1)
        axes[1].semilogy(index, values, "o-", color=color, label=name)
    figures.panel(axes[1], "Singular values of the class means", "index")
    gram = ("Class means before the last ReLU", means @ means.T)
    figures.gram_panels(figure, axes[2:], [gram])
    return figure


LOW_RANK = Experiment(
    run, FIELDS, plain_model=False, uses=("loss", "num_classes", "per_class")
)
