"""CIFAR-10, ResNet-18, hierarchical cross-entropy.

The recipe of `cifar10_ce.py` with the loss of Bertinetto et al. (CVPR 2020), weighted
by the published formula.  Their code, which gave their results, weights by
`--config.loss.weighting=depth`.  Theory expects NC2 of 0.15 to 0.2: siblings are pushed
further apart than distant classes.

    python -m ncjax.main --config=configs/cifar10_hxe.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (200 images, 1/8 width, 6 epochs)."""
    config = recipes.papyan_resnet18("cifar10")
    config.loss.name = "hxe"
    config.loss.alpha = 0.5  # 0 is cross-entropy
    config.loss.weighting = "height"  # or "depth"
    return recipes.smoke_resnet(config, preset)
