"""The model that a configuration describes, its closed form, and how it is solved."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from ncjax import ufm
from ncjax.compiling import in_turn
from ncjax.hierarchy import BUILTIN, Hierarchy, balanced
from ncjax.hierarchy.soft_labels import soft_label_limit
from ncjax.options import ConfigError, options_of, takes, unknown
from ncjax.ufm.certify import why_not
from ncjax.ufm.closed_forms import Balanced, Prediction, predict
from ncjax.ufm.tables import known_losses


class Setting(NamedTuple):
    """A model, taken apart: the loss with its options, and all else."""

    loss: str
    model: Balanced
    options: dict[str, Any]  # options of the loss by name, among them `hierarchy`
    tree: Hierarchy | None  # class tree, which the loss may not take

    @property
    def problem(self) -> ufm.Problem:
        """The model, to be solved.

        Raises:
            ValueError: for options or sizes out of range.
        """
        return ufm.Problem.create(self.loss, **self.model._asdict(), **self.options)

    @property
    def prediction(self) -> Prediction | None:
        """The optimum in closed form; None where none is known."""
        return predict(self.loss, self.model, self.options)

    @property
    def limit(self) -> np.ndarray | None:
        """Logits [K, K] for c -> 0, up to their scale; known for soft labels only."""
        if self.loss != "soft_labels":
            return None
        table = self.options["hierarchy"].distances(self.options["distance"])
        return soft_label_limit(table, free_bias=self.model.lambda_b == 0)


def setting_of(
    config: ConfigDict, tree: Hierarchy | None = None, **changed: Any
) -> Setting:
    """The model of a configuration.

    Args:
        config: the configuration of an experiment.
        tree: the class tree, if it is already at hand; by default `tree_of`.
        **changed: fields of `config.model` with other values than there.

    Raises:
        ConfigError: for a loss without its tree, or a number of classes that is not
            given or not that of the tree.
    """
    fields = config.model.to_dict() | changed
    tree = tree or tree_of(config)
    function = known_losses()[fields["loss"]]
    options = {name: fields[name] for name in options_of(function)}
    if takes(function, "hierarchy"):
        if tree is None:
            raise ConfigError(f"The loss {fields['loss']!r} needs config.model.tree.")
        options["hierarchy"] = tree
    lambda_w, lambda_h = decays(fields["c"], fields["ratio"], fields["per_class"])
    model = Balanced(
        num_classes=_num_classes(fields, tree),
        sizes=fields["per_class"],
        lambda_w=lambda_w,
        lambda_h=lambda_h,
        lambda_b=None if fields["lambda_b"] == -1 else fields["lambda_b"],
        feature_dim=fields["feature_dim"] or None,
    )
    return Setting(fields["loss"], model, options, tree)


def decays(c: float, ratio: float, per_class: int) -> tuple[float, float]:
    """Weight decays lW and lH, with sqrt(n lW lH) = c.

    Args:
        c: the constant c > 0.
        ratio: lH / lW > 0.
        per_class: number n of samples of each class.
    """
    strength = c / math.sqrt(per_class)
    return strength / math.sqrt(ratio), strength * math.sqrt(ratio)


def tree_of(config: ConfigDict) -> Hierarchy | None:
    """The class tree of a configuration; None if it has none.

    Raises:
        ConfigError: for an unknown one.
    """
    name = config.model.tree
    if not name:
        return None
    if re.fullmatch(r"\d+(x\d+)*", name):
        return balanced([int(x) for x in name.split("x")])
    if name not in BUILTIN:
        raise ConfigError(
            f"{unknown('config.model.tree', name, BUILTIN)} Or give the children at "
            "each depth of a balanced tree, as in 2x2x2."
        )
    return BUILTIN[name]()


def solve_certified(problems: list[ufm.Problem]) -> tuple[ufm.Solution, np.ndarray]:
    """Solutions of B problems that differ in numbers only, and duality gaps [B]."""
    found = ufm.solve_many(problems)
    stacked = ufm.stack(problems)
    with jax.enable_x64(True):
        gap = in_turn(lambda problem, params: ufm.bounds(problem, params).gap)
        gaps = jax.vmap(gap)(stacked, found.params)
    return found, np.asarray(gaps)


def flow_of(
    config: ConfigDict, problem: ufm.Problem, labels: np.ndarray | None = None
) -> ufm.Trajectory:
    """The flow of `config.flow`; `labels` [n] where rows of H are samples.

    Where there is no duality gap it goes on to the last time.
    """
    flow = config.flow
    return ufm.flow(
        problem,
        ufm.small_start(problem, config.seed, flow.scale),
        t_max=flow.t_max,
        points=flow.points,
        stop_gap=flow.stop_gap if why_not(problem) is None else None,
        labels=labels,
    )


def _num_classes(fields: dict[str, Any], tree: Hierarchy | None) -> int:
    known = [fields["num_classes"], 0 if tree is None else tree.num_classes]
    if 0 not in known and known[0] != known[1]:
        raise ConfigError(
            f"config.model.num_classes = {known[0]}, but the tree {fields['tree']!r} "
            f"has {known[1]} classes. Leave it at 0."
        )
    if max(known) < 2:
        raise ConfigError("Give config.model.num_classes, at least 2, or a tree.")
    return max(known)
