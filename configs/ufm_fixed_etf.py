"""A classifier fixed to a simplex ETF: features t w_k, t from one equation.

Ten classes: t = 6.587322, 4.771150, 2.910005 at lH N = 1e-3, 1e-2, 0.1.
Seconds on 2 cores.

    ncjax ufm --config=configs/ufm_fixed_etf.py
"""

from ml_collections import ConfigDict

from ncjax.config import wants_smoke
from ncjax.ufm.run import default


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (7 decays), "smoke" (3 decays)."""
    config = default()
    config.experiment = "fixed_etf"
    config.model.num_classes = 10
    config.model.per_class = 5
    config.grid = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)  # lH N
    if wants_smoke(preset):
        config.grid = (1e-3, 1e-2, 1e-1)
    return config
