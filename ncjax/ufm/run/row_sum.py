"""The row sum of the classifier in networks: training against its recursion."""

from __future__ import annotations

import numpy as np
from ml_collections import ConfigDict

from ncjax.losses import LOSSES
from ncjax.options import ConfigError, choose
from ncjax.runs.columns import DECAY_TIME as TIME, ROW_SUM as NORM
from ncjax.ufm.run.experiment import Experiment, Field, Progress
from ncjax.ufm.run.report import Report, at_least, no_error

FIELDS = {
    "row_sum.losses": Field(("cross_entropy",), "losses, each a program"),
    "row_sum.epochs": Field(60, "number of epochs", 0),
    "row_sum.points": Field(12, "number of measured epochs", 1),
}
MEASURED = "nc/nc0"
# The networks of a program: decay time at the end, near enough, momentum, and the share
# of the decay that is decoupled.
TIMES = (0.5, 1.74, 1.74, 1.74)
MOMENTA = (0.0, 0.9, 0.95, 0.9)
SHARES = (0.0, 0.0, 0.5, 1.0)


def run(config: ConfigDict, progress: Progress) -> Report:
    """|W'1| of MLPs on the digits is that of the recursion at every measured epoch."""
    own = config.row_sum
    if not own.losses:
        raise ConfigError("row_sum needs config.row_sum.losses, at least one.")
    for loss in own.losses:
        choose("config.row_sum.losses", loss, LOSSES)
    paths, statements, rows = {}, [], []
    for loss in own.losses:
        progress(f"train with {loss}", networks=len(TIMES))
        path = _train(loss, int(own.epochs), int(own.points), config.seed)
        paths[loss] = path
        off = path[MEASURED] / path[NORM] - 1
        lost = 1 - np.max(path[MEASURED][-1] / path[MEASURED][0])
        statements += [
            no_error(f"{loss}: |W'1| over theory - 1", off, 1e-4),
            at_least(f"{loss}: least share of it that is lost", lost, 0.3),
        ]
        rows += [
            {"loss": loss, "network": i} | {key: v[j, i] for key, v in path.items()}
            for j, i in np.ndindex(path[TIME].shape)
        ]
    times = paths[own.losses[0]][TIME][-1]
    return Report(
        title=f"Row sum of MLPs on the digits: {len(own.losses)} losses, "
        f"{len(TIMES)} networks each, {int(own.epochs)} epochs",
        facts=[
            ("momentum", str(MOMENTA)),
            ("decoupled", str(SHARES)),
            ("decay time", ", ".join(f"{x:.3g}" for x in times)),
        ],
        statements=statements,
        rows=rows,
        figure=_draw(paths),
    )


def _train(loss: str, epochs: int, points: int, seed: int) -> dict[str, np.ndarray]:
    """NC0 and theory, of the networks at epoch 0 and those measured [m, S]."""
    from ncjax.config import default  # late: what trains takes long to import
    from ncjax.config.binding import load_data
    from ncjax.training.experiment import Experiment as Training
    from ncjax.training.plan import members_of

    config = default()
    config.seed, config.num_seeds, config.num_epochs = seed, len(TIMES), epochs
    config.loss.name = loss
    config.optimizer.schedule = "step"
    data = load_data(config)
    # The schedule's rates are 1, .1 and .01 times the first, for a third each.
    steps = len(data.train) // config.batch_size * epochs
    total = config.optimizer.learning_rate * steps * 1.11 / 3
    times, beta, share = map(np.array, (TIMES, MOMENTA, SHARES))
    decays = times / total / ((1 - share) / (1 - beta) + share)
    hyper = {
        "optimizer.momentum": MOMENTA,
        "optimizer.decoupled": SHARES,
        "optimizer.weight_decay": tuple(decays.tolist()),
    }
    training = Training(config, data, members=members_of(config, hyper))
    state = training.init()
    found = [training.evaluate(state)]
    if NORM not in found[0]:
        raise ConfigError(f"config.row_sum.losses: no theory of row sums for {loss!r}.")
    measured = set(np.geomspace(1, epochs, points).round().astype(int).tolist())
    for epoch in range(1, epochs + 1):
        state, _ = training.epoch(state, epoch)
        if epoch in measured:
            found.append(training.evaluate(state))
    keys = (MEASURED, NORM, TIME)
    return {key: np.array([row[key] for row in found], float) for key in keys}


def _draw(paths: dict[str, dict[str, np.ndarray]]):
    """|W'1| over the decay time, with the recursion under it; and what is between."""
    from ncjax.style import BLUE, GREY  # matplotlib is loaded when used
    from ncjax.ufm.run import figures

    figure, (left, right) = figures.panels((11, 4.2), 1, 2)
    for path in paths.values():
        x, off = path[TIME], path[MEASURED] / path[NORM] - 1
        left.plot(x, path[NORM], color=GREY, lw=5, alpha=0.4)
        left.plot(x, path[MEASURED], "o-", ms=3, lw=1, color=BLUE)
        right.plot(x, np.maximum(np.abs(off), 1e-8), "o", ms=3, color=BLUE)
    left.lines[0].set_label("theory")
    left.lines[len(TIMES)].set_label("measured")
    left.set_yscale("log")
    figures.panel(left, "Row sum |W'1|", "decay time x")
    right.set_yscale("log")
    right.axhline(1e-4, color=GREY, ls="--", lw=1.2, label="allowed")
    figures.panel(right, "Relative difference to theory", "decay time x")
    return figure


ROW_SUM = Experiment(run, FIELDS, plain_model=False, uses=())
