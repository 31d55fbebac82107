"""CIFAR-10, ResNet-18, squared error.

Han, Papyan & Donoho 2022 (ICLR), the recipe of `cifar10_ce.py`, loss (1/2)|z - y|^2.
It is K/2 times PyTorch's `nn.MSELoss`, so their weight decay of 5e-4 is 2.5e-3 here.

    python -m ncjax.main --config=configs/cifar10_mse.py
"""

from ml_collections import ConfigDict

from ncjax.config import default, wants_smoke


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (200 images, 1/8 width)."""
    config = default()
    config.data.name = "cifar10"
    config.model.name = "resnet18"
    config.loss.name = "mse"
    config.optimizer.learning_rate = 0.01  # at the start
    config.optimizer.weight_decay = 2.5e-3  # lambda: K/2 times 5e-4
    if wants_smoke(preset):
        config.num_epochs = 8
        config.optimizer.schedule = "cosine"
        config.batch_size = 32
        config.model.width = 0.125
        config.data.examples_per_class = 20
        config.data.test_examples_per_class = 10
        config.eval.num_points = 6
    return config
