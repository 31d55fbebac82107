"""Float64 for every public function here: certificates of 1e-9 need it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def double(function: Callable) -> Callable:
    """Runs a function in float64, whether JAX's x64 mode is on or not.

    Its arguments pass `to_double`.  Where the mode is off, it is turned on for the call
    and arrays come back as float64 NumPy arrays, which no later operation rounds
    silently.

    Args:
        function: the function to run in float64.

    Raises:
        TypeError: under a JAX transformation that was started without x64.
    """

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if jax.dtypes.canonicalize_dtype(np.float64) == np.float64:  # x64 is on
            return function(*to_double(args), **to_double(kwargs))
        leaves = jax.tree.leaves((args, kwargs))
        if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            raise TypeError(
                f"{function.__qualname__} needs float64, but jit, vmap or grad around "
                "it was started in float32. Put `with jax.enable_x64(True):` around "
                "the transformed call."
            )
        with jax.enable_x64(True):
            out = function(*to_double(args), **to_double(kwargs))
            return jax.tree.map(_to_numpy, out)

    return wrapper


def to_double(tree: Any) -> Any:
    """A pytree with its real arrays as float64; keys and integers stay as they are.

    Args:
        tree: any pytree.

    Raises:
        TypeError: for traced float32 values, whose digits are already lost.
    """

    def convert(leaf: Any) -> Any:
        if isinstance(leaf, jax.core.Tracer):
            if leaf.dtype in (np.float32, np.float16, jax.numpy.bfloat16):
                raise TypeError(
                    f"A traced input is {leaf.dtype}; these models need float64. "
                    "Give float64 arrays inside `with jax.enable_x64(True):`."
                )
            return leaf
        if isinstance(leaf, float):
            return np.float64(leaf)
        dtype = getattr(leaf, "dtype", np.dtype(int))
        if dtype != np.float64 and jax.numpy.issubdtype(dtype, np.inexact):
            return np.asarray(leaf, np.float64)
        return leaf

    return jax.tree.map(convert, tree)


def is_key(value: Any) -> bool:
    """Whether it is a key, or are keys, of random numbers."""
    return isinstance(value, jax.Array) and jax.dtypes.issubdtype(
        value.dtype, jax.dtypes.prng_key
    )


def _to_numpy(leaf: Any) -> Any:
    plain = isinstance(leaf, jax.Array) and not is_key(leaf)
    return np.asarray(leaf) if plain else leaf
