"""What theory says about the model of a configuration."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from ncjax.hierarchy import Hierarchy
from ncjax.hierarchy.hxe import hxe_optimum
from ncjax.hierarchy.soft_labels import soft_label_limit, soft_label_optimum
from ncjax.ufm.run.settings import balanced_tree, decays, tree_of
from ncjax.ufm.theory.cross_entropy import cross_entropy_optimum
from ncjax.ufm.theory.squared_error import squared_error_optimum


class Prediction(NamedTuple):
    """A closed form."""

    regime: str
    objective: float
    rank: int
    logits: np.ndarray  # [K, K], without a bias


def predict(config: ConfigDict) -> Prediction | None:
    """The optimum in closed form, or None where none is known.

    Raises:
        ValueError: where the features are narrower than the closed form needs.
    """
    model, tree = config.model, balanced_tree(config)
    if model.loss in ("cross_entropy", "mse"):
        found = _flat(config)
        return Prediction(found.regime, found.objective, found.rank, found.logits)
    if tree is None or model.loss not in ("soft_labels", "hxe"):
        return None
    if model.lambda_b not in (-1, 0):
        return None  # by symmetry a constant bias, which only these cannot tell
    return _tree(config, tree)


def _flat(config: ConfigDict):
    model, (lambda_w, lambda_h) = config.model, decays(config)
    tree = tree_of(config)
    classes = model.num_classes or (tree.num_classes if tree else 0)
    width = model.feature_dim or None
    if model.loss == "cross_entropy":
        return cross_entropy_optimum(
            *(classes, model.per_class, lambda_w, lambda_h),
            label_smoothing=model.label_smoothing,
            feature_dim=width,
        )
    bias = None if model.lambda_b == -1 else model.lambda_b
    return squared_error_optimum(
        *(classes, model.per_class, lambda_w, lambda_h, bias), feature_dim=width
    )


def _tree(config: ConfigDict, tree: Hierarchy) -> Prediction:
    model = config.model
    if model.loss == "soft_labels":
        found = soft_label_optimum(tree, model.beta, model.c)
    else:
        found = hxe_optimum(tree, model.alpha, model.c, model.weighting)
    return Prediction(found.regime, found.objective, found.rank, found.gram)


def limit_gram(config: ConfigDict) -> np.ndarray | None:
    """Logits of soft labels as c -> 0, on any tree; None for other losses."""
    tree = tree_of(config)
    if config.model.loss != "soft_labels" or tree is None:
        return None
    return soft_label_limit(tree.distances(), free_bias=config.model.lambda_b == 0)
