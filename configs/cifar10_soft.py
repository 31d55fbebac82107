"""CIFAR-10, ResNet-18, soft labels over the class tree.

The recipe of `cifar10_ce.py` with the soft labels of Bertinetto et al. (CVPR 2020) on
the tree animal {mammal, bird, frog}, vehicle {land vehicle, ship, airplane}.  Theory
expects NC1 to fall as it does with cross-entropy, but NC2 to stay near 0.7 and
`nc/gram_to_tree` to fall instead.

    python -m ncjax.main --config=configs/cifar10_soft.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (200 images, 1/8 width, 6 epochs)."""
    config = recipes.papyan_resnet18("cifar10")
    config.loss.name = "soft_labels"
    config.loss.beta = 4.0  # sharpness: 0 uniform labels, large one-hot labels
    return recipes.smoke_resnet(config, preset)
