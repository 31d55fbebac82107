"""CIFAR-100, ResNet-18, hierarchical cross-entropy over the 20 superclasses.

Papyan's recipe with the loss of Bertinetto et al. (CVPR 2020).  A deeper tree of ours
is chosen by `--config.hierarchy.name=cifar100_deep`.

    python -m ncjax.main --config=configs/cifar100_hxe.py
"""

from ml_collections import ConfigDict

from ncjax.config import default, wants_smoke


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (400 images, 1/8 width, 4 epochs)."""
    config = default()
    config.data.name = "cifar100"
    config.model.name = "resnet18"
    config.loss.name = "hxe"
    config.loss.alpha = 0.5  # 0 is cross-entropy
    config.loss.weighting = "height"  # or "depth"
    if wants_smoke(preset):
        config.num_epochs = 4
        config.optimizer.schedule = "cosine"
        config.batch_size = 32
        config.model.width = 0.125
        config.data.examples_per_class = 4
        config.data.test_examples_per_class = 2
        config.eval.num_points = 6
    return config
