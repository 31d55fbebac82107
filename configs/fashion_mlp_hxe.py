"""Fashion-MNIST, 10,000 images, MLP 784-256-256-256-10, hierarchical cross-entropy.

One of the runs that ask what hierarchical losses do to collapse; the others are
`fashion_mlp_ce.py` and `fashion_mlp_soft.py`.

    python -m ncjax.main --config=configs/fashion_mlp_hxe.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (150 epochs), "smoke" (500 images, 10 epochs)."""
    config = recipes.fashion_mlp()
    config.loss.name = "hxe"
    config.loss.alpha = 0.5  # 0 is cross-entropy
    config.loss.weighting = "height"  # or "depth"
    return recipes.smoke_mlp(config, preset)
