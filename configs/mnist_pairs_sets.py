"""Sets of labels: one or two MNIST digits in an image, and the pick-all-label loss.

1,500 images of one digit and 1,500 of two, MLP 128-128-64.  Single digits collapse
(NC1 0.006, NC2 0.13), and two digits lie 4.6 degrees from the sum of theirs (Li et al.,
ICML 2024).  Theory: `ufm_mnist_pairs_sets`.  Two minutes on 2 cores.

    python -m ncjax.main --config=configs/mnist_pairs_sets.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (300 epochs), "smoke" (20 epochs on the digits of scikit-learn)."""
    config = recipes.small_mlp("pair_sets")
    config.num_epochs = 300  # passes over the training set
    config.data.source = "digits" if preset else "mnist"
    config.data.train_size = 3000
    config.loss.name = "pick_all_label"  # or "bce"
    return recipes.smoke_epochs(config, preset)
