"""Four ReLU layers: solutions of low rank beat deep neural collapse.

MSE, ten classes, width 30, all decays .004: orthogonal frames cost .09917987, the
strongly regular graph .08947089; search finds less than the frames, at a rank below 10
before the last ReLU and 10 after it.  A minute on 2 cores.

    ncjax ufm --config=configs/ufm_deep_lowrank.py
"""

from ml_collections import ConfigDict

from ncjax.config import wants_smoke
from ncjax.ufm.run import default


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (4 starts), "smoke" (3 layers, 3 classes: frames)."""
    config = default()
    config.experiment = "deep"
    config.model.loss = "mse"
    config.model.num_classes = 10
    config.deep.depth = 4
    config.deep.width = 30
    config.deep.decay = 4e-3
    config.deep.starts = 4
    if wants_smoke(preset):
        config.model.num_classes = 3
        config.deep.depth = 3
        config.deep.width = 6
        config.deep.starts = 3
    return config
