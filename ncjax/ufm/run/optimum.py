"""The global optimum: solved, certified, compared with theory, reached by flow."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import numpy as np
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.gram import gram_nc2, mean_gram
from ncjax.ufm.run import figures
from ncjax.ufm.run.prediction import limit_gram, predict
from ncjax.ufm.run.report import Report, at_least, at_most, equal, trajectory_rows
from ncjax.ufm.run.settings import class_names, decays, problem_of
from ncjax.ufm.theory.landscape import origin_curvatures

_SAMPLES = 100  # feature rows up to which the flow has one for each sample


def optimum(config: ConfigDict, progress: Callable) -> Report:
    """Solves and certifies the model of `config.model`; flows to the same point."""
    problem, closed = problem_of(config), predict(config)
    progress("solve")
    solution = ufm.solve(problem, config.seed)
    shape = ufm.geometry(solution.params)
    progress("certify", f=float(solution.objective))
    certificate = ufm.certify(problem, solution.params)
    limits = certificate.bounds
    facts = [
        (
            "optimum",
            f"f = {float(solution.objective):.9g}, rank {int(shape.rank)}, "
            f"NC2 {float(shape.nc2):.4f}, NC3 {float(shape.nc3):.4f} "
            f"({int(solution.iterations)} Newton steps)",
        ),
        ("certificate", certificate.verdict),
        ("theory", closed.regime if closed else "no closed form: numbers, and duality"),
    ]
    statements = [
        at_most("entropy identity, error", limits.identity_error, 1e-8),
        at_most("balance of W and H, error", limits.balance_error, 1e-8),
    ]
    # Depth weights are not convex: no gap, no convex twin.
    convex = problem.not_convex is None and bool(limits.convex)
    twin = None
    if convex:
        statements.insert(0, at_most("duality gap", limits.gap, 1e-9))
        progress("convex twin", gap=float(limits.gap))
        twin = ufm.solve_convex(problem)
        text = "objective of the convex problem in the logits"
        statements.append(equal(text, solution.objective, twin.objective, 1e-9))
    reference, name = (closed.logits, "theory") if closed else (None, "")
    if closed:
        statements.append(
            equal("objective", solution.objective, closed.objective, 1e-10)
        )
        statements.append(equal("rank", shape.rank, closed.rank, 0))
    elif twin is not None:
        reference, name = twin.logits, "convex twin"
        statements.append(equal("rank", shape.rank, twin.rank, 0))
    trivial = float(shape.singular_values[0]) < 1e-9
    if reference is not None and not trivial:
        distance = figures.gram_distance(shape.gram, mean_gram(reference))
        statements.append(at_most(f"Gram matrix, distance to {name}", distance, 1e-5))
    statements += _expected(config, solution, shape)
    statements += _saddle(config, problem, closed)
    limit = limit_gram(config)
    if limit is not None and not trivial:
        far = figures.gram_distance(shape.gram, mean_gram(limit))
        text = (
            f"Gram matrix at distance {far:.4f} (NC2 {gram_nc2(mean_gram(limit)):.4f}"
        )
        facts.append(("c -> 0", f"{text} there)"))
    path, reached = _flow(config, problem, progress)
    facts.append(("flow", reached))
    if convex:
        above = float(path.objective[-1] - limits.lower)
        bound = max(1e-6, 10 * config.flow.stop_gap)
        statements.append(at_most("flow, objective above the optimum", above, bound))
    figure = figures.optimum(
        path,
        float(limits.lower) if convex else float(np.min(path.objective)),
        np.asarray(shape.gram),
        None if reference is None else mean_gram(reference),
        class_names(config),
        name,
    )
    return Report(_title(config, problem), facts, statements, _rows(path), figure)


def _rows(path):
    return trajectory_rows(path)


def _flow(config, problem, progress):
    """Flow of the samples, if these are few, else of the class means."""
    flow, many = config.flow, problem.num_classes * config.model.per_class
    labels, what = None, "class means"
    if config.model.per_class > 1 and many <= _SAMPLES:
        problem, what = problem.samples(), f"{many} samples"
        labels = np.repeat(np.arange(problem.num_classes), config.model.per_class)
    progress("flow")
    start = ufm.small_start(problem, config.seed, flow.scale)
    stop = flow.stop_gap if problem.not_convex is None else None
    path = ufm.flow(
        *(problem, start),
        t_max=flow.t_max,
        points=flow.points,
        stop_gap=stop,
        labels=labels,
    )
    end = "stopped at" if path.stopped else "ended at"
    text = f"{what}, {end} t = {float(path.times[-1]):.4g}, {int(path.steps)} steps"
    return path, f"{text}, gap {float(path.gap[-1]):.1e}"


def _expected(config, solution, shape):
    """The numbers given in the configuration."""
    found = {
        "objective": (solution.objective, 1e-8),
        "rank": (shape.rank, 0.0),
        "nc2": (shape.nc2, 1e-4),
        "nc3": (shape.nc3, 1e-4),
    }
    return [
        equal(f"published {name}", value, config.expect[name], tolerance)
        for name, (value, tolerance) in found.items()
        if not math.isnan(config.expect[name])
    ]


def _saddle(config, problem, closed):
    """The origin is a strict saddle of the curvature that theory gives."""
    model = config.model
    plain = model.loss == "cross_entropy" and model.label_smoothing == 0
    if not plain or closed is None or model.lambda_b != -1:
        return []
    lambda_w, lambda_h = decays(config)
    width = problem.feature_dim
    # In the class-mean form features have the mass n: one sample of decay n lH.
    values = origin_curvatures(
        *(problem.num_classes, 1, width, lambda_w, model.per_class * lambda_h)
    )
    zero = jax.tree.map(np.zeros_like, problem.scales())
    least = ufm.least_curvature(problem, zero).values[0]
    statements = [
        equal("least curvature at the origin", least, min(v for v, _ in values), 1e-10)
    ]
    if closed.objective < math.log(problem.num_classes):
        statements.append(at_least("origin, escape rate", -least, 1e-12))
    return statements


def _title(config, problem):
    model = config.model
    option = {
        "cross_entropy": f"label smoothing {model.label_smoothing:g}",
        "soft_labels": f"beta {model.beta:g}",
        "hxe": f"alpha {model.alpha:g}, {model.weighting} weights",
    }.get(model.loss, "")
    parts = [
        f"{model.loss}{f' ({option})' if option else ''}",
        f"tree {model.tree}" if model.tree else "",
        f"K = {problem.num_classes}, n = {model.per_class}, d = {problem.feature_dim}",
        f"c = {model.c:g} (K c = {problem.num_classes * model.c:g})",
    ]
    return ", ".join(part for part in parts if part)
