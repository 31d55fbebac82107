"""Ten ordinal levels, those of `mnist_ordinal`, in the unconstrained-features model.

The optimum is certified and solves one scalar equation for each level; 16 decays show
where all levels become one point, lW lH = C, and how they move to the middles of their
thresholds as the decays vanish (ONC3).  Seconds on 2 cores.

    ncjax ufm --config=configs/ufm_mnist_ordinal.py
"""

import numpy as np
from ml_collections import ConfigDict

from ncjax.config import wants_smoke
from ncjax.ufm.run import default


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (flow to t = 1e5), "smoke" (fewer decays and points)."""
    config = default()
    config.experiment = "ordinal"
    config.model.loss = "ordinal"
    config.model.num_classes = 10
    config.model.per_class = 200
    config.model.c = 1e-2
    config.model.ratio = 4.0
    config.grid = tuple(np.geomspace(1e-8, 4, 16).tolist())  # lW lH over C
    if wants_smoke(preset):
        config.grid = (1e-8, 1e-2, 0.9, 1.1)
        config.flow.points = 21
        config.flow.stop_gap = 1e-6
    return config
