"""Two digits in one image: the optimum for sets of labels, over weight decay.

1,500 samples of one digit and 1,500 of two, as in `mnist_pairs_sets`: single labels
make a simplex, and a set has the sum of its labels, times s_2/s_1 = 0.908.  Nothing is
learned where sqrt(lW lH) is 0.0068 or more.  20 s on 2 cores.

    ncjax ufm --config=configs/ufm_mnist_pairs_sets.py
"""

from ml_collections import ConfigDict

from ncjax.config import wants_smoke
from ncjax.ufm.run import default


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (9 strengths of weight decay), "smoke" (5 labels, 3 strengths)."""
    config = default()
    config.experiment = "label_sets"
    config.model.num_classes = 10
    config.model.c = 1e-4  # sqrt(lW lH)
    config.sets.per_set = (150.0, 100 / 3)  # samples of each set of 1, 2 labels
    config.grid = (0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.01, 1.2)  # of the threshold
    if wants_smoke(preset):
        config.model.num_classes, config.sets.per_set = 5, (20.0, 5.0)
        config.model.c = 1e-3
        config.grid = (0.1, 0.9, 1.1)
    return config
