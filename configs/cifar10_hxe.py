"""CIFAR-10, ResNet-18, hierarchical cross-entropy.

The recipe of `cifar10_ce.py` with the loss of Bertinetto et al. (CVPR 2020), with the
weights of the published formula.  Their code, and their results, are those of
`--config.loss.weighting=depth`.  Theory expects NC2 of 0.15 to 0.2: siblings are pushed
further apart than distant classes.

    python -m ncjax.main --config=configs/cifar10_hxe.py
"""

from ml_collections import ConfigDict

from ncjax.config import default, wants_smoke


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (200 images, 1/8 width, 4 epochs)."""
    config = default()
    config.data.name = "cifar10"
    config.model.name = "resnet18"
    config.loss.name = "hxe"
    config.loss.alpha = 0.5  # 0 is cross-entropy
    config.loss.weighting = "height"  # or "depth"
    if wants_smoke(preset):
        config.num_epochs = 4
        config.optimizer.schedule = "cosine"
        config.batch_size = 32
        config.model.width = 0.125
        config.data.examples_per_class = 20
        config.data.test_examples_per_class = 10
        config.eval.num_points = 6
    return config
