"""Two tasks of ten classes, as in `mnist_pairs_tasks`: frames, tilted by correlation.

Certified optima at four correlations of the labels.  With
`--config.tasks.classes="(2,2)"` the cosine is a closed form; other numbers of classes
and of tasks have one without correlation.  Half a minute on 2 cores.

    ncjax ufm --config=configs/ufm_mnist_pairs_tasks.py
"""

from ml_collections import ConfigDict

from ncjax.config import wants_smoke
from ncjax.ufm.run import default


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (two tasks of 10 classes), "smoke" (two binary tasks)."""
    config = default()
    config.experiment = "tasks"
    config.model.per_class = 30  # pairs of each combination of labels
    config.model.c = 1e-4
    if wants_smoke(preset):
        config.tasks.classes = (2, 2)
        config.tasks.correlations = (0.0, 0.25, 0.5)
    return config
