"""The configuration of an experiment, and the model that it describes.

`default()` has every field; a file in `configs/` changes some of them.
"""

from __future__ import annotations

import inspect
import math
import re
from typing import Any

from ml_collections import ConfigDict

from ncjax.config import ConfigError
from ncjax.hierarchy import BUILTIN, Hierarchy, balanced
from ncjax.hierarchy.algebra import is_balanced
from ncjax.losses import LOSSES
from ncjax.options import choose
from ncjax.ufm import Problem

# Options of a loss that a configuration or a sweep can set.
LOSS_OPTIONS = ("label_smoothing", "beta", "alpha", "weighting")


def default() -> ConfigDict:
    """All fields with their defaults, locked."""
    config = ConfigDict()
    config.experiment = "optimum"  # of `ncjax.ufm.run.EXPERIMENTS`
    config.seed = 0  # of random starts

    config.model = ConfigDict()
    config.model.loss = "cross_entropy"  # of `ncjax.losses.LOSSES`
    config.model.tree = ""  # built-in, or "2x2x2": children at each depth, balanced
    config.model.num_classes = 0  # K; 0: that of the tree
    config.model.per_class = 1  # n, samples of each class
    config.model.feature_dim = 0  # d; 0: as many as classes
    config.model.c = 1e-3  # sqrt(n lW lH), all that the optimum depends on
    config.model.ratio = 1.0  # lH / lW
    config.model.lambda_b = -1.0  # decay of the bias; 0: free; -1: no bias
    config.model.label_smoothing = 0.0  # of cross-entropy
    config.model.beta = 4.0  # sharpness of soft labels
    config.model.alpha = 0.5  # discount of HXE, per level
    config.model.weighting = "height"  # of HXE, or "depth"

    config.flow = ConfigDict()
    config.flow.t_max = 1e5  # time at which the flow ends, if it has not stopped
    config.flow.points = 61  # times recorded, log-spaced
    config.flow.stop_gap = 1e-8  # duality gap at which it stops
    config.flow.scale = 0.1  # of the random start

    # Numbers known from elsewhere that must come out; NaN: no statement.
    config.expect = ConfigDict()
    config.expect.objective = math.nan
    config.expect.rank = math.nan
    config.expect.nc2 = math.nan
    config.expect.nc3 = math.nan

    config.grid = ()  # what a phase experiment varies; see each experiment
    config.minority = ConfigDict()
    config.minority.classes = 5  # small classes, the last ones
    config.minority.per_class = 100  # their size; the others have model.per_class
    config.deep = ConfigDict()
    config.deep.depth = 4  # L, layers on the features
    config.deep.width = 30  # units of each, and of the features
    config.deep.decay = 4e-3  # lambda of all
    config.deep.starts = 4  # random starts
    config.regression = ConfigDict()
    config.regression.spectrum = (4.0, 1.0, 0.25)  # eigenvalues of the covariance
    return config.lock()


def validate(config: ConfigDict, experiments: tuple[str, ...]) -> None:
    """Raises `ConfigError` for a configuration that cannot be run."""
    if "experiment" not in config:
        raise ConfigError(
            "This config describes the training of a network, not an experiment on "
            "an unconstrained-features model. Run it with `ncjax train`."
        )
    choose("experiment", config.experiment, experiments)
    model, flow = config.model, config.flow
    choose("model.loss", model.loss, LOSSES)
    limits = {
        "model.c": (model.c, 0),
        "model.ratio": (model.ratio, 0),
        "model.per_class": (model.per_class, 0),
        "flow.t_max": (flow.t_max, 1),
        "flow.points": (flow.points, 2),
        "flow.stop_gap": (flow.stop_gap, 0),
        "flow.scale": (flow.scale, 0),
        "minority.per_class": (config.minority.per_class, 0),
        "minority.classes": (config.minority.classes, 1),
        "deep.depth": (config.deep.depth, 1),
        "deep.width": (config.deep.width, 0),
        "deep.decay": (config.deep.decay, 0),
        "deep.starts": (config.deep.starts, 0),
    }
    for field, (value, bound) in limits.items():
        if not bound < value < math.inf:
            raise ConfigError(
                f"config.{field} must be finite and more than {bound}, got {value}."
            )
    if model.lambda_b != -1 and not 0 <= model.lambda_b < math.inf:
        raise ConfigError(
            "config.model.lambda_b must be at least 0, or -1 for no bias, got "
            f"{model.lambda_b}."
        )
    if not all(isinstance(x, (int, float)) and x > 0 for x in config.grid):
        raise ConfigError(f"config.grid must hold positive numbers, got {config.grid}.")
    try:
        if config.experiment not in ("deep", "regression"):
            problem_of(config)
    except ValueError as error:
        raise ConfigError(f"config.model: {error}") from error


def tree_of(config: ConfigDict) -> Hierarchy | None:
    """The class tree of the model, if it has one.

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
            f"Unknown config.model.tree {name!r}. Available: {', '.join(BUILTIN)}, or "
            "children at each depth of a balanced tree, as in 2x2x2."
        )
    return BUILTIN[name]()


def decays(config: ConfigDict) -> tuple[float, float]:
    """LW and lH, from c and their ratio."""
    model = config.model
    strength = model.c / math.sqrt(model.per_class)
    return strength / math.sqrt(model.ratio), strength * math.sqrt(model.ratio)


def problem_of(
    config: ConfigDict, tree: Hierarchy | None = None, **changed: Any
) -> Problem:
    """The model; `changed` fields take the place of those in `config.model`."""
    if changed:
        config = ConfigDict(config.to_dict())
        with config.ignore_type():
            config.model.update(changed)
    model, tree = config.model, tree or tree_of(config)
    takes = inspect.signature(LOSSES[model.loss]).parameters
    options: dict[str, Any] = {x: model[x] for x in LOSS_OPTIONS if x in takes}
    if "hierarchy" in takes:
        if tree is None:
            raise ConfigError(f"The loss {model.loss!r} needs config.model.tree.")
        options["hierarchy"] = tree
    known = [model.num_classes, 0 if tree is None else tree.num_classes]
    if 0 not in known and known[0] != known[1]:
        raise ConfigError(
            f"config.model.num_classes = {known[0]}, but the tree {model.tree!r} has "
            f"{known[1]} classes. Leave it at 0."
        )
    if max(known) < 2:
        raise ConfigError("Give config.model.num_classes, at least 2, or a tree.")
    lambda_w, lambda_h = decays(config)
    return Problem.create(
        model.loss,
        lambda_w=lambda_w,
        lambda_h=lambda_h,
        lambda_b=None if model.lambda_b == -1 else model.lambda_b,
        num_classes=max(known),
        feature_dim=model.feature_dim or None,
        sizes=model.per_class,
        **options,
    )


def class_names(config: ConfigDict) -> list[str]:
    """Of the tree, or numbers."""
    tree = tree_of(config)
    if tree is None:
        return [str(k) for k in range(config.model.num_classes)]
    return list(tree.class_names)


def balanced_tree(config: ConfigDict) -> Hierarchy | None:
    """The tree, if theorems for balanced trees apply."""
    tree = tree_of(config)
    return tree if tree is not None and is_balanced(tree) else None
