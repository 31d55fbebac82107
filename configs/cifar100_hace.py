"""CIFAR-100, ResNet-18, cross-entropy of the class and of the superclass above it.

The recipe of Papyan et al. (2020) with the loss HACE (arXiv:2605.06274).
`--config.hierarchy.name=cifar100_5` chooses the five-level tree of published tables.

    python -m ncjax.main --config=configs/cifar100_hace.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (400 images, 1/8 width, 6 epochs)."""
    config = recipes.papyan_resnet18("cifar100")
    config.loss.name = "hace"
    config.loss.dilution = 0.5  # share of the weight that a node passes on upwards
    return recipes.smoke_resnet(config, preset, per_class=4)
