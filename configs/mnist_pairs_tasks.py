"""Two digits of MNIST side by side, two tasks of ten classes: frames at right angles.

3,000 pairs, an MLP, the sum of both cross-entropies.  The training error reaches 0, the
cosine between class means of both tasks falls towards 0, and a feature becomes a sum of
two vectors.  Labels that depend on each other tilt the frames:
`--config.data.correlation=0.5`.  Theory: `ufm_mnist_pairs_tasks`.  A minute on 2 cores.

    python -m ncjax.main --config=configs/mnist_pairs_tasks.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (300 epochs), "smoke" (20 epochs on pairs of the small digits)."""
    return recipes.smoke_tasks(recipes.pair_tasks_mlp("mnist"), preset)
