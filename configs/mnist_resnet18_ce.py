"""MNIST, ResNet-18, cross-entropy.

The recipe of Papyan, Han & Donoho 2020 (PNAS), on images of 28x28 pixels, which are not
padded to 32x32.

    python -m ncjax.main --config=configs/mnist_resnet18_ce.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (200 images, 1/8 width, 6 epochs)."""
    config = recipes.papyan_resnet18("mnist")
    config.loss.name = "cross_entropy"
    return recipes.smoke_resnet(config, preset)
