"""MNIST, MLP 784-512-512-10, soft labels over the class tree.

The recipe of `mnist_mlp_ce.py` on a class tree of our own, which follows the shape of
the digits' strokes.

    python -m ncjax.main --config=configs/mnist_mlp_soft.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (500 images, 10 epochs)."""
    config = recipes.papyan_mlp("mnist")
    config.loss.name = "soft_labels"
    config.loss.beta = 4.0  # sharpness: 0 uniform labels, large one-hot labels
    return recipes.smoke_mlp(config, preset)
