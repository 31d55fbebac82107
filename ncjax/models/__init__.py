"""Networks: `apply(variables, images, train) -> (logits, features)`.

To add one: a Linen module whose last layer is a `Classifier` named `classifier`, a
function `name(outputs, *, <options>, dtype, axis_name) -> nn.Module`, a line in
`MODELS`, a test.  `config.model` offers the function's options by itself.  A block that
`self.sow("layers", "out_NAME", x)`s its output can be measured too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import jax
from flax import linen as nn

from ncjax.models.densenet import densenet121
from ncjax.models.heads import Classifier
from ncjax.models.mlp import mlp
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

__all__ = ["MODELS", "Classifier", "classifier", "layer_outputs"]


def classifier(params: Mapping) -> tuple[jax.Array, jax.Array]:
    """The last layer: W [M, d] and b [M], so that outputs = features W' + b."""
    layer = params["classifier"]
    return layer["kernel"].T, layer["bias"]


def layer_outputs(
    model: nn.Module,
    variables: Mapping,
    images: jax.Array,
    pool: Literal["mean", "flatten"] = "mean",
) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
    """Logits [n, K], features [n, d] and the output of every block [n, d of the block].

    In evaluation mode.  The names of the blocks are numbered from the shallowest on.

    Args:
        model: from `MODELS`.
        variables: {"params": ..., "batch_stats": ...}.
        images: [n, h, w, c], normalised.
        pool: what makes a feature map [n, h, w, c] a vector: the mean over positions,
            or all entries.
    """
    variables = {k: v for k, v in variables.items() if k != "layers"}
    output, sown = model.apply(variables, images, train=False, mutable=["layers"])
    outputs = {}
    for i, (name, (x,)) in enumerate(sown["layers"].items(), 1):
        if x.ndim == 4 and pool == "mean":
            x = x.mean(axis=(1, 2))
        outputs[f"{i:02d}_{name.removeprefix('out_')}"] = x.reshape(len(x), -1)
    return *output, outputs
