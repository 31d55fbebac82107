"""Gaussian classes on a binary tree with 8 leaves, MLP, soft labels.

The data follow the tree, which is balanced: theory has the optimum in closed form
(`ncjax.hierarchy.soft_labels`).

    python -m ncjax.main --config=configs/synthetic_tree_soft.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (400 epochs), "smoke" (20 epochs)."""
    config = recipes.binary_tree_mlp()
    config.loss.name = "soft_labels"
    config.loss.beta = 4.0  # sharpness: 0 uniform labels, large one-hot labels
    return recipes.smoke_epochs(config, preset)
