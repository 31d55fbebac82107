"""How feature maps [n, ..., c] and tokens [n, tokens, d] become vectors [n, d]."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from ncjax.measurement.sources import (
    MeasureError,
    MeasureTypeError,
    no_rows,
    to_numpy,
)

TOKENS = ("first", "last", "mean")  # those that take a mask
POOLS = ("mean", "mean_channels_first", "flatten", "first", "last")


def shaped(
    features: np.ndarray,
    pool: str | None,
    name: str,
    whole: tuple[int, ...] | None = None,
    mask: Any = None,
) -> np.ndarray:
    """A chunk [m, ...] as floats [m, d].

    Args:
        features: the chunk.
        pool: one of `POOLS`, or None.
        name: what messages call the features.
        whole: shape of all the features, for messages, where it is known.
        mask: which tokens [m, tokens] count, see `pool_tokens`; None: all.

    Raises:
        MeasureError: for a shape that is none, a dtype that is no number, or a mask of
            what are no tokens.
    """
    if mask is not None:
        if pool not in TOKENS:
            raise MeasureError(
                f"There is a mask of the tokens of {name}, which is for pool='first', "
                f"'last' or 'mean', but pool={pool!r}."
            )
        features = pool_tokens(features, pool, mask)
    if features.ndim > 2:
        features = _rows(features, pool, name, whole)
    if features.ndim < 2:
        raise no_rows(name, whole or features.shape)
    return floats(features, name)


def _rows(
    maps: np.ndarray, pool: str | None, name: str, whole: tuple[int, ...] | None
) -> np.ndarray:
    """[m, ...] -> [m, d]."""
    trivial = max(maps.shape[1:]) == math.prod(maps.shape[1:])
    if pool == "flatten" or (pool is None and trivial):  # such as [n, d, 1, 1]
        return maps.reshape(len(maps), -1)
    sizes = ", ".join(map(str, whole or ("n", *maps.shape[1:])))
    if pool in ("first", "last"):
        if maps.ndim != 3:
            raise _no_tokens(pool, sizes)
        return pool_tokens(maps, pool)
    if pool is None:
        raise MeasureError(
            f"{name} have shape ({sizes}), but [n, d] is needed. Say how "
            "feature maps become vectors: pool='mean' averages all axes but the first "
            "and the last (channels last, as in JAX), pool='mean_channels_first' all "
            "but the first two (as in PyTorch), pool='flatten' averages none; "
            "pool='first' and pool='last' take one of the tokens [n, tokens, d]."
        )
    first = 1 if pool == "mean" else 2
    last = maps.ndim - (1 if pool == "mean" else 0)
    return _averaged(maps).mean(axis=tuple(range(first, last)))


def pool_tokens(tokens: Any, pool: str, mask: Any = None) -> np.ndarray:
    """One vector for each sequence of tokens, as transformers leave them.

    Args:
        tokens: features [n, tokens, d] of any framework.
        pool: "first" (a class token), "last" or "mean".
        mask: [n, tokens], 0 where a token is padding; None: all tokens count.

    Returns:
        Vectors [n, d]: the first or the last token that counts, or the mean of those.

    Raises:
        MeasureError: for other shapes, or a sequence in which no token counts.

    Example:
        >>> import numpy as np
        >>> tokens = np.arange(6.0).reshape(1, 3, 2)
        >>> pool_tokens(tokens, "last", mask=[[1, 1, 0]]).tolist()
        [[2.0, 3.0]]
    """
    tokens = to_numpy(tokens)
    if pool not in TOKENS:
        raise MeasureError(
            f"Unknown pool of tokens {pool!r}. Available: {', '.join(TOKENS)}."
        )
    if tokens.ndim != 3 or 0 in tokens.shape[1:]:
        raise _no_tokens(pool, ", ".join(map(str, tokens.shape)))
    counts = np.ones(tokens.shape[:2], bool) if mask is None else to_numpy(mask) != 0
    if counts.shape != tokens.shape[:2]:
        raise MeasureError(
            f"The mask has shape {counts.shape}; [n, tokens] = {tokens.shape[:2]} is "
            "needed."
        )
    if not counts.any(axis=1).all():
        row = int(np.argmin(counts.any(axis=1)))
        raise MeasureError(f"The mask leaves no token in row {row}.")
    if pool == "mean":
        kept = np.where(counts[..., None], _averaged(tokens), 0)
        return kept.sum(axis=1) / counts.sum(axis=1, keepdims=True).astype(kept.dtype)
    place = counts.argmax(axis=1)
    if pool == "last":
        place = counts.shape[1] - 1 - counts[:, ::-1].argmax(axis=1)
    return tokens[np.arange(len(tokens)), place]


def _no_tokens(pool: str, sizes: str) -> MeasureError:
    return MeasureError(
        f"pool={pool!r} takes tokens [n, tokens, d]; these features have shape "
        f"({sizes})."
    )


def _averaged(features: np.ndarray) -> np.ndarray:
    """The same numbers in a type of which means can be taken."""
    return features.astype(np.float32) if features.dtype.itemsize < 4 else features


def floats(array: np.ndarray, name: str) -> np.ndarray:
    """Real numbers in a floating-point type that JAX has, in native byte order.

    Raises:
        MeasureTypeError: for what is no real number, or has fewer than 16 bits.
    """
    if jnp.issubdtype(array.dtype, jnp.floating) and array.dtype.itemsize > 1:
        if array.dtype == np.longdouble and array.dtype.itemsize > 8:
            return array.astype(np.float64)
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind in "bui":
        return array.astype(np.float64 if array.itemsize > 2 else np.float32)
    raise MeasureTypeError(
        f"{name} are {array.dtype}; real numbers are needed (bfloat16, float16, "
        "float32, float64 or integers)."
    )
