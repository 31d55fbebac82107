"""The target "vector": each example has t numbers, as in regression."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ncjax import regression
from ncjax.regression import Convention, RegressionMoments, RegressionPass
from ncjax.targets.target import Target

DEFAULT = Convention()


def check(labels: np.ndarray, outputs: int) -> None:
    """Checks that labels are vectors.

    Args:
        labels: labels of a split [n, t].
        outputs: number t of names that the dataset has for their coordinates.

    Raises:
        TypeError: if they are not float32.
        ValueError: if they are not [n, t], not finite, or too large to be squared.
    """
    if labels.dtype != np.float32:
        raise TypeError(
            f"labels are {labels.dtype}, must be float32 for the target 'vector'; "
            "convert with `labels.astype(np.float32)`."
        )
    regression.check_targets(labels, outputs)


def learnable(labels: np.ndarray, outputs: int) -> list[int]:
    """No class can lack an example; raises `ValueError` for constant labels."""
    del outputs
    regression.check_spread(labels)
    return []


def squared_error(
    outputs: Float[Array, "n t"], labels: Float[Array, "n t"]
) -> Float[Array, "n"]:
    """|z - y|^2 of each example, a sum over targets."""
    return jnp.sum((outputs - labels) ** 2, axis=1)


def moments(outputs: int, feature_dim: int, **unused: Any) -> RegressionMoments:
    """Moments of no features; the scatter is always kept."""
    return RegressionMoments.empty(outputs, feature_dim)


def second(
    moments: RegressionMoments,
    *,
    classifier: jax.Array | None,
    convention: Any,
    **unused: Any,
) -> RegressionPass:
    """A second pass that has seen no features; see `Target.second`."""
    return RegressionPass.empty(moments, classifier, _own(convention))


def metrics(
    moments: RegressionMoments,
    classifier: jax.Array | None = None,
    bias: jax.Array | None = None,
    *,
    convention: Any,
    **about: Any,
) -> dict[str, jax.Array]:
    """Metrics of the features by name; see `ncjax.regression.measure`."""
    return regression.measure(
        moments, classifier, bias, convention=_own(convention), **about
    )


def of_sets(
    moments: RegressionMoments,
    train: RegressionPass,
    test: RegressionPass,
    convention: Any,
) -> dict[str, jax.Array]:
    """R^2, and how far test features are from the spans of the training set."""
    del moments
    about, found = _own(convention), {}
    for place, state in (("train", train), ("test", test)):
        seen = state.compute()
        found |= {f"{place}/{name}": seen[name] for name in ("r2", "r2_worst")}
        if place == "test":
            named = {"nrc1": about.nrc1, "nrc2": about.nrc2}
            shares = {"unexplained": "nrc1", "outside_rows": "nrc2"}
            for name, key in named.items():
                if (key := shares.get(key, key)) in seen:
                    found[f"test/{name}"] = seen[key]
    return found


def _own(convention: Any) -> Convention:
    """The convention of regression; its default where another kind is given."""
    return convention if isinstance(convention, Convention) else DEFAULT


VECTORS = Target(
    check=check,
    absent=learnable,
    error=squared_error,
    moments=moments,
    metrics=metrics,
    decide=lambda outputs: outputs,
    second=second,
    about=lambda state: {"seen": state.compute()},
    of_sets=of_sets,
    kept=lambda outputs, width: width,
    example=lambda outputs: np.zeros((1, outputs), np.float32),
    ranks=False,
    error_key="squared_error",
    least=1,
    classifiers=("linear",),
)
