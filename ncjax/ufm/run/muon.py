"""Muon with decoupled decay: the row sum shrinks by the decay alone; W collapses."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.optimizers import OPTIMIZERS
from ncjax.options import ConfigError
from ncjax.ufm.run.experiment import Experiment, Field, Progress
from ncjax.ufm.run.report import Report, Statement, at_least, at_most, no_error
from ncjax.ufm.theory.row_sum import row_sum_factors

FIELDS = {
    "muon.learning_rate": Field(0.02, "learning rate of all optimizers", 0),
    "muon.weight_decay": Field(0.05, "decoupled decay of all optimizers", 0),
    "muon.steps": Field(4000, "number of steps", 1),
    "muon.seeds": Field(3, "number of random starts", 0),
}
OTHERS = ("adamw", "signumw", "lion")  # decoupled too, but they do not keep row sums


class End(NamedTuple):
    """Where descents end, one for each seed [S]."""

    ratio: np.ndarray  # |W'1| over that of the start
    nc1: np.ndarray
    nc2: np.ndarray
    nc3: np.ndarray


def run(config: ConfigDict, progress: Progress) -> Report:
    """Cross-entropy of free features H and classifier W, under decoupled decay alone.

    Muon in float64, and in float32 with logit gradients that sum to 0 and with those of
    a plain softmax; the other optimizers in float64.
    """
    model, own = config.model, config.muon
    if model.loss != "cross_entropy" or model.num_classes < 2:
        raise ConfigError(
            "muon needs cross_entropy and config.model.num_classes of at least 2, got "
            f"{model.loss!r} and {model.num_classes}."
        )
    rates = np.full(int(own.steps), own.learning_rate)
    pure = float(row_sum_factors(rates, own.weight_decay, decoupled=1.0)[-1])
    found: dict[str, End] = {}
    for name in ("muon", *OTHERS):
        progress(f"{name}, float64")
        found[name] = _ends(config, name, np.float64)
    progress("muon, float32")
    single = _ends(config, "muon", np.float32)
    plain = _ends(config, "muon", np.float32, plain=True)
    facts = [("decay alone", f"prod(1 - eta lambda) = {pure:.6g}")]
    for title, field in (("row sums", "ratio"), ("NC2", "nc2"), ("NC3", "nc3")):
        each = (f"{name} {_range(getattr(end, field))}" for name, end in found.items())
        facts.append((title, ", ".join(each)))
    facts.append(("softmax", f"Muon's row sum is {_range(plain.ratio)} in float32"))
    found |= {"muon, float32": single, "muon, float32, softmax": plain}
    return Report(
        title=f"Muon and others: K = {model.num_classes}, d = {_width(config)}, "
        f"{model.per_class} a class, eta = {own.learning_rate:g}, lambda = "
        f"{own.weight_decay:g}, {len(rates)} steps",
        facts=facts,
        statements=_statements(found, pure),
        rows=[
            {"optimizer": name} | {key: x.tolist() for key, x in end._asdict().items()}
            for name, end in found.items()
        ],
        figure=_draw(found, pure),
    )


def _statements(found: dict[str, End], pure: float) -> list[Statement]:
    muon, single = found["muon"].ratio / pure - 1, found["muon, float32"].ratio - pure
    statements = [
        no_error("Muon, row sum over prod(1 - eta lambda) - 1", muon, 1e-9),
        # Newton and Schulz multiply what rounding leaves by up to 3.4445^5 = 485.
        no_error("Muon in float32, row sum - that product", single, 3e-5),
    ]
    for name in OTHERS:
        least = np.min(found[name].ratio) / pure
        statements.append(at_least(f"{name}, least row sum over it", least, 1.5))
        least = np.min(found[name].nc2 / found["muon"].nc2)
        statements.append(at_least(f"{name}, least NC2 over Muon's", least, 1))
    if pure < 0.05:
        for title, field in (("NC2", "nc2"), ("NC3", "nc3")):
            most = np.max(getattr(found["muon"], field))
            statements.append(at_most(f"Muon, largest {title}", most, 1e-3))
    return statements


def _range(values: np.ndarray) -> str:
    low, high = f"{np.min(values):.3g}", f"{np.max(values):.3g}"
    return low if low == high else f"{low} to {high}"


def _width(config: ConfigDict) -> int:
    return config.model.feature_dim or config.model.num_classes


def _ends(config: ConfigDict, name: str, dtype: Any, *, plain: bool = False) -> End:
    """The ends of the descents from all random starts."""
    model, own = config.model, config.muon
    descent = OPTIMIZERS[name](own.learning_rate, weight_decay=own.weight_decay)
    labels = np.repeat(np.arange(model.num_classes), model.per_class)
    rng, found = np.random.default_rng(config.seed), []
    size = {
        "W": (model.num_classes, _width(config)),
        "H": (len(labels), _width(config)),
    }

    @jax.jit
    def descend(start):
        return _descend(descent, start, labels, int(own.steps), plain)

    with jax.enable_x64(dtype == np.float64):
        for _ in range(int(own.seeds)):
            start = {k: rng.normal(size=n) / n[1] ** 0.5 for k, n in size.items()}
            end = descend(jax.tree.map(lambda x: jnp.asarray(x, dtype), start))
            end = jax.tree.map(lambda x: np.asarray(x, np.float64), end)
            ratio = np.linalg.norm(end["W"].sum(0)) / np.linalg.norm(start["W"].sum(0))
            shape = ufm.geometry(end, labels)
            found.append((ratio, *map(float, (shape.nc1, shape.nc2, shape.nc3))))
    return End(*np.array(found).T)


def _descend(descent, start, labels, steps, plain):
    """W and H after these steps of descent."""

    def step(_, carry):
        params, state = carry
        gradients = _gradients(params, labels, plain)
        updates, state = descent.update(gradients, state, params)
        return jax.tree.map(jnp.add, params, updates), state

    with jax.default_matmul_precision("highest"):
        return jax.lax.fori_loop(0, steps, step, (start, descent.init(start)))[0]


def _gradients(params, labels, plain):
    """Gradients of the mean cross-entropy of the logits H W'.

    The entry p_y - 1 of the true class y is minus the sum of the others.  As it stands
    it is rounded to 0 once 1 - p_y is less than the precision, and the sum over classes
    is then as large as the gradient.  Muon takes gradients of any size to the size 1.
    """
    logits = params["H"] @ params["W"].T
    own = jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype)
    slope = jax.nn.softmax(logits) - own
    if not plain:
        others = jnp.where(own > 0, 0, slope)
        slope = others - own * others.sum(1, keepdims=True)
    slope = slope / len(labels)
    return {"W": slope.T @ params["H"], "H": slope @ params["W"]}


def _draw(found, pure):
    """Row sum, NC2 and NC3 of every optimizer, a point for each seed."""
    from ncjax.style import BLUE  # matplotlib is loaded when used
    from ncjax.ufm.run import figures

    figure, axes = figures.panels((12, 4), 1, 3, sharey=True)
    places = range(len(found))[::-1]
    for axis, title, field in (
        (axes[0], "Row sum |W'1| over that of the start", "ratio"),
        (axes[1], "NC2", "nc2"),
        (axes[2], "NC3", "nc3"),
    ):
        for place, end in zip(places, found.values(), strict=True):
            values = getattr(end, field)
            axis.plot(values, [place] * len(values), "o", ms=5, alpha=0.7, color=BLUE)
        axis.set_xscale("log")
        axis.set_yticks(places, list(found))
        figures.panel(axis, title, "")
    figures.threshold(axes[0], pure, "decay alone")
    return figure


MUON = Experiment(
    run,
    FIELDS,
    plain_model=False,
    uses=("loss", "num_classes", "per_class", "feature_dim"),
)
