"""Signed descent with decoupled decay: |W'1|^2 goes to K (K-2)^2/lambda^2, not to 0.

Four classes, lambda = .1: 1600, where Theorem 3.3 of Zhao et al. 2026 prints 400, which
is (1/K)|W'1|^2.  Seconds on 2 cores.

    ncjax ufm --config=configs/ufm_signed_descent.py
"""

from ml_collections import ConfigDict

from ncjax.config import wants_smoke
from ncjax.ufm.run import default


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (20,000 steps), "smoke" (the same; it takes seconds)."""
    config = default()
    config.experiment = "signed_descent"
    config.model.num_classes = 4
    wants_smoke(preset)
    return config
