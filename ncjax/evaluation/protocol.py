"""What the parts of an evaluation are called: types shared by all ways to measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

Array = jax.Array | np.ndarray
Arrays = tuple[Array, Array]  # images [n, h, w, c], labels [n]
# "params" and "batch_stats" of a network, and its "hyper"-parameters, if it has some
# that are no constants of the program.
Variables = Mapping[str, Any]
Features = dict[str, jax.Array]  # name of a layer -> its features [n, d]

# (variables, raw images) -> outputs [n, M] and the features of each layer.
Forward = Callable[[Any, jax.Array], tuple[jax.Array, Features]]
# variables -> weights W [K, d] and bias b [K] of the last layer.
Classifier = Callable[[Variables], tuple[jax.Array, jax.Array]]
# (variables, outputs [n, M], labels [n]) -> loss of each example [n].
Loss = Callable[[Variables, jax.Array, jax.Array], jax.Array]

LAST = "features"  # name of the layer that the classifier sees
AXIS = "data"  # name of the mesh axis over which examples are shared
