"""Phase diagrams: rank and NC2 of the optimum over a grid, all solved in one call."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.config import ConfigError
from ncjax.hierarchy.soft_labels import soft_label_matrix
from ncjax.ufm.run import figures
from ncjax.ufm.run.phases import solved_many
from ncjax.ufm.run.prediction import predict
from ncjax.ufm.run.report import Report, at_most, equal
from ncjax.ufm.run.settings import balanced_tree, problem_of, tree_of

# What can vary: numbers, which leave the compiled program as it is.
AXES = ("c", "beta", "alpha", "label_smoothing", "lambda_b", "ratio")
_NEAR = 1e-4  # relative distance to a threshold at which ranks are not compared


class Axis(NamedTuple):
    """A field of `config.model` and its values."""

    name: str
    values: np.ndarray
    log: bool


def parse_sweep(text: str, config: ConfigDict) -> tuple[Axis, ...]:
    """`c:1e-4..1e-1:40,beta:1..30:40` -> one or two axes.

    Values are log-spaced where the ends are positive and a factor of 10 or more apart.

    Raises:
        ConfigError: for anything else, naming the part.
    """
    if config.experiment != "optimum":
        raise ConfigError(
            "--sweep needs a config with experiment = 'optimum', got "
            f"{config.experiment!r}."
        )
    axes = []
    for part in text.split(","):
        match = re.fullmatch(r"(\w+):([^:]+?)\.\.([^:]+):(\d+)", part.strip())
        try:
            if match is None:
                raise ValueError("no match")
            name, low, high = match[1], float(match[2]), float(match[3])
        except ValueError as error:
            raise ConfigError(
                f"--sweep: {part!r} is not NAME:LOW..HIGH:COUNT, as in c:1e-4..1e-1:40."
            ) from error
        if name not in AXES:
            raise ConfigError(
                f"--sweep: unknown field {name!r}. Available: {', '.join(AXES)}."
            )
        count = int(match[4])
        if not low < high or not 2 <= count <= 1000:
            raise ConfigError(
                f"--sweep: {part!r} must rise, with 2 to 1000 values; got {count}."
            )
        log = low > 0 and high >= 10 * low
        values = (np.geomspace if log else np.linspace)(low, high, count)
        axes.append(Axis(name, values, log))
    if len(axes) > 2 or len({axis.name for axis in axes}) < len(axes):
        raise ConfigError(f"--sweep takes one or two different fields, got {text!r}.")
    _check_used(config, axes)
    return tuple(axes)


def _check_used(config, axes):
    used = {
        "cross_entropy": {"label_smoothing"},
        "soft_labels": {"beta"},
        "hxe": {"alpha"},
    }.get(config.model.loss, set())
    for axis in axes:
        if axis.name in ("beta", "alpha", "label_smoothing") and axis.name not in used:
            raise ConfigError(
                f"--sweep: {axis.name!r} has no effect on {config.model.loss!r}."
            )
        if axis.name == "lambda_b" and config.model.lambda_b == -1:
            raise ConfigError(
                "--sweep: lambda_b needs a model with a bias; set "
                "--config.model.lambda_b=0."
            )


def sweep(config: ConfigDict, axes: tuple[Axis, ...], progress: Callable) -> Report:
    """Solves the model at each point of the grid; rank against theory where known."""
    shape = tuple(len(axis.values) for axis in axes)
    points = [
        {axis.name: float(axis.values[i]) for axis, i in zip(axes, index, strict=True)}
        for index in np.ndindex(*shape)
    ]
    progress("set up", problems=len(points))
    tree = tree_of(config)
    problems = [problem_of(config, tree, **point) for point in points]
    progress("solve", problems=len(points))
    found, gaps = solved_many(problems)
    with jax.enable_x64(True):
        seen = jax.jit(jax.vmap(lambda p: ufm.geometry(p)))(found.params)
        seen = jax.tree.map(np.asarray, seen)
    values = seen.singular_values
    # Merged levels of a solution are 0 to rounding: absolute, as all may have merged.
    rank = np.sum(values > 1e-6 * np.maximum(values[:, :1], 1e-3), axis=1)
    nc2 = np.where(rank > 0, seen.nc2, np.nan)
    progress("theory", gap=float(gaps.max()))
    theory = _predicted(config, points)
    convex = bool(np.all(np.isfinite(gaps)))
    statements = []
    if convex:
        statements.append(at_most("duality gap, largest", gaps.max(), 1e-9))
    if theory is not None:
        expected, ranks, near = theory
        error = np.abs(found.objective - expected).max()
        statements.append(at_most("objective, largest error", error, 1e-9))
        wrong = int(np.sum((rank != ranks) & ~near))
        statements.append(equal(f"wrong ranks of {len(points)}", wrong, 0, 0))
    facts = [
        ("solved", f"{len(points)} problems, all {'certified' if convex else 'found'}"),
        ("ranks", ", ".join(str(x) for x in np.unique(rank))),
    ]
    rows = [
        point
        | {"rank": int(r), "nc2": float(n), "objective": float(f), "gap": float(g)}
        for point, r, n, f, g in zip(
            points, rank, nc2, found.objective, gaps, strict=True
        )
    ]
    known = None if theory is None else theory[1].reshape(shape)
    lines = _thresholds(config, axes)
    figure = _figure(axes, rank.reshape(shape), nc2.reshape(shape), known, lines)
    names = " x ".join(f"{axis.name} ({len(axis.values)})" for axis in axes)
    tree_name = f", tree {config.model.tree}" if config.model.tree else ""
    title = f"Phase diagram of {config.model.loss}{tree_name}: {names}"
    return Report(title, facts, statements, rows, figure)


def _predicted(config, points):
    """Objectives and ranks in closed form, and where a threshold is too near."""
    found, near = [], []
    for point in points:
        pair = []
        for c_factor in (1, 1 - _NEAR, 1 + _NEAR):
            at = ConfigDict(config.to_dict())
            at.model.update(point)
            at.model.c *= c_factor
            theory = predict(at)
            if theory is None:
                return None
            pair.append(theory)
        found.append(pair[0])
        near.append(len({p.rank for p in pair}) > 1)
    values = np.array([p.objective for p in found])
    return values, np.array([p.rank for p in found]), np.array(near)


def _figure(axes, rank, nc2, known, lines) -> Figure:
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    panels = ((left, rank.astype(float), "Rank of the optimum", "viridis"),)
    panels += ((right, nc2, "NC2, distance to a simplex ETF", "magma_r"),)
    for axis, values, title, colors in panels:
        if len(axes) == 1:
            axis.plot(axes[0].values, values, "o-", ms=3, color=figures.BLUE)
            if known is not None and axis is left:
                axis.plot(axes[0].values, known, color=figures.ORANGE, lw=1)
        else:
            _map(figure, axis, axes, values, colors, known if lines is None else None)
            for line in lines or ():
                color = "white" if axis is left else "#444444"
                axis.plot(*(line if axes[0].name == "c" else line[::-1]), color=color)
            axis.set(xlim=_ends(axes[0]), ylim=_ends(axes[1]))
        axis.set_xscale("log" if axes[0].log else "linear")
        figures.decorate(axis, title, axes[0].name, legend=False)
        axis.grid(len(axes) == 1)
    return figure


def _ends(axis):
    return axis.values[0], axis.values[-1]


def _thresholds(config, axes):
    """(c, beta) at which levels of a balanced tree merge: K c = lambda_h(Y)."""
    tree, names = balanced_tree(config), [axis.name for axis in axes]
    if tree is None or sorted(names) != ["beta", "c"]:
        return None
    betas = np.linspace(*_ends(axes[names.index("beta")]), 400)
    tables = [soft_label_matrix(tree.distances(), beta) for beta in betas]
    values = np.linalg.eigvalsh(np.array(tables))[:, :-1] / tree.num_classes
    kept = values[:, np.append(True, np.diff(values[len(betas) // 2]) > 1e-9)]
    return [(line, betas) for line in kept.T]


def _map(figure, axis, axes, values, colors, known):
    x, y = axes[0].values, axes[1].values
    image = axis.pcolormesh(x, y, values.T, cmap=colors, shading="nearest")
    bar = figure.colorbar(image, ax=axis)
    bar.outline.set_visible(False)
    axis.set_facecolor("#d9d9d9")
    axis.set_yscale("log" if axes[1].log else "linear")
    axis.set_ylabel(axes[1].name, fontsize=9)
    if known is not None and np.ptp(known) > 0:
        steps = np.unique(known)
        axis.contour(
            *(x, y, known.T.astype(float)),
            levels=(steps[1:] + steps[:-1]) / 2,
            colors="white" if colors == "viridis" else "#444444",
            linewidths=1.4,
        )
