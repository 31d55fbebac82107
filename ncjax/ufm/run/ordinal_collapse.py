"""Ordinal levels: on one line, in order, in the middle of their thresholds."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.options import ConfigError, options_of
from ncjax.ordinal import make_thresholds
from ncjax.ufm.ordinal import ordinal
from ncjax.ufm.run.experiment import Experiment, Progress
from ncjax.ufm.run.report import Figure, Report, Statement, at_most, equal, no_error
from ncjax.ufm.run.setting import decays, flow_of, setting_of, solve_certified
from ncjax.ufm.theory.ordinal import OrdinalOptimum, limit_latent, ordinal_optimum

_MIDDLE = 1e-3  # off the middle of the thresholds, over half the gap, at small decays


def run(config: ConfigDict, progress: Progress) -> Report:
    """Features of a level on the line of w, z_q by scalar equations, 0 from C on.

    The model of `config.model`, and the same for every value of lW lH over C in
    `config.grid`, where C is the place at which all levels become one point.
    """
    _check(config)
    setting, shares = setting_of(config), sorted(map(float, config.grid))
    theory = _theory(config, config.model.c)
    progress("solve")
    solution = ufm.solve(setting.problem, config.seed)
    certificate = ufm.certify(setting.problem, solution.params)
    progress("phase", problems=len(shares))
    places = [np.sqrt(config.model.per_class * x * theory.critical) for x in shares]
    found, gaps = solve_certified([setting_of(config, c=c).problem for c in places])
    latent = (found.params["H"] @ np.swapaxes(found.params["W"], 1, 2))[..., 0]
    wanted = [_theory(config, c) for c in places]
    progress("flow")
    path = flow_of(config, setting.problem)
    statements = [
        at_most("duality gap", certificate.bounds.gap, 1e-9),
        *_at_optimum(solution, theory),
        at_most("duality gap, largest of all decays", gaps.max(), 1e-9),
        no_error(
            "z of all decays", latent - np.array([x.latent for x in wanted]), 1e-5
        ),
        equal(
            "decays on the wrong side of lW lH = C",
            np.sum((np.abs(latent).max(1) > 1e-6) != (np.array(shares) < 1)),
            *(0, 0),
        ),
    ]
    off = _off_middle(config, latent)
    if off.shape[1] and shares[0] < 1e-7:
        text = f"inner levels off the middle at lW lH = {shares[0]:g} C"
        statements.append(at_most(text, off[0].max(), _MIDDLE))
    model, end = config.model, f"gap {float(path.gap[-1]):.1e}"
    return Report(
        title=f"Ordinal, {model.link}: K = {model.num_classes}, n = {model.per_class}, "
        f"c = {model.c:g}, {len(shares)} decays",
        facts=[
            ("certificate", certificate.verdict),
            ("theory", theory.regime),
            ("latent z", np.array2string(theory.latent, precision=3)),
            ("flow", f"to t = {float(path.times[-1]):.4g}, {end}"),
        ],
        statements=statements,
        rows=[
            {"share": x, "gap": gap, "latent": z, "predicted": w.latent}
            for x, gap, z, w in zip(shares, gaps, latent, wanted, strict=True)
        ],
        figure=_draw(config, path, certificate, (shares, latent, off), theory),
    )


def _check(config: ConfigDict) -> None:
    if config.model.loss != "ordinal" or not config.grid:
        raise ConfigError(
            "ordinal needs config.model.loss = 'ordinal', and in config.grid values of "
            "lW lH over C, at which all levels become one point."
        )


def _thresholds(config: ConfigDict) -> tuple[float, ...]:
    model = config.model
    return make_thresholds(model.num_classes, tuple(model.thresholds), model.gap)


def _theory(config: ConfigDict, c: float) -> OrdinalOptimum:
    """The optimum by scalar equations, for another c."""
    model = config.model
    sizes = np.full(model.num_classes, model.per_class)
    pair = decays(c, model.ratio, model.per_class)
    return ordinal_optimum(_thresholds(config), sizes, *pair, link=model.link)


def _at_optimum(solution: ufm.Solution, theory: OrdinalOptimum) -> list[Statement]:
    """The statements on one optimum: objective, ONC2, ONC3, and the length of w."""
    direction, features = solution.params["W"][0], solution.params["H"]
    z, norm = features @ direction, np.linalg.norm(direction)
    statements = [
        equal("objective", solution.objective, theory.objective, 1e-10),
        no_error("z", z - theory.latent, 1e-6),
        equal("|w|", norm, theory.classifier_norm, 1e-6),
    ]
    if theory.latent.any():
        beside = features - np.outer(z, direction) / norm**2
        share = np.sum(beside**2) / np.sum(features**2)
        order = np.sum(np.diff(z) > 0)
        statements += [
            at_most("ONC2, features beside w", share, 1e-12),
            equal("neighbouring levels in order", order, len(z) - 1, 0),
        ]
    return statements


def _off_middle(config: ConfigDict, latent: np.ndarray) -> np.ndarray:
    """|z_q - m_q| over half the gap of inner levels, of all decays [B, K - 2]."""
    thresholds = np.array(_thresholds(config))
    middles = limit_latent(thresholds)[1:-1]
    return np.abs(latent[:, 1:-1] - middles) / (np.diff(thresholds) / 2)


def _draw(
    config: ConfigDict,
    path: ufm.Trajectory,
    certificate: ufm.Certificate,
    found: tuple[Sequence[float], np.ndarray, np.ndarray],
    theory: OrdinalOptimum,
) -> Figure:
    """The flow, the losses with the optimum on them, and the levels over the decay."""
    from ncjax.style import BLUE, GREY, ORANGE  # matplotlib is loaded when used
    from ncjax.ufm.run import figures

    shares, latent, off = found
    thresholds = _thresholds(config)
    figure, axes = figures.panels((12.5, 7.2), 2, 3)
    figures.flow_panels(axes[0], path, float(certificate.bounds.lower))
    axes[0, 2].clear()
    losses, places = _losses(config, theory)
    for column in losses.T:
        axes[0, 2].plot(places, column, color=BLUE, lw=1)
    at = _losses(config, theory, theory.latent)[0]
    axes[0, 2].plot(theory.latent, np.diag(at), "o", ms=4, color=ORANGE)
    axes[0, 2].set_ylim(0, max(2.5, 1.2 * float(np.diag(at).max())))
    figures.panel(axes[0, 2], "Losses of the levels, and the optimum", "z")
    fine = np.geomspace(shares[0], shares[-1], 200)
    lines = [
        _theory(config, np.sqrt(config.model.per_class * x * theory.critical)).latent
        for x in fine.tolist()
    ]
    for threshold in thresholds:
        axes[1, 0].axhline(threshold, color=GREY, lw=0.7, ls=":")
    axes[1, 0].plot(fine, np.array(lines), color=ORANGE, lw=1.1)
    axes[1, 0].plot(shares, latent, "o", ms=3, color=BLUE)
    figures.panel(axes[1, 0], "z of the levels; dotted: thresholds", "lW lH / C")
    if off.shape[1]:
        axes[1, 1].loglog(shares, off.max(1), "o-", ms=3, color=BLUE)
        figures.threshold(axes[1, 1], 1.0, "C")
    title = "Inner levels off the middle, over half the gap"
    figures.panel(axes[1, 1], title, "lW lH / C")
    radius = np.linalg.norm(latent, axis=1)
    axes[1, 2].plot(shares, radius, "o", ms=3, color=BLUE, label="solved")
    axes[1, 2].plot(fine, np.linalg.norm(lines, axis=1), color=ORANGE, label="theory")
    figures.panel(axes[1, 2], "|z| over all levels", "lW lH / C")
    for axis in (axes[1, 0], axes[1, 2]):
        axis.set_xscale("log")
        figures.threshold(axis, 1.0, "C")
    return figure


def _losses(
    config: ConfigDict, theory: OrdinalOptimum, places: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The loss of each level [n, K] at latent numbers z [n], and these."""
    options = {name: config.model[name] for name in options_of(ordinal)}
    fit = ordinal(config.model.num_classes, **options)
    if places is None:
        wide = 1.2 * max(1.0, *np.abs(_thresholds(config)), *np.abs(theory.latent))
        places = np.linspace(-wide, wide, 300)
    with jax.enable_x64(True):
        each = jax.vmap(lambda z: fit.losses(np.ones((fit.levels, 1)) * z))
        return np.asarray(each(np.asarray(places))), places


ORDINAL = Experiment(
    run,
    uses=(
        *("loss", "num_classes", "per_class", "feature_dim", "c", "ratio"),
        *options_of(ordinal),
    ),
)
