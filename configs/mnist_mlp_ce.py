"""MNIST, MLP 784-512-512-10, cross-entropy.

The recipe of Papyan et al. (2020), the default: SGD, 350 epochs, the learning rate
divided by 10 twice.

    python -m ncjax.main --config=configs/mnist_mlp_ce.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (500 images, 10 epochs)."""
    config = recipes.papyan_mlp("mnist")
    config.loss.name = "cross_entropy"
    return recipes.smoke_mlp(config, preset)
