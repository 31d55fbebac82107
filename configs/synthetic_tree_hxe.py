"""Gaussian classes on a binary tree with 8 leaves, MLP, hierarchical cross-entropy.

The data follow the tree, which is balanced: theory has the optimum in closed form
(`ncjax.hierarchy.hxe`).

    python -m ncjax.main --config=configs/synthetic_tree_hxe.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (400 epochs), "smoke" (20 epochs)."""
    config = recipes.binary_tree_mlp()
    config.loss.name = "hxe"
    config.loss.alpha = 0.5  # 0 is cross-entropy
    config.loss.weighting = "height"  # or "depth"
    return recipes.smoke_epochs(config, preset)
