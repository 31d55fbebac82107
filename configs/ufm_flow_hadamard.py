"""Hadamard initialisation: singular vectors never move, a Lyapunov function falls.

Cross-entropy without decay, 8 classes: gradient flow of the matrices agrees with 7
scalar equations up to t = 1e6; from another basis the singular vectors turn.
Half a minute on 2 cores.

    ncjax ufm --config=configs/ufm_flow_hadamard.py
"""

from ml_collections import ConfigDict

from ncjax.config import wants_smoke
from ncjax.ufm.run import default


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (K = 8 to t = 1e6), "smoke" (K = 4 to t = 1e3)."""
    config = default()
    config.experiment = "flow_hadamard"
    config.model.num_classes = 8
    config.flow.t_max = 1e6
    if wants_smoke(preset):
        config.model.num_classes = 4
        config.flow.t_max = 1e3
        config.flow.points = 31
    return config
