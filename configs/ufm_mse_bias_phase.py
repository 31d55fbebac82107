"""MSE with a bias: from simplex ETF to orthogonal frame at lambda_b = K c/(1 - K c).

Ten classes, c = 0.01: the transition is at 1/9.  41 decays of the bias, solved at once.
Seconds on 2 cores.

    ncjax ufm --config=configs/ufm_mse_bias_phase.py
"""

from ml_collections import ConfigDict

from ncjax.config import wants_smoke
from ncjax.ufm.run import default


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (41 decays), "smoke" (9 decays, 4 classes)."""
    config = default()
    config.experiment = "bias_phase"
    config.model.loss = "mse"
    config.model.num_classes = 10
    config.model.c = 1e-2
    config.model.lambda_b = 0.0  # takes the values of the grid
    config.grid = tuple(1e-3 * 10 ** (i / 10) for i in range(41))  # lambda_b
    if wants_smoke(preset):
        config.model.num_classes = 4
        config.model.c = 2e-2
        config.grid = tuple(1e-3 * 10 ** (i / 2) for i in range(9))
    return config
