"""Arrays of your own: images or vectors in NumPy files, MLP, cross-entropy.

The recipe that collapses on the digits, for an .npz file or a folder of .npy files.

    python -m ncjax.main --config=configs/own_arrays.py --config.data.path=FILE.npz
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (400 epochs), "smoke" (20 epochs on the digits, without a file)."""
    config = recipes.small_mlp("arrays")
    config.loss.name = "cross_entropy"
    return recipes.smoke_own_data(config, preset)
