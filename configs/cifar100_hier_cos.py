"""CIFAR-100, ResNet-18, an orthogonal direction for each node of the class tree.

The recipe of Papyan et al. (2020) with the loss of Sani et al. (Hier-COS, CVPR 2026).
`--config.hierarchy.name=cifar100_5` chooses the five-level tree of their tables, which
have a WideResNet-28-8 and 100 epochs: 77.8 % accuracy, mistake severity 2.21, HOPS 0.93
(`--config.eval.order=True` measures it).

    python -m ncjax.main --config=configs/cifar100_hier_cos.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (350 epochs), "smoke" (400 images, 1/3 width, 6 epochs)."""
    config = recipes.papyan_resnet18("cifar100")
    config.loss.name = "hier_cos"
    config.loss.level_weight = 0.05  # of the term for the nodes of every depth
    config = recipes.smoke_resnet(config, preset, per_class=4)
    if preset:
        config.model.width = 1 / 3  # at least as many features as nodes, 120 or 134
    return config
