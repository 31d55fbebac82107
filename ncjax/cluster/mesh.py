"""The grid of devices on which networks and batches lie."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, Sharding


def make_mesh(devices: Sequence[jax.Device], num_seeds: int) -> Mesh:
    """A grid of devices with the axes "seeds" and "data".

    As many devices as possible train networks of different seeds, because these need no
    communication; the devices left over for each group of seeds share its batches.
    """
    groups = math.gcd(num_seeds, len(devices))
    grid = np.array(devices).reshape(groups, -1)
    return Mesh(grid, ("seeds", "data"), axis_types=(AxisType.Auto,) * 2)


def put(array: np.ndarray, sharding: Sharding) -> jax.Array:
    """Lays an array that all processes have on their devices, as `sharding` says.

    `jax.device_put` would first compare the whole array between the processes.
    """
    return jax.make_array_from_callback(array.shape, sharding, lambda i: array[i])
