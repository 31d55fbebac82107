"""The last layer, the same for every network."""

from __future__ import annotations

from flax import linen as nn
from flax.typing import Dtype

from ncjax.classifiers import LAYER, Classifier, linear


def last_layer(
    classifier: Classifier | int, dtype: Dtype, axis_name: str | None
) -> nn.Module:
    """The module that makes outputs of the features; call it in `nn.compact`.

    Args:
        classifier: what the last layer is; a number means a linear layer with that many
            outputs.
        dtype: type of the computation; parameters are float32.
        axis_name: name of the mapped axis under `pmap` or `shard_map`, else None.
    """
    if not isinstance(classifier, Classifier):
        classifier = linear(classifier)
    return classifier.layer(dtype=dtype, axis_name=axis_name, name=LAYER)
