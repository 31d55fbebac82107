"""Where small classes merge."""

from __future__ import annotations

import numpy as np
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.options import ConfigError
from ncjax.ufm.run.experiment import Experiment, Field, Progress
from ncjax.ufm.run.report import Report, at_most, equal
from ncjax.ufm.run.setting import solve_certified
from ncjax.ufm.theory.minority import ridge_threshold

FIELDS = {
    "minority.classes": Field(5, "number of small classes, the last ones", 1),
    "minority.per_class": Field(100, "their size; others have model.per_class", 0),
}
# Contrast of two small classes at mu; theory, K = 5 + 5, n = 500 / 100.
_CONTRASTS = {0.0030: 0.6682, 0.0033: 0.0820, 0.0034: 0.0}


def run(config: ConfigDict, progress: Progress) -> Report:
    """Small classes merge where n_B <= N^2 lW lH, over mu = sqrt(lW lH) in the grid."""
    model, small = config.model, config.minority
    k, big = model.num_classes, model.num_classes - small.classes
    if big < 1 or not config.grid or model.loss != "cross_entropy":
        raise ConfigError(
            "minority needs cross_entropy, config.grid, and fewer minority.classes "
            f"than model.num_classes = {k}; got {model.loss!r}, {len(config.grid)} "
            f"grid values and {small.classes}."
        )
    sizes = np.array([model.per_class] * big + [small.per_class] * small.classes)
    total, strengths = int(sizes.sum()), sorted(float(x) for x in config.grid)
    progress("solve", problems=len(strengths))
    found, gap = solve_certified(
        [ufm.Problem.create(lambda_w=x, lambda_h=x, sizes=sizes) for x in strengths]
    )
    logits = found.params["H"] @ np.swapaxes(found.params["W"], 1, 2)
    contrast = logits[:, -1, -1] - logits[:, -1, -2]
    place = float(np.sqrt(small.per_class) / total)
    merged = [small.per_class <= ridge_threshold(total, x, x) for x in strengths]
    wrong = np.sum((contrast < 1e-6) != np.array(merged))
    statements = [
        at_most("duality gap, largest", gap.max(), 1e-9),
        equal("strengths on the wrong side of the threshold", wrong, 0, 0),
    ]
    if (big, small.classes, model.per_class, small.per_class) == (5, 5, 500, 100):
        for x, value in zip(strengths, contrast, strict=True):
            if (known := _CONTRASTS.get(round(x, 10))) is not None:
                statements.append(equal(f"contrast at mu = {x:g}", value, known, 6e-5))
    columns = zip(strengths, contrast, gap, strict=True)
    sides = f"{big} of {model.per_class}, {small.classes} of {small.per_class}"
    return Report(
        title=f"Minority collapse: cross-entropy, K = {k}, {len(strengths)} strengths",
        facts=[("threshold", f"mu = sqrt(n_B)/N = {place:.7g}"), ("classes", sides)],
        statements=statements,
        rows=[{"mu": x, "contrast": y, "gap": gap} for x, y, gap in columns],
        figure=_draw(strengths, contrast, place, found.params["H"]),
    )


def _draw(strengths, contrast, place, means):
    """The contrast over mu, and the class means at both ends."""
    from ncjax.style import BLUE  # matplotlib is loaded when used
    from ncjax.ufm.run import figures

    figure, axes = figures.panels((13, 4), 1, 3, width_ratios=(1.2, 1, 1))
    axes[0].plot(strengths, contrast, "o-", ms=4, color=BLUE)
    figures.threshold(axes[0], place, "sqrt(n_B) / N")
    figures.panel(axes[0], "Contrast of two small classes", "mu")
    grams = [
        (f"Class means, mu = {strengths[i]:.4g}", means[i] @ means[i].T)
        for i in (0, -1)
    ]
    figures.gram_panels(figure, axes[1:], grams)
    return figure


MINORITY = Experiment(run, FIELDS, uses=("loss", "num_classes", "per_class"))
