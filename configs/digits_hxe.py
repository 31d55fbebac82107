"""scikit-learn's handwritten digits, MLP, hierarchical cross-entropy.

The recipe of `digits.py` on a tree of ours, by the shape of the digits' strokes.

    python -m ncjax.main --config=configs/digits_hxe.py
"""

from ml_collections import ConfigDict

from ncjax.config import default, wants_smoke


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (400 epochs), "smoke" (20 epochs)."""
    config = default()
    config.num_epochs = 400  # passes over the training set
    config.data.name = "digits"
    config.model.name = "mlp"
    config.model.widths = (128, 128, 64)  # units; the last is the feature width
    config.loss.name = "hxe"
    config.loss.alpha = 0.5  # 0 is cross-entropy
    config.loss.weighting = "height"  # or "depth"
    config.optimizer.schedule = "cosine"
    config.optimizer.weight_decay = 1e-2  # lambda; 5e-4 leaves NC1 far from 0
    if wants_smoke(preset):
        config.num_epochs = 20
    return config
