"""Where small classes merge."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.options import ConfigError
from ncjax.ufm.run.experiment import Experiment, Field, Progress
from ncjax.ufm.run.grid import solve_certified
from ncjax.ufm.run.report import Figure, Findings, at_most, equal
from ncjax.ufm.theory.minority import ridge_threshold

FIELDS = {
    "minority.classes": Field(5, "number of small classes, the last ones", 1),
    "minority.per_class": Field(100, "their size; others have model.per_class", 0),
}
# Contrast of two small classes at mu; theory, K = 5 + 5, n = 500 / 100.
_CONTRASTS = {0.0030: 0.6682, 0.0033: 0.0820, 0.0034: 0.0}


class Found(NamedTuple):
    """Everything computed, for B strengths mu = sqrt(lW lH)."""

    sizes: np.ndarray  # n_k [K]; the small classes come last
    small: int  # number of small classes
    strengths: list[float]  # mu [B], ascending
    contrast: np.ndarray  # [B] logits that tell two small classes apart
    gap: np.ndarray  # [B] duality gap
    means: np.ndarray  # [B, K, d] class means

    @property
    def threshold(self) -> float:
        """The strength at which theory lets small classes merge, sqrt(n_B)/N."""
        return float(np.sqrt(self.sizes[-1]) / self.sizes.sum())


def solve(config: ConfigDict, progress: Progress) -> Found:
    """Solves the model of `config.minority` for every mu in `config.grid`."""
    model, small = config.model, config.minority
    k, big = model.num_classes, model.num_classes - small.classes
    if big < 1 or not config.grid or model.loss != "cross_entropy":
        raise ConfigError(
            "minority needs cross_entropy, config.grid, and fewer minority.classes "
            f"than model.num_classes = {k}; got {model.loss!r}, {len(config.grid)} "
            f"grid values and {small.classes}."
        )
    sizes = np.array([model.per_class] * big + [small.per_class] * small.classes)
    strengths = sorted(float(x) for x in config.grid)
    progress("solve", problems=len(strengths))
    problems = [
        ufm.Problem.create(lambda_w=x, lambda_h=x, sizes=sizes) for x in strengths
    ]
    found, gap = solve_certified(problems)
    logits = found.params["H"] @ np.swapaxes(found.params["W"], 1, 2)
    return Found(
        sizes=sizes,
        small=small.classes,
        strengths=strengths,
        contrast=logits[:, -1, -1] - logits[:, -1, -2],
        gap=gap,
        means=np.asarray(found.params["H"]),
    )


def state(found: Found) -> Findings:
    """Small classes merge where n_B <= N^2 lW lH."""
    large, small = int(found.sizes[0]), int(found.sizes[-1])
    total, big = int(found.sizes.sum()), len(found.sizes) - found.small
    merged = [small <= ridge_threshold(total, x, x) for x in found.strengths]
    wrong = np.sum((found.contrast < 1e-6) != np.array(merged))
    statements = [
        at_most("duality gap, largest", found.gap.max(), 1e-9),
        equal("strengths on the wrong side of the threshold", wrong, 0, 0),
    ]
    if (big, found.small, large, small) == (5, 5, 500, 100):
        for x, value in zip(found.strengths, found.contrast, strict=True):
            if (known := _CONTRASTS.get(round(float(x), 10))) is not None:
                statements.append(equal(f"contrast at mu = {x:g}", value, known, 6e-5))
    columns = zip(found.strengths, found.contrast, found.gap, strict=True)
    return Findings(
        title=f"Minority collapse: cross-entropy, K = {len(found.sizes)}, "
        f"{len(found.strengths)} strengths",
        facts=[
            ("threshold", f"mu = sqrt(n_B)/N = {found.threshold:.7g}"),
            ("classes", f"{big} of {large}, {found.small} of {small}"),
        ],
        statements=statements,
        rows=[{"mu": x, "contrast": y, "gap": gap} for x, y, gap in columns],
    )


def draw(found: Found) -> Figure:
    """The contrast over mu, and the class means at both ends."""
    from ncjax.style import BLUE  # matplotlib is loaded when used
    from ncjax.ufm.run import figures

    figure = figures.canvas((13, 4))
    axes = figure.subplots(1, 3, width_ratios=(1.2, 1, 1))
    axes[0].plot(found.strengths, found.contrast, "o-", ms=4, color=BLUE)
    figures.threshold(axes[0], found.threshold, "sqrt(n_B) / N")
    figures.panel(axes[0], "Contrast of two small classes", "mu")
    grams = [
        (f"Class means, mu = {found.strengths[i]:.4g}", means @ means.T)
        for i, means in ((0, found.means[0]), (-1, found.means[-1]))
    ]
    names = [str(i) for i in range(len(found.sizes))]
    figures.gram_panels(figure, axes[1:], grams, names)
    return figure


MINORITY = Experiment(solve, state, draw, FIELDS)
