"""The global optimum: solved, certified, compared with theory, reached by flow."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.gram import gram_distance, gram_nc2, mean_gram
from ncjax.options import options_of
from ncjax.ufm.closed_forms import Prediction
from ncjax.ufm.run.experiment import Experiment, Field, Progress
from ncjax.ufm.run.report import (
    Figure,
    Findings,
    Statement,
    at_least,
    at_most,
    equal,
    trajectory_rows,
)
from ncjax.ufm.run.setting import Setting, setting_of
from ncjax.ufm.tables import known_losses
from ncjax.ufm.theory.landscape import origin_curvatures

_SAMPLES = 100  # feature rows up to which the flow has one for each sample

FIELDS = {
    "expect.objective": Field(math.nan, "published objective; nan: no statement"),
    "expect.rank": Field(math.nan, "published rank; nan: no statement"),
    "expect.nc2": Field(math.nan, "published NC2; nan: no statement"),
    "expect.nc3": Field(math.nan, "published NC3; nan: no statement"),
}
_TOLERANCES = {"objective": 1e-8, "rank": 0.0, "nc2": 1e-4, "nc3": 1e-4}


class Found(NamedTuple):
    """Everything computed about one model."""

    setting: Setting
    config: ConfigDict
    solution: ufm.Solution
    geometry: ufm.Geometry
    certificate: ufm.Certificate
    closed: Prediction | None  # the optimum in closed form, where one is known
    twin: ufm.ConvexSolution | None  # the convex problem, where the loss is convex
    least_curvature: float | None  # of the Hessian at the origin, where it is known
    path: ufm.Trajectory
    moved: str  # what the rows of the flow are

    @property
    def reference(self) -> tuple[np.ndarray | None, str]:
        """Logits [K, K] to compare with, and where they come from."""
        if self.closed is not None:
            return self.closed.logits, "theory"
        if self.twin is not None:
            return np.asarray(self.twin.logits), "convex twin"
        return None, ""

    @property
    def gram(self) -> np.ndarray:
        """Gram matrix [K, K] of the centred class means."""
        return np.asarray(self.geometry.gram)

    @property
    def trivial(self) -> bool:
        """Whether all logits are 0, so that there is no geometry."""
        return float(self.geometry.singular_values[0]) < 1e-9


def solve(config: ConfigDict, progress: Progress) -> Found:
    """Solves and certifies the model of `config.model`; flows to the same point."""
    setting = setting_of(config)
    problem, closed = setting.problem, setting.prediction
    progress("solve")
    solution = ufm.solve(problem, config.seed)
    progress("certify", f=float(solution.objective))
    certificate = ufm.certify(problem, solution.params)
    limits = certificate.bounds
    twin = None
    if limits.convex:  # else there is no gap, and no convex twin
        progress("convex twin", gap=float(limits.gap))
        twin = ufm.solve_convex(problem)
    least = None
    if _plain(setting) and closed is not None:
        zero = jax.tree.map(np.zeros_like, problem.scales())
        least = float(ufm.least_curvature(problem, zero).values[0])
    progress("flow")
    path, moved = _flow(config, problem)
    return Found(
        setting=setting,
        config=config,
        solution=solution,
        geometry=ufm.geometry(solution.params),
        certificate=certificate,
        closed=closed,
        twin=twin,
        least_curvature=least,
        path=path,
        moved=moved,
    )


def _plain(setting: Setting) -> bool:
    """Whether the curvature at the origin is known: cross-entropy, no bias."""
    hard = setting.options.get("label_smoothing", 0) == 0
    plain = setting.loss == "cross_entropy" and hard
    return plain and setting.model.lambda_b is None


def _flow(config: ConfigDict, problem: ufm.Problem) -> tuple[ufm.Trajectory, str]:
    """Flow of the samples, if these are few, else of the class means."""
    flow, many = config.flow, problem.num_classes * config.model.per_class
    labels, what, moving = None, "class means", problem
    if config.model.per_class > 1 and many <= _SAMPLES:
        moving, what = problem.samples(), f"{many} samples"
        labels = np.repeat(np.arange(problem.num_classes), config.model.per_class)
    path = ufm.flow(
        moving,
        ufm.small_start(moving, config.seed, flow.scale),
        t_max=flow.t_max,
        points=flow.points,
        stop_gap=flow.stop_gap,
        labels=labels,
    )
    return path, what


def state(found: Found) -> Findings:
    """What holds or fails, in words and numbers."""
    limits, solution = found.certificate.bounds, found.solution
    statements = []
    if limits.convex:
        statements.append(at_most("duality gap", limits.gap, 1e-9))
    statements += [
        at_most("entropy identity, error", limits.identity_error, 1e-8),
        at_most("balance of W and H, error", limits.balance_error, 1e-8),
    ]
    if found.twin is not None:
        text = "objective of the convex problem in the logits"
        statements.append(equal(text, solution.objective, found.twin.objective, 1e-9))
    statements += _against_theory(found)
    statements += _expected(found)
    statements += _saddle(found)
    if limits.convex:
        above = float(found.path.objective[-1] - limits.lower)
        bound = max(1e-6, 10 * found.config.flow.stop_gap)
        statements.append(at_most("flow, objective above the optimum", above, bound))
    return Findings(
        title=title_of(found.setting),
        facts=_facts(found),
        statements=statements,
        rows=trajectory_rows(found.path),
    )


def _facts(found: Found) -> list[tuple[str, str]]:
    solution, shape, path = found.solution, found.geometry, found.path
    theory = "no closed form: numbers, and duality"
    facts = [
        (
            "optimum",
            f"f = {float(solution.objective):.9g}, rank {int(shape.rank)}, "
            f"NC2 {float(shape.nc2):.4f}, NC3 {float(shape.nc3):.4f} "
            f"({int(solution.iterations)} Newton steps)",
        ),
        ("certificate", found.certificate.verdict),
        ("theory", found.closed.regime if found.closed else theory),
    ]
    limit = found.setting.limit
    if limit is not None and not found.trivial:
        gram = mean_gram(limit)
        far = gram_distance(found.gram, gram)
        text = f"Gram matrix at distance {far:.4f} (NC2 {gram_nc2(gram):.4f} there)"
        facts.append(("c -> 0", text))
    end = "stopped at" if path.stopped else "ended at"
    reached = f"{end} t = {float(path.times[-1]):.4g}, {int(path.steps)} steps"
    text = f"{found.moved}, {reached}, gap {float(path.gap[-1]):.1e}"
    return [*facts, ("flow", text)]


def _against_theory(found: Found) -> list[Statement]:
    """Objective, rank and Gram matrix against the closed form or the convex twin."""
    statements, shape = [], found.geometry
    if found.closed is not None:
        value = found.solution.objective
        statements.append(equal("objective", value, found.closed.objective, 1e-10))
        statements.append(equal("rank", shape.rank, found.closed.rank, 0))
    elif found.twin is not None:
        statements.append(equal("rank", shape.rank, found.twin.rank, 0))
    logits, name = found.reference
    if logits is not None and not found.trivial:
        distance = gram_distance(found.gram, mean_gram(logits))
        statements.append(at_most(f"Gram matrix, distance to {name}", distance, 1e-5))
    return statements


def _expected(found: Found) -> list[Statement]:
    """The published numbers, `config.expect`."""
    shape, expect = found.geometry, found.config.expect
    values: dict[str, Any] = {
        "objective": found.solution.objective,
        "rank": shape.rank,
        "nc2": shape.nc2,
        "nc3": shape.nc3,
    }
    return [
        equal(f"published {name}", value, expect[name], _TOLERANCES[name])
        for name, value in values.items()
        if not math.isnan(expect[name])
    ]


def _saddle(found: Found) -> list[Statement]:
    """The origin is a strict saddle of the curvature that theory gives."""
    if found.least_curvature is None or found.closed is None:
        return []
    model, width = found.setting.model, found.setting.problem.feature_dim
    # In the class-mean form features have the mass n: one sample of decay n lH.
    values = origin_curvatures(
        *(model.num_classes, 1, width, model.lambda_w, model.per_class * model.lambda_h)
    )
    expected, least = min(v for v, _ in values), found.least_curvature
    statements = [equal("least curvature at the origin", least, expected, 1e-10)]
    if found.closed.objective < math.log(model.num_classes):
        statements.append(at_least("origin, escape rate", -least, 1e-12))
    return statements


def title_of(setting: Setting) -> str:
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
        f"tree {setting.tree_name}" if setting.tree_name else "",
        f"K = {k}, n = {model.per_class}, d = {model.feature_dim or k}",
        f"c = {c:g} (K c = {k * c:g})",
    ]
    return ", ".join(part for part in parts if part)


def draw(found: Found) -> Figure:
    """The flow, and the Gram matrix of the optimum beside the predicted one."""
    from ncjax.ufm.run import figures  # matplotlib is loaded when used

    limits, (logits, name) = found.certificate.bounds, found.reference
    lowest = float(np.min(found.path.objective))
    return figures.optimum(
        found.path,
        float(limits.lower) if limits.convex else lowest,
        found.gram,
        None if logits is None else mean_gram(logits),
        found.setting.class_names,
        name,
    )


OPTIMUM = Experiment(solve, state, draw, FIELDS)
