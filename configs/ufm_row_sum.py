"""The row sum of the classifier in networks: weight decay alone moves it.

MLPs on the digits, with coupled and decoupled decay, three momenta and three losses:
|W'1| is that of the linear recursion to 1e-4 at every measured epoch.  Two minutes on
2 cores.

    ncjax ufm --config=configs/ufm_row_sum.py
"""

from ml_collections import ConfigDict

from ncjax.config import wants_smoke
from ncjax.ufm.run import default


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (three losses, 60 epochs), "smoke" (cross-entropy, 6 epochs)."""
    config = default()
    config.experiment = "row_sum"
    config.row_sum.losses = ("cross_entropy", "soft_labels", "hxe")
    if wants_smoke(preset):
        config.row_sum.losses = ("cross_entropy",)
        config.row_sum.epochs = 6
        config.row_sum.points = 3
    return config
