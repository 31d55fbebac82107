"""Minority collapse: small classes merge where n_B <= N^2 lW lH.

Five classes of 500 and five of 100: the threshold is mu = sqrt(lW lH) = .0033333; the
contrast of two small classes is .6682 at mu = .0030, .0820 at .0033, 0 at .0034.
Seconds on 2 cores.

    ncjax ufm --config=configs/ufm_minority_collapse.py
"""

from ml_collections import ConfigDict

from ncjax.config import wants_smoke
from ncjax.ufm.run import default


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (33 strengths), "smoke" (3 strengths)."""
    config = default()
    config.experiment = "minority"
    config.model.num_classes = 10
    config.model.per_class = 500
    config.minority.classes = 5
    config.minority.per_class = 100
    config.grid = tuple(round(0.0020 + 5e-5 * i, 8) for i in range(33))  # mu
    if wants_smoke(preset):
        config.grid = (0.0030, 0.0033, 0.0034)
    return config
