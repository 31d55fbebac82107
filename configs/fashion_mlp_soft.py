"""Fashion-MNIST, 10,000 images, MLP 784-256-256-256-10, soft labels over the tree.

One of the runs that ask what hierarchical losses do to collapse; the others are
`fashion_mlp_ce.py`, `fashion_mlp_hxe.py`.  Batch and weight decay are larger
than in Papyan's recipe, and the learning rate falls along a cosine, so that collapse
comes in a minute on a CPU.

    python -m ncjax.main --config=configs/fashion_mlp_soft.py
"""

from ml_collections import ConfigDict

from ncjax.config import default, wants_smoke


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (150 epochs), "smoke" (500 images, 10 epochs)."""
    config = default()
    config.num_epochs = 150  # passes over the training set
    config.batch_size = 500  # examples per step
    config.data.name = "fashion_mnist"
    config.data.examples_per_class = 1000
    config.model.name = "mlp"
    config.model.widths = (256, 256, 256)  # units; the last is the feature width
    config.loss.name = "soft_labels"
    config.loss.beta = 4.0  # sharpness: 0 uniform, large one-hot
    config.optimizer.learning_rate = 0.1  # at the start
    config.optimizer.schedule = "cosine"
    config.optimizer.weight_decay = 3e-3  # lambda
    config.eval.num_points = 16  # at most so many log-spaced epochs
    config.eval.crm = True  # also decide by least expected distance in the tree
    if wants_smoke(preset):
        config.num_epochs = 10
        config.batch_size = 50
        config.data.examples_per_class = 50
        config.data.test_examples_per_class = 20
    return config
