"""Soft labels on the CIFAR-10 tree: the certified optimum keeps the tree.

beta = 4, c = 1e-3: f = 1.33413226, rank 9, NC2 .7018, NC3 .7078, no simplex ETF.  The
tree is not balanced: there is no closed form, so the Gram matrix is compared with that
of the convex problem in the logits.  Half a minute on 2 cores.

    ncjax ufm --config=configs/ufm_soft_cifar10.py
"""

from ml_collections import ConfigDict

from ncjax.config import wants_smoke
from ncjax.ufm.run import default


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (flow to t = 1e5), "smoke" (stops at a gap of 1e-5)."""
    config = default()
    config.experiment = "optimum"
    config.model.loss = "soft_labels"
    config.model.tree = "cifar10"
    config.model.beta = 4.0
    config.model.c = 1e-3
    config.expect.objective = 1.33413226
    config.expect.rank = 9.0
    config.expect.nc2 = 0.7018
    config.expect.nc3 = 0.7078
    if wants_smoke(preset):
        config.flow.stop_gap = 1e-5
        config.flow.points = 21
    return config
