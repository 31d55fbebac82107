"""Networks: `apply(variables, images, train) -> (outputs, features)`.

To add one: a `Network` with its `hidden` layers, or any Linen module that ends with its
`last_layer`; a function `name(classifier, *, <options>, dtype) -> nn.Module`; a line in
`MODELS`; a test.  `config.model` offers the function's options by itself.  A block that
`self.sow("layers", "out_NAME", x)`s its output can be measured too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import jax
from flax import linen as nn

from ncjax.models.densenet import densenet121
from ncjax.models.mlp import mlp
from ncjax.models.network import Network as Network, last_layer as last_layer
from ncjax.models.resnet import resnet18, resnet34, resnet50, resnext50
from ncjax.models.vgg import vgg13

MODELS: dict[str, Callable[..., nn.Module]] = {
    "mlp": mlp,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnext50": resnext50,
    "vgg13": vgg13,
    "densenet121": densenet121,
}


def layer_outputs(
    model: nn.Module,
    variables: Mapping,
    images: jax.Array,
    pool: Literal["mean", "flatten"] = "mean",
) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
    """Outputs of the network, its features, and the output of every block.

    In evaluation mode.

    Args:
        model: from `MODELS`.
        variables: {"params": ..., "batch_stats": ...}.
        images: [n, h, w, c], normalised.
        pool: what makes a feature map [n, h, w, c] a vector: the mean over positions,
            or all entries.

    Returns:
        Outputs [n, M]; features [n, d]; and for each block its output [n, width of the
        block], under a name that is numbered from the shallowest block on.
    """
    variables = {k: v for k, v in variables.items() if k != "layers"}
    output, sown = model.apply(variables, images, train=False, mutable=["layers"])
    outputs = {}
    for i, (name, (x,)) in enumerate(sown["layers"].items(), 1):
        if x.ndim == 4 and pool == "mean":
            x = x.mean(axis=(1, 2))
        outputs[f"{i:02d}_{name.removeprefix('out_')}"] = x.reshape(len(x), -1)
    return *output, outputs
