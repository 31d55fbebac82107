"""Networks: `apply(variables, images, train) -> (logits, features)`.

To add one: a Linen module whose last layer is a Dense named `classifier`, a function
`name(num_classes, *, <options>, dtype, axis_name) -> nn.Module`, a line in `MODELS`,
a test.  `config.model` offers the function's options by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
from flax import linen as nn

from ncjax.models.mlp import mlp
from ncjax.models.resnet import resnet18

MODELS: dict[str, Callable[..., nn.Module]] = {"mlp": mlp, "resnet18": resnet18}


def classifier(params: Mapping) -> tuple[jax.Array, jax.Array]:
    """The last layer: W [K, d] and b [K], so that logits = features W' + b."""
    layer = params["classifier"]
    return layer["kernel"].T, layer["bias"]
