"""Flow from Hadamard initialisation: frozen singular vectors, scalar equations."""

from __future__ import annotations

import numpy as np
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.options import ConfigError
from ncjax.ufm.run.experiment import Experiment, Progress
from ncjax.ufm.run.report import Report, at_least, at_most, no_error, trajectory_rows
from ncjax.ufm.run.setting import setting_of
from ncjax.ufm.theory import hadamard as theory


def run(config: ConfigDict, progress: Progress) -> Report:
    """Matrix flow agrees with K - 1 scalar equations; the Lyapunov function falls.

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
    start_strengths = np.random.default_rng(config.seed).uniform(0.05, 1, classes - 1)
    width = problem.feature_dim
    progress("flow from Hadamard")
    start = ufm.modal_start(start_strengths, feature_dim=width)
    path = ufm.flow(problem, start, t_max=flow.t_max, points=flow.points)
    strengths, leak = ufm.mode_strengths(path.params, basis)
    progress("scalar equations")
    scalar = ufm.strength_flow(start_strengths, path.times)
    progress("flow from another basis")
    other = ufm.random_basis(classes, config.seed)
    turned = ufm.modal_start(start_strengths, basis=other, feature_dim=width)
    second = ufm.flow(problem, turned, t_max=flow.t_max, points=flow.points)
    _, other_leak = ufm.mode_strengths(second.params, other)
    progress("descent")
    early = ufm.descend(problem, start, learning_rate=0.005, times=[0.0, 20.0])
    late, _ = ufm.mode_strengths(early.params, basis)
    at_20 = ufm.strength_flow(start_strengths, [0.0, 20.0])[-1]
    spread = np.array([theory.spread(s) for s in strengths])
    ratio = strengths.max(axis=1) / strengths.min(axis=1)
    rows = trajectory_rows(path)
    numbers = zip(spread, leak, other_leak, strict=True)
    for row, (v, inside, outside) in zip(rows, numbers, strict=True):
        row |= {"lyapunov": v, "leak": inside, "leak_other_basis": outside}
    statements = [
        at_most("singular vectors, largest part that left", leak.max(), 1e-8),
        no_error("strengths", strengths - scalar, 1e-5),
        at_most("Lyapunov function, largest step", np.diff(spread).max(), 0.0),
        at_most("max s / min s, largest step", np.diff(ratio).max(), 0.0),
        at_most("W'W - HH', relative drift", np.max(path.drift), 1e-6),
        at_most("descent at t = 20, error", np.abs(late[-1] - at_20).max(), 2e-3),
    ]
    if classes > 2:  # two classes have one mode, which no basis can leave
        left = at_least("another basis, part that left", other_leak.max(), 1e-2)
        statements.append(left)
    return Report(
        title=f"Hadamard flow: cross-entropy without decay, K = {classes}, d = {width}",
        facts=[
            ("flow", f"to t = {flow.t_max:g} in {int(path.steps)} steps"),
            ("Lyapunov", f"V falls from {spread[0]:.4f} to {spread[-1]:.4f}"),
            ("strengths", f"max / min from {ratio[0]:.3g} to {ratio[-1]:.4g}"),
        ],
        statements=statements,
        rows=rows,
        figure=_draw(path, strengths, scalar, spread, (leak, other_leak)),
    )


def _draw(path, strengths, scalar, spread, leaks):
    """The flow above; strengths, Lyapunov function and leaks below."""
    from ncjax.style import BLUE, ORANGE  # matplotlib is loaded when used
    from ncjax.ufm.run import figures

    figure, axes = figures.panels((12.5, 7.2), 2, 3)
    figures.flow_panels(axes[0], path, None)
    times = path.times[1:]
    modes, lyapunov, left = axes[1]
    modes.plot(times, strengths[1:], color=BLUE, lw=1.4)
    modes.plot(times[::3], scalar[1::3], "o", ms=3, color=ORANGE)
    modes.lines[0].set_label("matrix flow")
    modes.lines[-1].set_label("scalar equations")
    modes.set_xscale("log")
    figures.panel(modes, "Strengths of the modes", "time")
    lyapunov.loglog(times, spread[1:], color=BLUE)
    figures.panel(lyapunov, "Lyapunov function V", "time")
    for values, color, label in zip(
        leaks, (BLUE, ORANGE), ("Hadamard", "another basis"), strict=True
    ):
        left.loglog(times, np.maximum(values[1:], 1e-17), color=color, label=label)
    figures.panel(left, "Part of the logits outside the first modes", "time")
    return figure


HADAMARD_FLOW = Experiment(
    run, uses=("loss", "num_classes", "per_class", "feature_dim")
)
