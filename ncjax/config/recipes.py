"""Recipes: the settings that several shipped configs share, each under one name.

A config in `configs/` names a recipe, changes what it is about, and at the end lets
the "smoke" preset make it small:

    from ncjax.config import recipes

    def get_config(preset=""):
        config = recipes.papyan_mlp("mnist")
        config.loss.name = "mse"
        return recipes.smoke_mlp(config, preset)

`data` is the name of a data set in `ncjax.data.DATASETS`.  The functions `smoke_...`
change `config` and come last, so that a small run stays small whatever the config has
changed.  They change nothing for the preset "" and raise `ConfigError` for one that is
neither "" nor "smoke".
"""

from __future__ import annotations

from ml_collections import ConfigDict

from ncjax.config import default, wants_smoke


def papyan_mlp(data: str) -> ConfigDict:
    """An MLP with two layers of 512 units, by the recipe of Papyan et al. (2020).

    SGD with momentum 0.9, 350 epochs, batches of 128, weight decay 5e-4, the learning
    rate divided by 10 after one third and two thirds, and no augmentation.

    References:
        Papyan, Han & Donoho, Prevalence of neural collapse, PNAS 2020.
    """
    config = _papyan(data)
    config.model.widths = (512, 512)  # units; the last is the feature width
    return config


def papyan_resnet18(data: str) -> ConfigDict:
    """A ResNet-18 by the recipe of Papyan et al. (2020), as in `papyan_mlp`."""
    config = _papyan(data)
    config.model.name = "resnet18"
    return config


def _papyan(data: str) -> ConfigDict:
    config = default()
    config.num_epochs = 350  # passes over the training set
    config.data.name = data
    config.optimizer.schedule = "step"
    config.optimizer.weight_decay = 5e-4  # lambda
    return config


def narrow_resnet18(data: str) -> ConfigDict:
    """A ResNet-18 of 1/4 width that collapses on some thousand images, on a CPU.

    So few images have few steps: ten times the usual weight decay and a cosine make up
    for them.
    """
    config = papyan_resnet18(data)
    config.num_epochs = 120  # passes over the training set
    config.model.width = 0.25  # 16 to 128 channels
    config.optimizer.schedule = "cosine"
    config.optimizer.weight_decay = 5e-3  # lambda
    config.eval.num_points = 30  # at most this many log-spaced epochs
    return config


def own_images(data: str) -> ConfigDict:
    """`narrow_resnet18` on image files of any size, brought to 32 x 32 pixels, RGB."""
    config = narrow_resnet18(data)
    config.batch_size = 64
    config.data.size = 32  # pixels: the largest centred square is scaled to it
    config.data.channels = 3  # RGB; 1: grey
    return config


def small_mlp(data: str) -> ConfigDict:
    """An MLP 128-128-64 that collapses on small data within seconds: the default."""
    config = default()
    config.data.name = data
    return config


def binary_tree_mlp() -> ConfigDict:
    """`small_mlp` on Gaussian classes that follow a binary tree with 8 leaves.

    The tree is balanced, so that theory has the optimum of each loss in closed form
    (`ncjax.hierarchy.soft_labels`, `ncjax.hierarchy.hxe`).
    """
    config = small_mlp("synthetic")
    config.data.num_classes = 8
    config.data.branching = 2  # children of a node
    config.data.dim = 64  # numbers in an example
    config.data.train_size_per_class = 200
    config.optimizer.weight_decay = 5e-3  # lambda
    return config


def regression_mlp(data: str) -> ConfigDict:
    """`small_mlp` with MSE on vectors, without BatchNorm.

    BatchNorm after the last hidden layer would keep the features spread in all
    directions, where regression collapses to as many as there are targets.
    """
    config = small_mlp(data)
    config.loss.name = "mse"
    config.model.batch_norm = False
    config.optimizer.learning_rate = 0.02  # at the start
    return config


