"""Four and more ReLU layers: low rank beats deep neural collapse."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.options import ConfigError
from ncjax.ufm.run.experiment import Experiment, Field, Progress
from ncjax.ufm.run.report import Figure, Findings, at_most, equal
from ncjax.ufm.theory.deep_collapse import dnc_cost, srg_cost

FIELDS = {
    "deep.depth": Field(4, "number L of layers on the features", 1),
    "deep.width": Field(30, "units of each layer, and of the features", 0),
    "deep.decay": Field(4e-3, "weight decay of all layers and of the features", 0),
    "deep.starts": Field(4, "number of random starts", 0),
}


class Layer(NamedTuple):
    """Class means somewhere in the network."""

    name: str
    means: np.ndarray  # [K, width]
    singular_values: np.ndarray  # [min(K, width)]


class Found(NamedTuple):
    """Everything computed."""

    config: ConfigDict
    seeds: list[int]
    objectives: np.ndarray  # [starts], found from each start
    layers: list[Layer]  # of the best start, before and after each ReLU
    frames: float  # objective of orthogonal frames
    graph: float | None  # objective of the strongly regular graph, where there is one

    @property
    def best(self) -> float:
        """The least objective found."""
        return float(np.min(self.objectives))


def solve(config: ConfigDict, progress: Progress) -> Found:
    """Solves the deep model of `config.deep` from several starts."""
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
    best = int(np.argmin(found.objective))
    costs = model.per_class, [own.decay] * depth, own.decay
    # The graph is that of the edges between r vertices: K = r (r - 1) / 2.
    vertices = (1 + np.sqrt(1 + 8 * k)) / 2
    regular = depth >= 3 and vertices == round(vertices)
    return Found(
        config=config,
        seeds=list(seeds),
        objectives=np.asarray(found.objective),
        layers=_layers(jax.tree.map(lambda x: x[best], found.params)),
        frames=dnc_cost(k, *costs),
        graph=srg_cost(round(vertices), *costs) if regular else None,
    )


def _layers(params: ufm.Params) -> list[Layer]:
    """Class means of the features, and before and after the ReLU of each layer."""
    value = np.asarray(params["H"])
    seen = [("features", value)]
    for i, layer in enumerate(params["hidden"], 1):
        before = value @ np.asarray(layer).T
        value = np.maximum(before, 0)
        seen += [(f"layer {i}", before), (f"relu {i}", value)]
    return [
        Layer(name, means, np.linalg.svd(means, compute_uv=False))
        for name, means in seen
    ]


def state(found: Found) -> Findings:
    """The best of some starts lies below orthogonal frames, at a rank below K.

    With L <= 3, where no such solution is known, it is the orthogonal frames.
    """
    k, own = found.config.model.num_classes, found.config.deep
    ranks = [int(np.sum(x > 1e-3 * x[0])) for _, _, x in found.layers]
    graph = f"f = {found.graph:.8f} (strongly regular graph)" if found.graph else "none"
    names = [layer.name for layer in found.layers]
    shown = ", ".join(f"{n} {r}" for n, r in zip(names, ranks, strict=True))
    facts = [
        ("found", "f = " + ", ".join(f"{x:.6f}" for x in found.objectives)),
        ("frames", f"f = {found.frames:.8f} (deep neural collapse)"),
        ("SRG", graph),
        ("ranks", shown),
    ]
    if own.depth > 3:
        bound = found.frames - 1e-4
        statements = [
            at_most("best objective (orthogonal frames)", found.best, bound),
            at_most("rank before the last ReLU", ranks[-2], k - 1),
            equal("rank after it", ranks[-1], k, 0),
        ]
    else:
        statements = [equal("best objective", found.best, found.frames, 1e-6)]
    pairs = zip(found.seeds, found.objectives, strict=True)
    return Findings(
        title=f"Deep model: {own.depth} ReLU layers, MSE, K = {k}, "
        f"lambda = {own.decay:g}",
        facts=facts,
        statements=statements,
        rows=[{"seed": seed, "objective": float(value)} for seed, value in pairs],
    )


def draw(found: Found) -> Figure:
    """Objectives of the starts, singular values, and means before the last ReLU."""
    from ncjax.style import BLUE, GREEN, ORANGE  # matplotlib is loaded when used
    from ncjax.ufm.run import figures

    k, (before, after) = found.config.model.num_classes, found.layers[-2:]
    figure = figures.canvas((13, 4))
    axes = figure.subplots(1, 3)
    axes[0].plot(found.seeds, found.objectives, "o", color=BLUE, label="found")
    axes[0].axhline(found.frames, color=ORANGE, label="orthogonal frames")
    if found.graph:
        axes[0].axhline(
            found.graph, color=GREEN, ls="--", label="strongly regular graph"
        )
    axes[0].set_xticks(found.seeds)
    figures.panel(axes[0], "Objective", "start")
    for name, layer, color in (
        ("before the last ReLU", before, BLUE),
        ("after it", after, ORANGE),
    ):
        values = np.maximum(layer.singular_values[:k], 1e-12)
        axes[1].semilogy(np.arange(1, k + 1), values, "o-", color=color, label=name)
    figures.panel(axes[1], "Singular values of the class means", "index")
    gram = before.means @ before.means.T
    figures.gram_panels(
        *(figure, axes[2:], [("Class means before the last ReLU", gram)]),
        [str(i) for i in range(k)],
    )
    return figure


LOW_RANK = Experiment(solve, state, draw, FIELDS, plain_model=False)
