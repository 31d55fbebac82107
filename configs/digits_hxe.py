"""scikit-learn's handwritten digits, MLP, hierarchical cross-entropy.

The recipe of `digits.py` on a class tree of our own, which follows the shape of the
digits' strokes.

    python -m ncjax.main --config=configs/digits_hxe.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (400 epochs), "smoke" (20 epochs)."""
    config = recipes.small_mlp("digits")
    config.loss.name = "hxe"
    config.loss.alpha = 0.5  # 0 is cross-entropy
    config.loss.weighting = "height"  # or "depth"
    return recipes.smoke_epochs(config, preset)
