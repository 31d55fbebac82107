"""One optimizer for the last layer, another for all other parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # Optax is loaded by the first optimizer that is made
    import optax


def with_head(
    body: optax.GradientTransformation,
    head: optax.GradientTransformation,
    layer: str,
) -> optax.GradientTransformation:
    """The optimizer `head` for one layer, and `body` for all others.

    Args:
        body: optimizer of the other parameters.
        head: optimizer of the parameters of the layer.
        layer: name of the layer, the key of its parameters.
    """
    import optax

    def labels(params: Mapping[str, Any]) -> dict[str, str]:
        return {name: "head" if name == layer else "body" for name in params}

    return optax.partition({"body": body, "head": head}, labels)
