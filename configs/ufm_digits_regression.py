"""Regression on the targets of `digits_regression`: one of five directions vanishes.

The spectrum is that of the five intensity moments; lW lH = 0.25 lies above the least
eigenvalue, 0.16, so that theory keeps four directions.  Seconds on 2 cores.

    ncjax ufm --config=configs/ufm_digits_regression.py
"""

from ml_collections import ConfigDict

from ncjax.config import wants_smoke
from ncjax.ufm.run import default


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (flow to t = 1e5), "smoke" (few points)."""
    config = default()
    config.experiment = "regression"
    config.model.c = 0.5
    config.model.ratio = 4.0
    config.regression.spectrum = (2.6956, 1.4009, 0.4525, 0.2889, 0.1621)
    if wants_smoke(preset):
        config.flow.points = 21
        config.flow.stop_gap = 1e-6
    return config
