"""Signed descent with decoupled decay: the row sum does not vanish."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ncjax.losses import cross_entropy
from ncjax.optimizers import signumw
from ncjax.options import ConfigError
from ncjax.ufm.precision import double
from ncjax.ufm.run.experiment import Experiment, Field, Progress
from ncjax.ufm.run.report import Report, equal, no_error
from ncjax.ufm.theory.row_sum import signed_limit, signed_row_sum

FIELDS = {
    "signed.weight_decay": Field(0.1, "decoupled decay lambda", 0),
    "signed.learning_rate": Field(0.01, "learning rate eta", 0),
    "signed.steps": Field(20_000, "number of steps", 0),
}
_LARGEST_GAP = 30.0  # beyond it float64 rounds the true class's gradient to 0
_PUBLISHED = {(4, 0.1): 1600.0}  # derived with the K that Theorem 3.3 leaves out


def run(config: ConfigDict, progress: Progress) -> Report:
    """|W'1|^2 goes to K (K-2)^2/lambda^2, for features at the K unit vectors.

    With one-hot labels the sign of every gradient is then fixed, so that W follows a
    closed form.
    """
    classes, own = config.model.num_classes, config.signed
    if classes < 2 or config.model.loss != "cross_entropy":
        raise ConfigError(
            "signed_descent needs config.model.num_classes of at least 2 and "
            f"cross_entropy, got {classes} and {config.model.loss!r}."
        )
    decay, rate, steps = own.weight_decay, own.learning_rate, int(own.steps)
    if rate * decay >= 1 or 2 / decay > _LARGEST_GAP:
        raise ConfigError(
            f"config.signed.weight_decay = {decay:g} must be at least "
            f"{2 / _LARGEST_GAP:.3g}, for float64 has no gradient of logits 2/lambda "
            f"apart, and times the learning rate {rate:g} less than 1."
        )
    progress("descent", steps=steps)
    path = np.asarray(_descend(classes, decay, rate, steps, config.seed))
    times = np.arange(steps + 1)
    want = signed_row_sum(times[:, None], rate, decay, classes, path[0])
    square, limit = np.sum(path**2, axis=1), signed_limit(classes, decay)
    left = (1 - rate * decay) ** steps
    statements = [
        no_error("row sum over its closed form", path - want, 1e-9),
        equal(
            "|W'1|^2 over K (K-2)^2/lambda^2", square[-1] / limit, 1, 3 * left + 1e-9
        ),
    ]
    if (known := _PUBLISHED.get((classes, decay))) is not None:
        statements.append(equal("|W'1|^2", square[-1], known, 1e-3))
    seen = np.unique(np.geomspace(1, steps, 60).round().astype(int))
    return Report(
        title=f"Signed descent: K = {classes}, lambda = {decay:g}, eta = {rate:g}",
        facts=[
            ("limit", f"|W'1|^2 = K (K-2)^2/lambda^2 = {limit:.6g}"),
            ("printed", f"Theorem 3.3: {limit / classes:.6g}, right for (1/K)|W'1|^2"),
        ],
        statements=statements,
        rows=[{"step": t, "square": square[t]} for t in seen.tolist()],
        figure=_draw(seen, square, np.sum(want**2, axis=1), limit, classes),
    )


@double
def _descend(classes: int, decay: float, rate: float, steps: int, seed: int):
    """The row sum r [T+1, K] of W on the features e_1, ..., e_K, by `signumw`."""
    labels = jnp.arange(classes)
    descent = signumw(rate, weight_decay=decay)
    start = 0.1 * jax.random.normal(jax.random.key(seed), (classes, classes))

    def step(carry, _):
        rows, state = carry
        # Logits of the sample of class k are column k of W, row k of W'.
        gradient = jax.grad(lambda w: cross_entropy(w.T, labels).mean())(rows)
        updates, state = descent.update(gradient, state, rows)
        return (rows + updates, state), rows.sum(0)

    def path(rows):
        end, sums = jax.lax.scan(step, (rows, descent.init(rows)), None, length=steps)
        return jnp.concatenate([sums, end[0].sum(0)[None]])

    return jax.jit(path)(start)


def _draw(seen, square, want, limit, classes):
    """|W'1|^2 over the steps, its closed form, and both limits."""
    from ncjax.style import BLUE, GREY, ORANGE  # matplotlib is loaded when used
    from ncjax.ufm.run import figures

    figure, axis = figures.panels((6.5, 4.2), 1, 1)
    axis.loglog(seen, want[seen], color=ORANGE, lw=5, alpha=0.5, label="closed form")
    axis.loglog(seen, square[seen], "o", ms=3, color=BLUE, label="signed descent")
    for level, text in ((limit, "K (K-2)²/λ²"), (limit / classes, "(K-2)²/λ²")):
        axis.axhline(level, color=GREY, ls="--", lw=1.2)
        axis.text(seen[0], level, text, fontsize=8, va="bottom")
    figures.panel(axis, "Square of the row sum, |W'1|²", "step")
    return figure


SIGNED_DESCENT = Experiment(
    run, FIELDS, plain_model=False, uses=("loss", "num_classes")
)
