"""CIFAR-100, ResNet-18, hierarchical cross-entropy over the 20 superclasses.

The recipe of Papyan et al. (2020) with the loss of Bertinetto et al. (CVPR 2020).
`--config.hierarchy.name=cifar100_deep` chooses a deeper tree, which is our own.

    python -m ncjax.main --config=configs/cifar100_hxe.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (400 images, 1/8 width, 6 epochs)."""
    config = recipes.papyan_resnet18("cifar100")
    config.loss.name = "hxe"
    config.loss.alpha = 0.5  # 0 is cross-entropy
    config.loss.weighting = "height"  # or "depth"
    return recipes.smoke_resnet(config, preset, per_class=4)
