"""How probes read data sets that the devices cannot hold: the same numbers.

The batches are those of `ncjax.probes.reading`, in several programs; only where images
come from differs (`ncjax.data.reading`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from jax.sharding import Mesh

from ncjax.data.reading import Pace, read_shares
from ncjax.evaluation.protocol import AXIS
from ncjax.evaluation.shares import CHUNK, OWN, SHARED, on_each, scan_chunk
from ncjax.probes.probe import Probe
from ncjax.probes.reading import Measurement, measure_all


def stream_probes(
    probes: Mapping[str, Probe], mesh: Mesh, *, batch_size: int
) -> Measurement:
    """Measures what `ncjax.probes.reading.make_probes` does, in the same batches.

    Args:
        probes: name -> probe.
        mesh: devices, with an axis "data".
        batch_size: examples per forward pass of the one network, over all devices.
    """
    size = -(-batch_size // mesh.shape[AXIS])
    start = on_each(lambda state: state, mesh, (SHARED,), OWN)
    merge = on_each(lambda own: own.all_reduce(AXIS), mesh, (OWN,), SHARED)

    @functools.cache
    def taking(update: Callable) -> Callable:
        """The program in which a state takes in a chunk."""

        def take(state, variables, more, *chunk):
            def visit(state, *batch):
                return update(state, variables, *batch, *more), None

            return scan_chunk(visit, state, chunk)[0]

        return on_each(take, mesh, (OWN, SHARED, SHARED, *CHUNK), OWN)

    def fold(update, state, variables, images, labels, *more):
        own, pace = start(state), Pace()
        for chunk in read_shares(images, labels, size, mesh):
            own = taking(update)(own, variables, more, *chunk)
            pace(own)
        return merge(own)

    sets = {name: probe.sets for name, probe in probes.items()}
    return Measurement(measure_all(probes, fold), sets)
