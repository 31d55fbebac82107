"""A tenth of CIFAR-10, ResNet-18 of 1/4 width, cross-entropy: for a CPU.

`cifar10_ce` needs an accelerator.  This run, with 500 images a class and 16 to 128
channels, fits two cores, where it takes half an hour.  It has a thirtieth of the steps;
ten times the usual weight decay and a cosine make up for them: the training error is 0
at epoch 62, and by the end NC1 falls from 29 to 0.0013, NC2 from 1.1 to 0.11, NC3 from
1.1 to 0.07, NC4 from 0.68 to 0.

    python -m ncjax.main --config=configs/cifar10_narrow_ce.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (120 epochs), "smoke" (200 images, 1/8 width, 24 epochs)."""
    config = recipes.papyan_resnet18("cifar10")
    config.num_epochs = 120  # passes over the training set
    config.data.examples_per_class = 500
    config.model.width = 0.25  # 16 to 128 channels
    config.loss.name = "cross_entropy"
    config.optimizer.schedule = "cosine"
    config.optimizer.weight_decay = 5e-3  # lambda
    config.eval.num_points = 30  # at most this many log-spaced epochs
    return recipes.smoke_resnet(config, preset)
