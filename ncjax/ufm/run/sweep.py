"""Phase diagrams: rank and NC2 of the optimum over a grid, all solved in one call."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.compiling import in_turn
from ncjax.grid import is_geometric, parse_values
from ncjax.hierarchy import Hierarchy
from ncjax.options import ConfigError, all_options, choose
from ncjax.ufm.run.experiment import Progress
from ncjax.ufm.run.report import Figure, Report, at_most, equal, no_error
from ncjax.ufm.run.setting import setting_of, solve_certified, tree_of
from ncjax.ufm.tables import FITS

_NEAR = 1e-4  # relative distance to a threshold at which ranks are not compared


class Axis(NamedTuple):
    """A field of `config.model` and the values it takes."""

    name: str
    values: np.ndarray
    log: bool


class Theory(NamedTuple):
    """Closed forms at B points of a grid."""

    objective: np.ndarray  # [B]
    rank: np.ndarray  # [B]
    near: np.ndarray  # [B] whether a threshold is so near that ranks are not compared
    lines: list[np.ndarray]  # [M, 2] lines in the plane of two axes: the rank changes


def sweepable(*losses: str) -> tuple[str, ...]:
    """Fields of `config.model` that can be swept for one of these losses.

    Options of a loss that can are numbers, which are leaves of its tables.
    """
    options = all_options(FITS[loss] for loss in losses if loss in FITS)
    numbers = [name for name, value in options.items() if isinstance(value, float)]
    return "c", *numbers, "lambda_b", "ratio"


def parse_sweep(
    swept: Mapping[str, str], together: Sequence[Sequence[str]], config: ConfigDict
) -> tuple[Axis, ...]:
    """The one or two axes of a sweep.

    Args:
        swept: field, such as "model.c" -> text of its values, of `ncjax.grid`.
        together: groups of fields that change together, which an optimum cannot.
        config: the configuration that is swept.

    Raises:
        ConfigError: for anything else, naming the part.
    """
    if config.experiment != "optimum":
        raise ConfigError(
            "--sweep needs a config with experiment = 'optimum', got "
            f"{config.experiment!r}."
        )
    if len(swept) > 2 or together:
        raise ConfigError(
            "--sweep takes one or two fields of an optimum, each on an axis of its "
            f"own, got {', '.join(swept)}{' and --sweep.zip' if together else ''}."
        )
    return tuple(_axis(field, text, config.model) for field, text in swept.items())


def _axis(field: str, text: str, model: ConfigDict) -> Axis:
    allowed = [f"model.{name}" for name in sweepable(*FITS)]
    choose("--sweep field", field, allowed)
    name = field.removeprefix("model.")
    if name not in sweepable(model.loss):
        raise ConfigError(f"--sweep: {name!r} has no effect on {model.loss!r}.")
    if name == "lambda_b" and model.lambda_b == -1:
        raise ConfigError(
            "--sweep: lambda_b needs a model with a bias; set "
            "--config.model.lambda_b=0."
        )
    values = np.array(parse_values(field, text, like=1.0))
    if len(values) < 2 or not (np.diff(values) > 0).all():
        raise ConfigError(
            f"--sweep.{field}={text} must have two values or more, and they must rise."
        )
    return Axis(name, values, is_geometric(values.tolist()))


def sweep(config: ConfigDict, axes: tuple[Axis, ...], progress: Progress) -> Report:
    """Solves the model at each point of a grid; rank against theory where it is known.

    Args:
        config: the configuration of an "optimum" experiment.
        axes: one or two axes, of `parse_sweep`.
        progress: called with what is under way.
    """
    swept = [axis.name for axis in axes]
    grid = itertools.product(*(axis.values.tolist() for axis in axes))
    points = [dict(zip(swept, values, strict=True)) for values in grid]
    number = len(points)
    progress("set up", problems=number)
    tree = tree_of(config)
    problems = [setting_of(config, tree, **point).problem for point in points]
    progress("solve", problems=number)
    found, gap = solve_certified(problems)
    with jax.enable_x64(True):
        look = in_turn(lambda one, x: ufm.geometry(one.class_point(x)))
        seen = jax.vmap(look)(ufm.stack(problems), found.params)
        seen = jax.tree.map(np.asarray, seen)
    values = seen.singular_values
    # Merged levels of a solution are 0 to rounding: absolute, as all may have merged.
    rank = np.sum(values > 1e-6 * np.maximum(values[:, :1], 1e-3), axis=1)
    nc2 = np.where(rank > 0, seen.nc2, np.nan)
    progress("theory", gap=float(gap.max()))
    theory = _theory(config, axes, points, tree)
    convex, statements = bool(np.all(np.isfinite(gap))), []
    if convex:
        statements.append(at_most("duality gap, largest", gap.max(), 1e-9))
    if theory is not None:
        off = found.objective - theory.objective
        wrong = int(np.sum((rank != theory.rank) & ~theory.near))
        statements.append(no_error("objective", off, 1e-9))
        statements.append(equal(f"wrong ranks of {number}", wrong, 0, 0))
    names = " x ".join(f"{axis.name} ({len(axis.values)})" for axis in axes)
    under = f", tree {config.model.tree}" if config.model.tree else ""
    columns = zip(points, rank, nc2, found.objective, gap, strict=True)
    return Report(
        title=f"Phase diagram of {config.model.loss}{under}: {names}",
        facts=[
            ("solved", f"{number} problems, all {'certified' if convex else 'found'}"),
            ("ranks", ", ".join(str(x) for x in np.unique(rank))),
        ],
        statements=statements,
        rows=[
            point | {"rank": r, "nc2": n, "objective": f, "gap": g}
            for point, r, n, f, g in columns
        ],
        figure=_draw(axes, rank, nc2, theory),
    )


def _theory(
    config: ConfigDict, axes: tuple[Axis, ...], points: list[dict], tree: Any
) -> Theory | None:
    found, near = [], []
    for point in points:
        # Just below and above in c: there numbers and theory may differ by rounding.
        c, trio = point.get("c", config.model.c), []
        for factor in (1, 1 - _NEAR, 1 + _NEAR):
            setting = setting_of(config, tree, **(point | {"c": factor * c}))
            trio.append(setting.prediction)
        if None in trio:
            return None
        found.append(trio[0])
        near.append(len({p.rank for p in trio}) > 1)
    rank = np.array([p.rank for p in found])
    return Theory(
        objective=np.array([p.objective for p in found]),
        rank=rank,
        near=np.array(near),
        lines=_thresholds(config, axes, rank, tree) if len(axes) == 2 else [],
    )


def _thresholds(
    config: ConfigDict, axes: tuple[Axis, ...], rank: np.ndarray, tree: Hierarchy | None
) -> list[np.ndarray]:
    """Lines [M, 2], in the order of the axes, on which the rank of theory changes.

    Every pair of neighbours of the grid that a line separates is bisected.
    """
    # Along c, if it is swept: every known threshold is one in c.
    across = int(axes[1].name == "c")
    moving, other = axes[across], axes[1 - across]
    table = rank.reshape([len(axis.values) for axis in axes])
    table = table.T if across == 0 else table  # [other, moving]

    def above(place: float, row: float, level: float) -> bool:
        point = {moving.name: place, other.name: row}
        found = setting_of(config, tree, **point).prediction
        return found is not None and found.rank > level

    lines, steps = [], np.unique(rank)
    for level in ((steps[1:] + steps[:-1]) / 2).tolist():
        line = []
        for row, inside in zip(other.values.tolist(), table > level, strict=True):
            for i in np.flatnonzero(inside[1:] != inside[:-1])[:1]:
                low, high = moving.values[i : i + 2].tolist()
                for _ in range(12):
                    middle = (low * high) ** 0.5 if moving.log else (low + high) / 2
                    same = above(middle, row, level) == inside[i]
                    low, high = (middle, high) if same else (low, middle)
                line.append((low, row) if across == 0 else (row, low))
        lines.append(np.array(line).reshape(-1, 2))
    return lines


def _draw(
    axes: tuple[Axis, ...], rank: np.ndarray, nc2: np.ndarray, theory: Theory | None
) -> Figure:
    """Rank and NC2 over the grid, with the lines at which theory lets ranks change."""
    from ncjax.style import BLUE, ORANGE  # matplotlib is loaded when used
    from ncjax.ufm.run import figures

    shape = [len(axis.values) for axis in axes]
    figure, (left, right) = figures.panels((12, 4.8), 1, 2)
    panels = (
        (left, rank.astype(float), "Rank of the optimum", "viridis", True),
        (right, nc2, "NC2, distance to a simplex ETF", "magma_r", False),
    )
    lines = [] if theory is None else theory.lines
    for axis, values, title, colors, whole in panels:
        figures.panel(axis, title, axes[0].name)
        axis.set_xscale("log" if axes[0].log else "linear")
        if len(axes) == 2:
            table = values.reshape(shape)
            figures.heat_map(figure, axis, axes, table, colors, whole=whole)
            for line in lines:
                color = "white" if axis is left else "#444444"
                axis.plot(*line.T, color=color, lw=1.4)
            figures.explain(
                axis, lines=bool(lines), missing=bool(np.isnan(values).any())
            )
            continue
        axis.plot(axes[0].values, values, "o-", ms=3, color=BLUE, label="solved")
        if theory is not None and axis is left:
            axis.plot(axes[0].values, theory.rank, color=ORANGE, lw=1, label="theory")
        axis.legend(frameon=False, fontsize=8)
    return figure
