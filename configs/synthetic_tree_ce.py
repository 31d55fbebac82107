"""Gaussian classes on a binary tree with 8 leaves, MLP, cross-entropy.

The data follow the tree, which is balanced: theory has the optimum in closed form
(`ncjax.hierarchy.soft_labels`).

    python -m ncjax.main --config=configs/synthetic_tree_ce.py
"""

from ml_collections import ConfigDict

from ncjax.config import default, wants_smoke


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (400 epochs), "smoke" (20 epochs)."""
    config = default()
    config.num_epochs = 400  # passes over the training set
    config.data.name = "synthetic"
    config.data.num_classes = 8
    config.data.branching = 2  # children of a node
    config.data.dim = 64  # of an example
    config.data.train_size_per_class = 200
    config.model.name = "mlp"
    config.model.widths = (128, 128, 64)  # units; the last is the feature width
    config.loss.name = "cross_entropy"
    config.optimizer.schedule = "cosine"
    config.optimizer.weight_decay = 5e-3  # lambda
    if wants_smoke(preset):
        config.num_epochs = 20
    return config
