"""CIFAR-10, ResNet-18, soft labels over the class tree.

The recipe of `cifar10_ce.py` with the soft labels of Bertinetto et al. (CVPR 2020) on
the tree animal {mammal, bird, frog}, vehicle {land vehicle, ship, airplane}.  Theory
expects NC1 to fall as with cross-entropy, but NC2 to stay near 0.7 and
`nc/gram_to_tree` to fall instead.

    python -m ncjax.main --config=configs/cifar10_soft.py
"""

from ml_collections import ConfigDict

from ncjax.config import default, wants_smoke


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (200 images, 1/8 width, 4 epochs)."""
    config = default()
    config.data.name = "cifar10"
    config.model.name = "resnet18"
    config.loss.name = "soft_labels"
    config.loss.beta = 4.0  # sharpness: 0 uniform, large one-hot
    if wants_smoke(preset):
        config.num_epochs = 4
        config.optimizer.schedule = "cosine"
        config.batch_size = 32
        config.model.width = 0.125
        config.data.examples_per_class = 20
        config.data.test_examples_per_class = 10
        config.eval.num_points = 6
    return config
