"""The row sum of the classifier in networks: training against its recursion."""

from __future__ import annotations

import numpy as np
from ml_collections import ConfigDict

from ncjax.config import default
from ncjax.config.binding import load_data
from ncjax.options import ConfigError
from ncjax.training.experiment import Experiment as Training
from ncjax.training.plan import members_of
from ncjax.training.row_sum import NORM, TIME
from ncjax.ufm.run.experiment import Experiment, Field, Progress
from ncjax.ufm.run.report import Report, at_least, no_error

FIELDS = {
    "row_sum.losses": Field(("cross_entropy",), "losses, each a program"),
    "row_sum.epochs": Field(60, "number of epochs", 0),
    "row_sum.points": Field(12, "number of measured epochs", 1),
}
# Networks of one program: decay time, momentum, share of the decay that is decoupled.
_TIMES, _MOMENTA, _SHARES = (
    (0.5, 1.74, 1.74, 1.74),
    (0.0, 0.9, 0.95, 0.9),
    (0, 0, 0.5, 1),
)
_STEPS = 11  # in an epoch of the digits


def run(config: ConfigDict, progress: Progress) -> Report:
    """|W'1| of MLPs on the digits is that of the recursion at every measured epoch."""
    own = config.row_sum
    if not own.losses:
        raise ConfigError("row_sum needs config.row_sum.losses.")
    paths, off, statements, rows = {}, {}, [], []
    for loss in own.losses:
        progress(f"train with {loss}", networks=len(_TIMES))
        paths[loss] = path = _train(loss, int(own.epochs), int(own.points), config.seed)
        off[loss] = path["nc/nc0"] / path[NORM] - 1
        statements.append(no_error(f"{loss}: |W'1| over theory - 1", off[loss], 1e-4))
        shrunk = np.exp(-path[TIME][-1]).max()
        statements.append(
            at_least(
                f"{loss}: part of the row sum that is lost, least", 1 - shrunk, 0.3
            )
        )
        rows += [
            {"loss": loss, "network": i} | {k: v[j, i] for k, v in path.items()}
            for j in range(len(path[TIME]))
            for i in range(len(_TIMES))
        ]
    return Report(
        title=f"Row sum of MLPs on the digits: {len(own.losses)} losses, "
        f"{len(_TIMES)} networks each, {int(own.epochs)} epochs",
        facts=[
            ("networks", f"momenta {_MOMENTA}, decoupled shares {_SHARES}"),
            ("decay time", f"x = {_TIMES} at the end"),
        ],
        statements=statements,
        rows=rows,
        figure=_draw(paths, off),
    )


def _train(loss: str, epochs: int, points: int, seed: int) -> dict[str, np.ndarray]:
    """`nc/nc0` and `theory/...` of the networks at the measured epochs [m, S]."""
    config = default()
    config.seed, config.num_seeds, config.num_epochs = seed, len(_TIMES), epochs
    config.loss.name = loss
    config.optimizer.schedule = "step"
    rate = config.optimizer.learning_rate
    # Half of the sum of the rates of the schedule, which is exact in `theory/...`.
    total = rate * _STEPS * epochs * (1 + 0.1 + 0.01) / 3
    hyper = {
        "optimizer.momentum": _MOMENTA,
        "optimizer.decoupled": tuple(map(float, _SHARES)),
    }
    each = zip(_TIMES, _MOMENTA, _SHARES, strict=True)
    hyper["optimizer.weight_decay"] = tuple(
        x / total / ((1 - s) / (1 - m) + s) for x, m, s in each
    )
    data = load_data(config)
    training = Training(config, data, members=members_of(config, hyper))
    state, found = training.init(), []
    measured = set(np.geomspace(1, epochs, points).round().astype(int).tolist())
    for epoch in range(1, epochs + 1):
        state, _ = training.epoch(state, epoch)
        if epoch in measured:
            values = training.evaluate(state)
            found.append(
                {k: np.asarray(values[k], float) for k in ("nc/nc0", NORM, TIME)}
            )
    return {key: np.array([row[key] for row in found]) for key in found[0]}


def _draw(paths, off):
    """|W'1| over the decay time, with the recursion under it; and what is between."""
    from ncjax.style import BLUE, GREY, ORANGE  # matplotlib is loaded when used
    from ncjax.ufm.run import figures

    figure, (left, right) = figures.panels((11, 4.2), 1, 2)
    for path in paths.values():
        for i in range(len(_TIMES)):
            x = path[TIME][:, i]
            left.plot(x, path[NORM][:, i], color=GREY, lw=5, alpha=0.4)
            left.plot(x, path["nc/nc0"][:, i], "o-", ms=3, lw=1, color=BLUE)
    left.lines[0].set_label("theory")
    left.lines[1].set_label("measured")
    left.set_yscale("log")
    figures.panel(left, "Row sum |W'1|", "decay time x")
    for loss, error in off.items():
        right.plot(
            paths[loss][TIME], np.maximum(np.abs(error), 1e-8), "o", ms=3, color=ORANGE
        )
        right.lines[-1].set_label(None)
    right.axhline(1e-4, color=GREY, ls="--", lw=1.2)
    right.set_yscale("log")
    figures.panel(right, "Relative difference to theory", "decay time x")
    return figure


ROW_SUM = Experiment(run, FIELDS, plain_model=False)
