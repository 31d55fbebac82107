"""CIFAR-10, ResNet-18, squared error.

The recipe of `cifar10_ce.py` with the loss (1/2)|z - y|^2 of Han, Papyan & Donoho 2022
(ICLR).  The loss is K/2 times PyTorch's `nn.MSELoss`, so that their weight decay of
5e-4 is 2.5e-3 here.

    python -m ncjax.main --config=configs/cifar10_mse.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (200 images, 1/8 width, 6 epochs)."""
    config = recipes.papyan_resnet18("cifar10")
    config.loss.name = "mse"
    config.optimizer.learning_rate = 0.01  # at the start
    config.optimizer.weight_decay = 2.5e-3  # lambda: K/2 times 5e-4
    return recipes.smoke_resnet(config, preset)
