"""MNIST, ResNet-18, cross-entropy.

Papyan, Han & Donoho 2020 (PNAS), their recipe; images 28x28, not padded to 32x32.

    python -m ncjax.main --config=configs/mnist_resnet18_ce.py
"""

from ml_collections import ConfigDict

from ncjax.config import default, wants_smoke


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (200 images, 1/8 width)."""
    config = default()
    config.data.name = "mnist"
    config.model.name = "resnet18"
    config.loss.name = "cross_entropy"
    if wants_smoke(preset):
        config.num_epochs = 8
        config.optimizer.schedule = "cosine"
        config.batch_size = 32
        config.model.width = 0.125
        config.data.examples_per_class = 20
        config.data.test_examples_per_class = 10
        config.eval.num_points = 6
    return config
