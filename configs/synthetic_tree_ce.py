"""Gaussian classes on a binary tree with 8 leaves, MLP, cross-entropy.

The data follow the tree, which is balanced: theory has the optimum in closed form
(`ncjax.hierarchy.soft_labels`).

    python -m ncjax.main --config=configs/synthetic_tree_ce.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (400 epochs), "smoke" (20 epochs)."""
    config = recipes.binary_tree_mlp()
    config.loss.name = "cross_entropy"
    return recipes.smoke_epochs(config, preset)
