"""Fashion-MNIST, 10,000 images, MLP 784-256-256-256-10, cross-entropy.

One of the runs that ask what hierarchical losses do to collapse; the others are
`fashion_mlp_soft.py` and `fashion_mlp_hxe.py`.

    python -m ncjax.main --config=configs/fashion_mlp_ce.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (150 epochs), "smoke" (500 images, 10 epochs)."""
    config = recipes.fashion_mlp()
    config.loss.name = "cross_entropy"
    return recipes.smoke_mlp(config, preset)
