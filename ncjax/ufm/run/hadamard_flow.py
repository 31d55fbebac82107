"""Flow from Hadamard initialisation: frozen singular vectors, scalar equations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.options import ConfigError
from ncjax.ufm.run.experiment import Experiment, Progress
from ncjax.ufm.run.report import Figure, Findings, at_least, at_most, trajectory_rows
from ncjax.ufm.run.setting import setting_of
from ncjax.ufm.theory import hadamard as theory


class Found(NamedTuple):
    """Everything computed; T recorded times."""

    config: ConfigDict
    feature_dim: int
    path: ufm.Trajectory  # flow from the Hadamard basis
    strengths: np.ndarray  # [T, K-1] of the modes of that flow
    leak: np.ndarray  # [T] part of its logits that left the modes
    scalar: np.ndarray  # [T, K-1] strengths by the scalar equations
    other_leak: np.ndarray  # [T] part of the logits that left another basis
    descent_error: float  # of the strengths after descent to t = 20

    @property
    def spread(self) -> np.ndarray:
        """Lyapunov function V [T]."""
        return np.array([theory.spread(s) for s in self.strengths])

    @property
    def ratio(self) -> np.ndarray:
        """Max s / min s [T]."""
        return self.strengths.max(axis=1) / self.strengths.min(axis=1)


def solve(config: ConfigDict, progress: Progress) -> Found:
    """Flow of the matrices, scalar equations, flow from another basis, descent.

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
    problem = setting_of(config).problem.without_decay()
    strengths = np.random.default_rng(config.seed).uniform(0.05, 1, classes - 1)
    width = problem.feature_dim
    progress("flow from Hadamard")
    start = ufm.modal_start(strengths, feature_dim=width)
    path = ufm.flow(problem, start, t_max=flow.t_max, points=flow.points)
    found, leak = ufm.mode_strengths(path.params, basis)
    progress("scalar equations")
    scalar = ufm.strength_flow(strengths, path.times)
    progress("flow from another basis")
    other = ufm.random_basis(classes, config.seed)
    turned = ufm.modal_start(strengths, basis=other, feature_dim=width)
    second = ufm.flow(problem, turned, t_max=flow.t_max, points=flow.points)
    _, other_leak = ufm.mode_strengths(second.params, other)
    progress("descent")
    early = ufm.descend(problem, start, learning_rate=0.005, times=[0.0, 20.0])
    late, _ = ufm.mode_strengths(early.params, basis)
    at_20 = ufm.strength_flow(strengths, [0.0, 20.0])[-1]
    return Found(
        config=config,
        feature_dim=width,
        path=path,
        strengths=found,
        leak=leak,
        scalar=np.asarray(scalar),
        other_leak=other_leak,
        descent_error=float(np.abs(late[-1] - at_20).max()),
    )


def state(found: Found) -> Findings:
    """Matrix flow agrees with K - 1 scalar equations; the Lyapunov function falls."""
    path, spread, ratio = found.path, found.spread, found.ratio
    error = np.abs(found.strengths - found.scalar).max()
    statements = [
        at_most("singular vectors, largest part that left", found.leak.max(), 1e-8),
        at_most("strengths, largest error", error, 1e-5),
        at_most("Lyapunov function, largest step", np.diff(spread).max(), 0.0),
        at_most("max s / min s, largest step", np.diff(ratio).max(), 0.0),
        at_most("W'W - HH', relative drift", np.max(path.drift), 1e-6),
        at_most("descent at t = 20, error", found.descent_error, 2e-3),
        at_least("another basis, part that left", found.other_leak.max(), 1e-2),
    ]
    steps = int(path.steps)
    facts = [
        ("flow", f"to t = {found.config.flow.t_max:g} in {steps} steps"),
        ("Lyapunov", f"V falls from {spread[0]:.4f} to {spread[-1]:.4f}"),
        ("strengths", f"max / min from {ratio[0]:.3g} to {ratio[-1]:.4g}"),
    ]
    rows = trajectory_rows(path)
    numbers = zip(spread, found.leak, found.other_leak, strict=True)
    for row, (v, inside, outside) in zip(rows, numbers, strict=True):
        row |= {"lyapunov": v, "leak": inside, "leak_other_basis": outside}
    return Findings(
        title="Hadamard flow: cross-entropy without decay, "
        f"K = {found.config.model.num_classes}, d = {found.feature_dim}",
        facts=facts,
        statements=statements,
        rows=rows,
    )


def draw(found: Found) -> Figure:
    """The flow above; strengths, Lyapunov function and leaks below."""
    from ncjax.style import BLUE, ORANGE  # matplotlib is loaded when used
    from ncjax.ufm.run import figures

    figure = figures.canvas((12.5, 7.2))
    axes = figure.subplots(2, 3)
    figures.flow_panels(axes[0], found.path, None)
    times = found.path.times[1:]
    modes, lyapunov, left = axes[1]
    modes.plot(times, found.strengths[1:], color=BLUE, lw=1.4)
    modes.plot(times[::3], found.scalar[1::3], "o", ms=3, color=ORANGE)
    handles = [modes.lines[0], modes.lines[-1]]
    modes.set_xscale("log")
    figures.panel(modes, "Strengths of the modes", "time")
    modes.legend(
        handles, ["matrix flow", "scalar equations"], frameon=False, fontsize=8
    )
    lyapunov.loglog(times, found.spread[1:], color=BLUE)
    figures.panel(lyapunov, "Lyapunov function V", "time")
    for values, color, label in (
        (found.leak, BLUE, "Hadamard"),
        (found.other_leak, ORANGE, "another basis"),
    ):
        left.loglog(times, np.maximum(values[1:], 1e-17), color=color, label=label)
    figures.panel(left, "Part of the logits outside the first modes", "time")
    return figure


HADAMARD_FLOW = Experiment(solve, state, draw)
