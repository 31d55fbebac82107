"""MNIST, MLP 784-512-512-10, squared error.

The recipe of Papyan et al. (2020) with the loss (1/2)|z - y|^2 of Han, Papyan & Donoho
(ICLR 2022).  The loss is K/2 times PyTorch's `nn.MSELoss`, so that their weight decay
of 5e-4 is 2.5e-3 here.

    python -m ncjax.main --config=configs/mnist_mlp_mse.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (500 images, 10 epochs)."""
    config = recipes.papyan_mlp("mnist")
    config.loss.name = "mse"
    config.optimizer.learning_rate = 0.01  # at the start
    config.optimizer.weight_decay = 2.5e-3  # lambda: K/2 times 5e-4
    return recipes.smoke_mlp(config, preset)
