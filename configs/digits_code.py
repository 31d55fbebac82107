"""scikit-learn's handwritten digits in four dimensions, with a code as the classifier.

The recipe of `digits.py`.  Ten vectors in four dimensions have no simplex; those of the
code with the largest margin that is known, 5/6, are solved at the start (seconds) and
never learn.  Classes that are near in the tree of `digits_soft.py` get near vectors.

    python -m ncjax.main --config=configs/digits_code.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (400 epochs), "smoke" (20 epochs)."""
    config = recipes.small_mlp("digits")
    config.classifier.name = "fixed"
    config.classifier.target = "code"
    config.classifier.project = 4  # d; K > d + 1
    config.classifier.norm = 10.0  # length of the vectors, an inverse temperature
    config.classifier.assign = "quadratic"
    config.optimizer.weight_decay = 1e-3  # lambda
    return recipes.smoke_epochs(config, preset)
