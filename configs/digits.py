"""The default: scikit-learn's handwritten digits, MLP, cross-entropy.

1,437 training and 360 test images of 8x8 pixels.  Expected within half a minute on 2
cores: training error 0, NC1 below 1e-3, NC2 and NC3 below 0.1, NC4 0.

    python -m ncjax.main --config=configs/digits.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (400 epochs), "smoke" (20 epochs)."""
    config = recipes.small_mlp("digits")
    config.loss.name = "cross_entropy"
    return recipes.smoke_epochs(config, preset)
