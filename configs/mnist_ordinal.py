"""MNIST as ordinal data: the digit 0 to 9 is a level, and 9 is further from 0 than 1.

2,000 images, an MLP 128-128 without BatchNorm, a cumulative link model with fixed
thresholds 4 apart; `--config.classifier.learn_thresholds=True` learns them.  Theory:
`ufm_mnist_ordinal`, with the same levels.  A minute on 2 cores.

    python -m ncjax.main --config=configs/mnist_ordinal.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (2,000 images, 300 epochs), "smoke" (500 images, 10 epochs)."""
    config = recipes.ordinal_mlp("mnist")
    config.data.examples_per_class = 200
    config.num_epochs = 300  # passes over the training set
    config.data.test_examples_per_class = 500
    config.model.widths = (128, 128)  # units; the last is the feature width
    config.optimizer.weight_decay = 5e-3  # lambda
    return recipes.smoke_mlp(config, preset)
