"""A data set of Hugging Face `datasets`: ResNet-18 of 1/4 width.

NAME is one of their Hub, such as ylecun/mnist, or a local folder.  Images of all sizes
and kinds are brought to 32 x 32 pixels and RGB.

    python -m ncjax.main --config=configs/own_hf.py --config.data.path=NAME
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (120 epochs), "smoke" (20 epochs on the digits, without images)."""
    config = recipes.own_images("hf")
    config.loss.name = "cross_entropy"
    return recipes.smoke_own_data(config, preset)
