"""Cross-entropy: the certified optimum is a simplex ETF of known size.

Ten classes of 5 samples, c = sqrt(n lW lH) = 1e-3: f = .0711291755, logits s P with
s = log(1/c - K + 1) = 6.8987145.  Gradient flow of all 50 features reaches it.
Half a minute on 2 cores.

    ncjax ufm --config=configs/ufm_ce.py
"""

from ml_collections import ConfigDict

from ncjax.config import wants_smoke
from ncjax.ufm.run import default


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (flow to t = 1e5), "smoke" (to t = 1e3, 4 classes)."""
    config = default()
    config.experiment = "optimum"
    config.model.num_classes = 10
    config.model.per_class = 5
    config.model.c = 1e-3
    config.expect.objective = 0.0711291755
    config.expect.rank = 9.0
    if wants_smoke(preset):
        config.model.num_classes = 4
        config.model.per_class = 2
        config.model.c = 1e-2
        config.expect.objective = float("nan")
        config.expect.rank = 3.0
        config.flow.points = 21
    return config
