"""Flow from Hadamard initialisation: frozen singular vectors, scalar equations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.config import ConfigError
from ncjax.ufm.run import figures
from ncjax.ufm.run.report import Report, at_least, at_most, trajectory_rows
from ncjax.ufm.run.settings import problem_of
from ncjax.ufm.theory import hadamard as theory


def hadamard(config: ConfigDict, progress: Callable) -> Report:
    """Matrix flow against K - 1 scalar equations; the Lyapunov function falls.

    Cross-entropy without decay.  `config.model.num_classes` is a power of two.
    """
    classes, flow = config.model.num_classes, config.flow
    if config.model.loss != "cross_entropy" or config.model.per_class != 1:
        raise ConfigError(
            "Hadamard flow is that of cross-entropy with per_class = 1, got "
            f"{config.model.loss!r} with per_class = {config.model.per_class}."
        )
    try:
        basis = ufm.hadamard_basis(classes)
    except ValueError as error:
        raise ConfigError(f"config.model.{error}") from error
    problem = ufm.without_decay(problem_of(config))
    strengths = np.random.default_rng(config.seed).uniform(0.05, 1, classes - 1)
    width = problem.feature_dim
    options = {"t_max": flow.t_max, "points": flow.points}
    progress("flow from Hadamard")
    start = ufm.modal_start(strengths, feature_dim=width)
    path = ufm.flow(problem, start, **options)
    found, leak = ufm.mode_strengths(path.params, basis)
    progress("scalar equations")
    scalar = ufm.strength_flow(strengths, path.times)
    spread = np.array([theory.spread(s) for s in found])
    ratio = found.max(axis=1) / found.min(axis=1)
    progress("flow from another basis")
    other = ufm.random_basis(classes, config.seed)
    turned = ufm.modal_start(strengths, basis=other, feature_dim=width)
    second = ufm.flow(problem, turned, **options)
    _, second_leak = ufm.mode_strengths(second.params, other)
    progress("descent")
    early = ufm.descend(problem, start, learning_rate=0.01, times=[0.0, 20.0])
    late, _ = ufm.mode_strengths(early.params, basis)
    at_20 = ufm.strength_flow(strengths, [0.0, 20.0])[-1]
    statements = [
        at_most("singular vectors, largest part that left", leak.max(), 1e-8),
        at_most("strengths, largest error", np.abs(found - scalar).max(), 1e-5),
        at_most("Lyapunov function, largest step", np.diff(spread).max(), 0.0),
        at_most("max s / min s, largest step", np.diff(ratio).max(), 0.0),
        at_most("W'W - HH', relative drift", np.max(path.drift), 1e-6),
        at_most("descent at t = 20, error", np.abs(late[-1] - at_20).max(), 2e-3),
        at_least("another basis, part that left", second_leak.max(), 1e-2),
    ]
    facts = [
        ("flow", f"to t = {flow.t_max:g} in {int(path.steps)} steps"),
        ("Lyapunov", f"V falls from {spread[0]:.4f} to {spread[-1]:.4f}, like 1/log t"),
        ("strengths", f"max / min from {ratio[0]:.3g} to {ratio[-1]:.4g}"),
    ]
    rows = trajectory_rows(path)
    numbers = zip(spread, leak, second_leak, strict=True)
    for row, (v, inside, outside) in zip(rows, numbers, strict=True):
        row |= {"lyapunov": v, "leak": inside, "leak_other_basis": outside}
    figure = _figure(path, found, scalar, spread, leak, second_leak)
    title = f"Hadamard flow: cross-entropy without decay, K = {classes}, d = {width}"
    return Report(title, facts, statements, rows, figure)


def _figure(path, found, scalar, spread, leak, second_leak) -> Figure:
    figure = Figure(figsize=(12.5, 7.2), layout="constrained")
    axes = figure.subplots(2, 3)
    figures.flow_panels(axes[0], path, None)
    times = path.times[1:]
    modes, vee, left = axes[1]
    modes.plot(times, found[1:], color=figures.BLUE, lw=1.4)
    modes.plot(times[::3], scalar[1::3], "o", ms=3, color=figures.ORANGE)
    handles = [modes.lines[0], modes.lines[-1]]
    modes.legend(
        handles, ["matrix flow", "scalar equations"], frameon=False, fontsize=8
    )
    modes.set_xscale("log")
    figures.decorate(modes, "Strengths of the modes", "time", legend=False)
    vee.loglog(times, spread[1:], color=figures.BLUE)
    figures.decorate(vee, "Lyapunov function V", "time", legend=False)
    for values, color, label in (
        (leak, figures.BLUE, "Hadamard"),
        (second_leak, figures.ORANGE, "another basis"),
    ):
        left.loglog(times, np.maximum(values[1:], 1e-17), color=color, label=label)
    figures.decorate(left, "Part of the logits outside the first modes", "time")
    return figure
