"""CIFAR-100, ResNet-18, soft labels over the 20 superclasses.

The recipe of Papyan et al. (2020) with the loss of Bertinetto et al. (CVPR 2020).
`--config.hierarchy.name=cifar100_deep` chooses a deeper tree, which is our own.

    python -m ncjax.main --config=configs/cifar100_soft.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (400 images, 1/8 width, 6 epochs)."""
    config = recipes.papyan_resnet18("cifar100")
    config.loss.name = "soft_labels"
    config.loss.beta = 10.0  # sharpness: 0 uniform labels, large one-hot labels
    return recipes.smoke_resnet(config, preset, per_class=4)
