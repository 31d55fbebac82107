"""Every example is seen once, by one of the devices, and padding counts for nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh

from ncjax.data.reading import read_shares
from ncjax.evaluation.shares import (
    AXIS,
    CHUNK,
    OWN,
    SHARED,
    on_each,
    scan_chunk,
    scan_share,
)

IMAGES = np.arange(21, dtype=np.float32).reshape(21, 1, 1, 1)
LABELS = np.arange(21, dtype=np.int32) % 3


def visit(total, images, labels, weights):
    return total + weights @ (images.reshape(-1) * (labels + 1)), weights.sum()


@pytest.mark.parametrize("devices", [1, 8])
def test_shares_on_the_devices_and_chunks_streamed_to_them(devices):
    mesh = Mesh(np.array(jax.devices()[:devices]), (AXIS,), axis_types=(AxisType.Auto,))

    def whole(data):
        total, counts = scan_share(visit, jnp.zeros(()), data, 2, devices)
        return jax.lax.psum((total, counts.sum()), AXIS)

    want = IMAGES.reshape(-1) @ (LABELS + 1)
    found = on_each(whole, mesh, (SHARED,), (SHARED, SHARED))((IMAGES, LABELS))
    assert found == (want, 21)
    take = on_each(lambda x, *c: scan_chunk(visit, x, c)[0], mesh, (OWN, *CHUNK), OWN)
    own = jnp.zeros(devices)
    for chunk in read_shares(IMAGES, LABELS, 2, mesh):
        own = take(own, *chunk)
    assert own.sum() == want
