"""CIFAR-10, ResNet-18, squared error.

Han, Papyan & Donoho 2022 (ICLR), the recipe of `cifar10_ce.py`, loss (1/2)|z - y|^2.

    python -m ncjax.main --config=configs/cifar10_mse.py
"""

from ml_collections import ConfigDict

from ncjax.config import default, wants_smoke


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (200 images, 1/8 of the width)."""
    config = default()
    config.data.name = "cifar10"
    config.model.name = "resnet18"
    config.loss.name = "mse"
    if wants_smoke(preset):
        config.num_epochs = 8
        config.batch_size = 32
        config.model.width = 0.125
        config.data.examples_per_class = 20
        config.data.test_examples_per_class = 10
        config.eval.num_points = 4
    return config
