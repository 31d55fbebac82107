"""MNIST, MLP 784-512-512-10, soft labels over the class tree.

The recipe of `mnist_mlp_ce.py` on a tree of ours, by the shape of the digits' strokes.

    python -m ncjax.main --config=configs/mnist_mlp_soft.py
"""

from ml_collections import ConfigDict

from ncjax.config import default, wants_smoke


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (500 images, 10 epochs)."""
    config = default()
    config.data.name = "mnist"
    config.model.name = "mlp"
    config.model.widths = (512, 512)  # units; the last is the feature width
    config.loss.name = "soft_labels"
    config.loss.beta = 4.0  # sharpness: 0 uniform, large one-hot
    if wants_smoke(preset):
        config.num_epochs = 10
        config.data.examples_per_class = 50
        config.data.test_examples_per_class = 20
    return config
