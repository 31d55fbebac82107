"""scikit-learn's handwritten digits, MLP, soft labels over the class tree.

The recipe of `digits.py` on a class tree of our own, which follows the shape of the
digits' strokes.

    python -m ncjax.main --config=configs/digits_soft.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (400 epochs), "smoke" (20 epochs)."""
    config = recipes.small_mlp("digits")
    config.loss.name = "soft_labels"
    config.loss.beta = 4.0  # sharpness: 0 uniform labels, large one-hot labels
    return recipes.smoke_epochs(config, preset)
