"""Regression: W W' is the root of the target covariance, less a threshold.

Three targets with the spectrum 4, 1, 1/4, lW lH = 0.01: W W' = sqrt(lH/lW) (Sigma^(1/2)
- sqrt(lW lH) I), and NRC3 is 0 at gamma = lW lH.  Seconds on 2 cores.

    ncjax ufm --config=configs/ufm_regression.py
"""

from ml_collections import ConfigDict

from ncjax.config import wants_smoke
from ncjax.ufm.run import default


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (flow to t = 1e5), "smoke" (few points)."""
    config = default()
    config.experiment = "regression"
    config.model.c = 0.1
    config.model.ratio = 4.0
    config.regression.spectrum = (4.0, 1.0, 0.25)
    if wants_smoke(preset):
        config.flow.points = 21
        config.flow.stop_gap = 1e-6
    return config
