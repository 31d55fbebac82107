"""MNIST, MLP 784-512-512-10, squared error.

Papyan's recipe with the loss (1/2)|z - y|^2 (Han, Papyan & Donoho, ICLR 2022).  It is
K/2 times PyTorch's `nn.MSELoss`, so their weight decay of 5e-4 is 2.5e-3 here.

    python -m ncjax.main --config=configs/mnist_mlp_mse.py
"""

from ml_collections import ConfigDict

from ncjax.config import default, wants_smoke


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (500 images, 10 epochs)."""
    config = default()
    config.data.name = "mnist"
    config.model.name = "mlp"
    config.model.widths = (512, 512)  # units; the last is the feature width
    config.loss.name = "mse"
    config.optimizer.learning_rate = 0.01  # at the start
    config.optimizer.weight_decay = 2.5e-3  # lambda: K/2 times 5e-4
    if wants_smoke(preset):
        config.num_epochs = 10
        config.data.examples_per_class = 50
        config.data.test_examples_per_class = 20
    return config
