"""The global optimum: solved, certified, compared with theory, reached by flow."""

from __future__ import annotations

import math

import jax
import numpy as np
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.gram import gram_distance, gram_nc2, mean_gram
from ncjax.options import options_of
from ncjax.ufm.run.experiment import Experiment, Field, Progress
from ncjax.ufm.run.report import (
    Report,
    Statement,
    at_least,
    at_most,
    equal,
    trajectory_rows,
)
from ncjax.ufm.run.setting import Setting, flow_of, setting_of
from ncjax.ufm.tables import known_losses
from ncjax.ufm.theory.cross_entropy import origin_curvatures

_SAMPLES = 100  # feature rows up to which the flow has one for each sample

_TOLERANCES = {"objective": 1e-8, "rank": 0.0, "nc2": 1e-4, "nc3": 1e-4}
FIELDS = {
    f"expect.{name}": Field(math.nan, f"published {name}; nan: no statement")
    for name in _TOLERANCES
}


def run(config: ConfigDict, progress: Progress) -> Report:
    """Solves and certifies the model of `config.model`; flows to the same point."""
    from ncjax.ufm.run import figures  # matplotlib is loaded when used

    setting = setting_of(config)
    problem, closed = setting.problem, setting.prediction
    progress("solve")
    solution = ufm.solve(problem, config.seed)
    shape = ufm.geometry(problem.class_point(solution.params))
    value = float(solution.objective)
    progress("certify", f=value)
    certificate = ufm.certify(problem, solution.params)
    limits, twin, statements = certificate.bounds, None, []
    if limits.convex:  # else there is no gap, and no convex twin
        statements.append(at_most("duality gap", limits.gap, 1e-9))
        progress("convex twin", gap=float(limits.gap))
        twin = ufm.solve_convex(problem)
    statements += [
        at_most("entropy identity, error", limits.identity_error, 1e-8),
        at_most("balance of W and H, error", limits.balance_error, 1e-8),
    ]
    if twin is not None:
        text = "objective of the convex problem in the logits"
        statements.append(equal(text, value, twin.objective, 1e-9))
    if closed is not None:
        statements.append(equal("objective", value, closed.objective, 1e-10))
    known, source = (twin, "convex twin") if closed is None else (closed, "theory")
    gram = np.asarray(shape.gram)
    predicted = None
    if known is not None:
        predicted = mean_gram(np.asarray(known.logits))
        statements.append(equal("rank", shape.rank, known.rank, 0))
        if not _trivial(shape):
            text = f"Gram matrix, distance to {source}"
            statements.append(at_most(text, gram_distance(gram, predicted), 1e-5))
    theory = closed.regime if closed else "no closed form: numbers, and duality"
    statements += _expected(config, value, shape) + _saddle(setting, problem)
    progress("flow")
    path, flowed = _flow(config, problem)
    lower = float(limits.lower if limits.convex else np.min(path.objective))
    if limits.convex:
        bound = max(1e-6, 10 * config.flow.stop_gap)
        above = path.objective[-1] - limits.lower
        statements.append(at_most("flow, objective above the optimum", above, bound))
    return Report(
        title=_title(setting, config.model.tree),
        facts=[
            ("optimum", _described(solution, shape)),
            ("certificate", certificate.verdict),
            ("theory", theory),
            *_limit(setting, shape),
            ("flow", flowed),
        ],
        statements=statements,
        rows=trajectory_rows(path),
        figure=figures.optimum(path, lower, gram, predicted, setting.tree, source),
    )


def _trivial(shape: ufm.Geometry) -> bool:
    """Whether all logits are 0, so that there is no geometry."""
    return float(shape.singular_values[0]) < 1e-9


def _flow(config: ConfigDict, problem: ufm.Problem) -> tuple[ufm.Trajectory, str]:
    """Flow of the samples, if these are few, else of the class means, in words too."""
    number = problem.num_classes * config.model.per_class
    moved, labels = "class means", None
    if config.model.per_class > 1 and number <= _SAMPLES:
        labels = np.repeat(np.arange(problem.num_classes), config.model.per_class)
        problem, moved = problem.samples(), f"{number} samples"
    path = flow_of(config, problem, labels)
    end = "stopped at" if path.stopped else "ended at"
    time, gap = float(path.times[-1]), float(path.gap[-1])
    text = f"{moved}, {end} t = {time:.4g}, {int(path.steps)} steps, gap {gap:.1e}"
    return path, text


def _described(solution: ufm.Solution, shape: ufm.Geometry) -> str:
    return (
        f"f = {float(solution.objective):.9g}, rank {int(shape.rank)}, "
        f"NC2 {float(shape.nc2):.4f}, NC3 {float(shape.nc3):.4f} "
        f"({int(solution.iterations)} Newton steps)"
    )


def _limit(setting: Setting, shape: ufm.Geometry) -> list[tuple[str, str]]:
    """The fact about c -> 0, where its geometry is known."""
    limit = setting.limit
    if limit is None or _trivial(shape):
        return []
    gram = mean_gram(limit)
    far, nc2 = gram_distance(np.asarray(shape.gram), gram), gram_nc2(gram)
    return [("c -> 0", f"Gram matrix at distance {far:.4f} (NC2 {nc2:.4f} there)")]


def _expected(config: ConfigDict, value: float, shape: ufm.Geometry) -> list[Statement]:
    """The published numbers, `config.expect`."""
    found = {"objective": value, "rank": shape.rank, "nc2": shape.nc2, "nc3": shape.nc3}
    return [
        equal(f"published {name}", found[name], config.expect[name], tolerance)
        for name, tolerance in _TOLERANCES.items()
        if not math.isnan(config.expect[name])
    ]


def _saddle(setting: Setting, problem: ufm.Problem) -> list[Statement]:
    """The origin is a strict saddle of known curvature: cross-entropy, no bias."""
    model, closed = setting.model, setting.prediction
    plain = setting.options == options_of(known_losses()["cross_entropy"])
    if setting.loss != "cross_entropy" or not plain or model.lambda_b is not None:
        return []
    zero = jax.tree.map(np.zeros_like, problem.scales())
    least = float(ufm.least_curvature(problem, zero).values[0])
    # In the class-mean form features have the mass n: one sample of decay n lH.
    values = origin_curvatures(
        *(model.num_classes, 1, problem.feature_dim),
        *(model.lambda_w, model.sizes * model.lambda_h),
    )
    expected = min(value for value, _ in values)
    statements = [equal("least curvature at the origin", least, expected, 1e-10)]
    if closed is not None and closed.rank > 0:
        statements.append(at_least("origin, escape rate", -least, 1e-12))
    return statements


def _title(setting: Setting, tree: str) -> str:
    """The model in one line: loss and its options, tree, sizes, c.

    Numeric options are always named, others where they differ from their default.
    """
    model = setting.model
    shown = []
    for name, default in options_of(known_losses()[setting.loss]).items():
        value, text = setting.options[name], name.replace("_", " ")
        if isinstance(default, float):
            shown.append(f"{text} {value:g}")
        elif value != default:
            shown.append(f"{text} {value}")
    c, k = model.c, model.num_classes
    parts = [
        f"{setting.loss} ({', '.join(shown)})" if shown else setting.loss,
        f"tree {tree}" if tree else "",
        f"K = {k}, n = {model.sizes}, d = {model.feature_dim or k}",
        f"c = {c:g} (K c = {k * c:g})",
    ]
    return ", ".join(part for part in parts if part)


OPTIMUM = Experiment(run, FIELDS)
