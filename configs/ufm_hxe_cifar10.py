"""HXE on the CIFAR-10 tree: siblings are pushed apart, the coarsest contrast dies.

alpha = .5, c = 1e-2, height weights: f = .44465945, rank 8 (animals against vehicles
has singular value 0), NC2 .3429, NC3 .3432.  Half a minute on 2 cores.

    ncjax ufm --config=configs/ufm_hxe_cifar10.py
"""

from ml_collections import ConfigDict

from ncjax.config import wants_smoke
from ncjax.ufm.run import default


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (flow to t = 1e5), "smoke" (stops at a gap of 1e-5)."""
    config = default()
    config.experiment = "optimum"
    config.model.loss = "hxe"
    config.model.tree = "cifar10"
    config.model.alpha = 0.5
    config.model.c = 1e-2
    config.expect.objective = 0.44465945
    config.expect.rank = 8.0
    config.expect.nc2 = 0.3429
    config.expect.nc3 = 0.3432
    if wants_smoke(preset):
        config.flow.stop_gap = 1e-5
        config.flow.points = 21
    return config
