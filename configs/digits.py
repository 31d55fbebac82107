"""The default: scikit-learn's handwritten digits, MLP, cross-entropy.

1,437 training and 360 test images of 8x8.  Expected in about half a minute on 2 cores:
training error 0, NC1 below 1e-3, NC2 and NC3 below 0.1, NC4 0.

    python -m ncjax.main --config=configs/digits.py
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
    config.optimizer.schedule = "cosine"
    config.optimizer.weight_decay = 1e-2  # lambda; 5e-4 leaves NC1 far from 0
    if wants_smoke(preset):
        config.num_epochs = 20
    return config
