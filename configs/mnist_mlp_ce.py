"""MNIST, MLP 784-512-512-10, cross-entropy.

Papyan's recipe (the default): SGD, 350 epochs, learning rate divided by 10 twice.

    python -m ncjax.main --config=configs/mnist_mlp_ce.py
"""

from ml_collections import ConfigDict

from ncjax.config import default, wants_smoke


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (500 images, 10 epochs)."""
    config = default()
    config.data.name = "mnist"
    config.model.name = "mlp"
    config.model.widths = (512, 512)  # units; the last is the feature width
    config.loss.name = "cross_entropy"
    if wants_smoke(preset):
        config.num_epochs = 10
        config.data.examples_per_class = 50
        config.data.test_examples_per_class = 20
    return config
