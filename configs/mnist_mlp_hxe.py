"""MNIST, MLP 784-512-512-10, hierarchical cross-entropy.

The recipe of `mnist_mlp_ce.py` on a class tree of our own, which follows the shape of
the digits' strokes.

    python -m ncjax.main --config=configs/mnist_mlp_hxe.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (500 images, 10 epochs)."""
    config = recipes.papyan_mlp("mnist")
    config.loss.name = "hxe"
    config.loss.alpha = 0.5  # 0 is cross-entropy
    config.loss.weighting = "height"  # or "depth"
    return recipes.smoke_mlp(config, preset)
