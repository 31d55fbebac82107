"""Every example is seen once, by one of the devices, and padding counts for nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh

from ncjax.evaluation.shares import AXIS, CHUNK, OWN, SHARED, Shares, fold, scan_chunk

IMAGES = np.arange(21, dtype=np.float32).reshape(21, 1, 1, 1)
LABELS = np.arange(21, dtype=np.int32) % 3


def visit(total, images, labels, weights):
    return total + weights @ (images.reshape(-1) * (labels + 1)), weights.sum()


@pytest.mark.parametrize("devices", [1, 8])
def test_shares_on_the_devices_and_chunks_streamed_to_them(devices):
    mesh = Mesh(np.array(jax.devices()[:devices]), (AXIS,), axis_types=(AxisType.Auto,))

    shares = Shares(mesh, 2 * devices)

    def whole(data):
        total, counts = shares.scan(visit, jnp.zeros(()), data)
        return jax.lax.psum((total, counts.sum()), AXIS)

    want = IMAGES.reshape(-1) @ (LABELS + 1)
    found = shares.on_each(whole, (SHARED,), (SHARED, SHARED))((IMAGES, LABELS))
    assert found == (want, 21)
    take = shares.on_each(
        lambda x, *chunk: scan_chunk(visit, x, chunk)[0], (OWN, *CHUNK), OWN
    )
    own = fold(take, jnp.zeros(devices), shares.read((IMAGES, LABELS)))
    assert own.sum() == want