def ordinal_mlp(data: str) -> ConfigDict:
    """`small_mlp` with a cumulative link model on levels, without BatchNorm.

    As in `regression_mlp`, BatchNorm would keep the features spread, here in more
    directions than the one of the levels.
    """
    config = small_mlp(data)
    config.data.target = "ordinal"
    config.loss.name = "ordinal"
    config.model.batch_norm = False
    config.optimizer.learning_rate = 0.02  # at the start
    return config


def pair_tasks_mlp(source: str) -> ConfigDict:
    """`small_mlp` on pairs of images, each half a task of its own.

    Args:
        source: where the images are from, such as "mnist".
    """
    config = small_mlp("pair_tasks")
    config.data.source = source
    config.data.train_size = 3000  # pairs
    config.num_epochs = 300  # passes over the training set
    config.batch_size = 250  # examples per step
    config.loss.name = "sum_of_tasks"
    return config


def fashion_mlp() -> ConfigDict:
    """10,000 images of Fashion-MNIST, an MLP 256-256-256, 150 epochs.

    The setting of the study of hierarchical losses.  Batch and weight decay are larger
    than in Papyan's recipe and the learning rate falls along a cosine, so that collapse
    comes within a minute on a CPU.
    """
    config = default()
    config.num_epochs = 150  # passes over the training set
    config.batch_size = 500  # examples per step
    config.data.name = "fashion_mnist"
    config.data.examples_per_class = 1000
    config.model.widths = (256, 256, 256)  # units; the last is the feature width
    config.optimizer.learning_rate = 0.1  # at the start
    config.optimizer.schedule = "cosine"
    config.optimizer.weight_decay = 3e-3  # lambda
    config.eval.num_points = 16  # at most this many log-spaced epochs
    config.eval.crm = True  # also decide by least expected distance in the tree
    return config


def smoke_epochs(config: ConfigDict, preset: str) -> ConfigDict:
    """The preset "smoke" for data that are small already: 20 epochs."""
    if wants_smoke(preset):
        config.num_epochs = 20
    return config


def smoke_tasks(config: ConfigDict, preset: str) -> ConfigDict:
    """The preset "smoke" for pairs of images: 500 pairs of digits, 20 epochs."""
    if wants_smoke(preset):
        config.data.source = "digits"
        config.data.train_size = 500
        config.data.test_size = 100
        config.batch_size = 50
    return smoke_epochs(config, preset)


def smoke_mlp(config: ConfigDict, preset: str) -> ConfigDict:
    """The preset "smoke" for an MLP and ten classes: 500 images, 10 epochs."""
    if wants_smoke(preset):
        config.num_epochs = 10
        config.batch_size = 50
        config.data.examples_per_class = 50
        config.data.test_examples_per_class = 20
    return config


def smoke_resnet(
    config: ConfigDict, preset: str, *, per_class: int = 20, epochs: int = 6
) -> ConfigDict:
    """The preset "smoke" for a ResNet: few images, 1/8 of the width, 6 epochs.

    With 24 epochs of a cosine the training error of cross-entropy on CIFAR-10 is 0.
    The test set has half as many images of each class as the training set.
    """
    if wants_smoke(preset):
        config.num_epochs = epochs
        config.optimizer.schedule = "cosine"
        config.batch_size = 32
        config.model.width = 0.125
        config.data.examples_per_class = per_class
        config.data.test_examples_per_class = per_class // 2
        config.eval.num_points = 4
    return config


def smoke_own_data(config: ConfigDict, preset: str) -> ConfigDict:
    """The preset "smoke" where the user has given no data yet: 20 epochs on the digits.

    With `--config.data.name=...` and `--config.data.path=...` it takes those given.
    """
    if wants_smoke(preset):
        config.num_epochs = 20
        config.data.update(default().data)
        if config.model.name != "mlp":
            config.model.width = 0.125
            config.data.examples_per_class = 20
            config.data.test_examples_per_class = 10
    return config
