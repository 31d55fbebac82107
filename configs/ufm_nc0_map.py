"""NC0 of 40 trainings, as printed by Zhao et al. 2026, from a recursion without data.

ResNet9 on Fashion-MNIST, SGD, over momentum and weight decay: each printed |W'1| is
within .015 of 1.75 r_T / r_0.  Seconds on 2 cores.

    ncjax ufm --config=configs/ufm_nc0_map.py
"""

from ml_collections import ConfigDict

from ncjax.config import wants_smoke
from ncjax.ufm.run import default


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" and "smoke", which are the same."""
    config = default()
    config.experiment = "nc0_map"
    wants_smoke(preset)
    return config
