"""Which frame does each method choose?  Twelve methods on the tree of CIFAR-10.

For each: rank, NC2, cosine of siblings and distance to the tree of the class means at
the optimum of its unconstrained-features model, c = 1e-3, with a free bias.  Nine are
certified or known in closed form; HXE by depth, HACE and HAF are the best of 50 random
starts.  A minute on 2 cores.

    ncjax ufm --config=configs/ufm_hierarchy.py
"""

from ml_collections import ConfigDict

from ncjax.config import wants_smoke
from ncjax.ufm.run import default


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (tree of CIFAR-10, 50 starts), "smoke" (2x2x2, 4 starts, not all)."""
    config = default()
    config.experiment = "hierarchy"
    config.model.tree = "cifar10"
    config.model.c = 1e-3
    if wants_smoke(preset):
        config.model.tree = "2x2x2"
        config.frames.starts = 4
        config.frames.methods = ("soft_labels", "hace", "cpcc", "haframe", "hier_cos")
    return config
