"""Muon with decoupled decay collapses, and its row sum by exactly prod(1 - eta lambda).

Free features and classifier, 10 classes of 20, d = 32, three random starts, beside
AdamW, SignumW and Lion, whose row sums grow.  Three minutes on 2 cores.

    ncjax ufm --config=configs/ufm_muon.py
"""

from ml_collections import ConfigDict

from ncjax.config import wants_smoke
from ncjax.ufm.run import default


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (4,000 steps from three starts), "smoke" (200 steps from one)."""
    config = default()
    config.experiment = "muon"
    config.model.num_classes = 10
    config.model.per_class = 20
    config.model.feature_dim = 32
    if wants_smoke(preset):
        config.muon.steps = 200
        config.muon.seeds = 1
    return config
