"""Images of your own, in a folder for each class: ResNet-18 of 1/4 width.

Images of all sizes and kinds are brought to 32 x 32 pixels and RGB.

    python -m ncjax.main --config=configs/own_image_folder.py --config.data.path=FOLDER
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (120 epochs), "smoke" (20 epochs on the digits, without images)."""
    config = recipes.own_images("image_folder")
    config.loss.name = "cross_entropy"
    return recipes.smoke_own_data(config, preset)
