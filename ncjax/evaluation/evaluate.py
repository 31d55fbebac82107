"""Collapse of a network over data sets that lie on the devices: two compiled programs.

The network runs in evaluation mode over the training set and the test set; each device
takes its share, and what the devices found is merged once, at the end.  Class means
are always those of the training set.  One program reads the data; the other computes
the metrics from what the first has summed.

One forward pass over the training set takes its features into the class moments.  The
second pass needs the features once more, now that the means are known: they are kept
for it in a feature buffer, minus the pivot of their class, where they fit on the
devices (`buffer=True`), else a second forward pass makes them again.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from jax.stages import Lowered

from ncjax.cluster.members import Over
from ncjax.compiling import in_turn, quick
from ncjax.evaluation.passes import (
    Batch,
    Features,
    Moments,
    Passes,
    SetPass,
    Variables,
    all_reduce_moments,
    update_moments,
    update_risk,
)
from ncjax.evaluation.shares import (
    AXIS,
    CHUNK,
    OWN,
    SHARED,
    Array,
    Arrays,
    Shares,
    fold,
    scan_chunk,
    train_parts,
)


class Evaluate:
    """Measures networks over data that lie on the devices.

    Metrics are named `nc/...` for the features that the classifier sees,
    `layers/NAME/...` for those of other layers, `train/...` and `test/...`, and with a
    class tree `tree/...`.
    """

    def __init__(
        self,
        passes: Passes,
        mesh: Mesh,
        *,
        batch_size: int,
        buffer: bool = True,
        many: Over | None = None,
        own_labels: bool = False,
    ):
        """Makes the two programs.

        Args:
            passes: what to measure of a network.
            mesh: with an axis "data"; variables and data are replicated over it.
            batch_size: examples per forward pass of a network, over all its devices;
                rounded up to a multiple of their number.
            buffer: keep the training features on the devices, for one forward pass in
                all.  On a CPU the memory for them is held from one call to the next.
            many: `vmap_networks` or `map_networks`, to measure many networks: variables
                and metrics have a leading axis [S], variables over the mesh axis
                "seeds".
            own_labels: each of many networks has training labels of its own [S, n].
        """
        self.passes, self.buffer = passes, buffer
        self.shares = Shares(mesh, batch_size)
        self._forward, network, own = passes.forward, P(), P(AXIS)
        train = train_parts(own_labels)
        evaluate, compute = self._evaluate, passes.compute
        if many:
            self._forward = many(passes.forward, (0, None))
            evaluate = many(evaluate, (0, train.axes, None, 0))
            compute = many(in_turn(compute), (0, 0, 0, 0))
            network, own = P("seeds"), P("seeds", AXIS)
        takes, gives = (network, train.parts, P(), own), (network, own)
        self._program = self.shares.spmd(evaluate, takes, gives, donate_argnums=3)
        platform = mesh.devices.flat[0].platform
        self._on_cpu = platform == "cpu"
        self.compute = self.shares.spmd(
            compute,
            network,
            network,
            out_shardings=NamedSharding(mesh, P()),
            compiler_options=quick(platform),
        )
        self._own = NamedSharding(mesh, own)
        # Fresh memory costs a CPU a page fault every 4 KiB, which is as much as all the
        # rest of the measurement; an accelerator has a pool.
        self._held: dict[tuple[int, ...], Features] = {}

    def __call__(
        self, variables: Variables, train: Arrays, test: Arrays
    ) -> dict[str, jax.Array]:
        """All metrics of a network: the name of each -> its value."""
        shape = train[0].shape
        buffer = self._held.pop(shape, None)
        if buffer is None:
            buffer = self._empty_buffer(variables, train[0])
        sums, buffer = self._program(variables, train, test, buffer)
        if self._on_cpu:
            self._held = {shape: buffer}
        return self.compute(variables, *sums)

    def lower(self, variables: Variables, train: Arrays, test: Arrays) -> list[Lowered]:
        """The two programs for arrays of these shapes, not compiled yet."""
        buffer = self._empty_buffer(variables, train[0])
        first = self._program.lower(variables, train, test, buffer)
        sums, _ = first.out_info
        return [first, self.compute.lower(variables, *sums)]

    def compile(self, variables: Variables, train: Arrays, test: Arrays) -> None:
        """Compiles for arrays of these shapes now, not at the first call."""
        for program in self.lower(variables, train, test):
            program.compile()

    def _empty_buffer(self, variables: Variables, images: Array) -> Features:
        """Memory for the features of all batches, [batches, size, d] for each layer."""
        if not self.buffer:
            return {}
        _, layers = jax.eval_shape(self._forward, variables, images[:1])
        devices, size = self.shares.devices, self.shares.size
        batches = devices * -(-len(images) // (devices * size))
        return {
            layer: jnp.zeros(
                (*x.shape[:-2], batches, size, x.shape[-1]),
                jnp.promote_types(x.dtype, jnp.float32),
                device=self._own,
            )
            for layer, x in layers.items()
        }

    def _evaluate(
        self, variables: Variables, train: Arrays, test: Arrays, buffer: Features
    ) -> tuple[tuple[Moments, SetPass, SetPass], Features]:
        """What `compute` needs, and the full buffer, from inside `shard_map`."""
        passes, scan = self.passes, self.shares.scan

        def first(carry, *batch):
            i, moments, risk, buffer = carry
            seen = passes.batch(passes.brief, variables, *batch)
            moments, risk = update_moments(moments, seen), update_risk(risk, seen)
            buffer = {
                layer: jax.lax.dynamic_update_index_in_dim(
                    x, moments[layer].residual(seen.features[layer], seen.labels), i, 0
                )
                for layer, x in buffer.items()
            }
            rest = seen.rest if self.buffer else None
            return (i + 1, moments, risk, buffer), rest

        start = passes.empty_moments(variables, train[0])
        risk = passes.empty_risk(variables, train[0]) if self.buffer else None
        (_, local, risk, buffer), kept = scan(first, (0, start, risk, buffer), train)
        moments = all_reduce_moments(local)
        on_train, on_test = passes.empty(variables, train[0], moments)
        if self.buffer:
            on_train = dataclasses.replace(on_train, risk=risk)
            on_train = _from_buffer(on_train, kept, buffer, local)
        else:
            again = passes.second(passes.brief, variables)
            on_train, _ = scan(again, on_train, train)
        second = passes.second(passes.mistakes, variables)
        on_test, _ = scan(second, on_test, test)
        return (moments, on_train.all_reduce(AXIS), on_test.all_reduce(AXIS)), buffer


class StreamedEvaluate:
    """`Evaluate` for arrays on the host or in a memory map: the same numbers.

    Passes and batches are the same, in several programs; only where images come from
    differs (`ncjax.data.reading`).
    """

    def __init__(self, evaluate: Evaluate):
        """Measures what `evaluate` does."""
        self._passes, self._keep = evaluate.passes, evaluate.buffer
        passes, on_each = evaluate.passes, evaluate.shares.on_each
        takes = (OWN, SHARED, *CHUNK)
        self._empty = on_each(self._begin, (SHARED, SHARED), OWN)
        self._first = on_each(self._take, takes, (OWN, OWN))
        meets = (SHARED, SHARED, OWN), (SHARED, OWN, OWN)
        self._meet = on_each(self._start, *meets)
        self._again = on_each(_take_kept, (OWN, OWN), OWN)
        self._second_train, self._second_test = (
            on_each(partial(self._take_again, asked), takes, OWN)
            for asked in (passes.brief, passes.mistakes)
        )
        self._merge = on_each(
            lambda *states: tuple(state.all_reduce(AXIS) for state in states),
            (OWN, OWN),
            (SHARED, SHARED),
        )
        self._evaluate = evaluate

    def __call__(
        self, variables: Variables, train: Arrays, test: Arrays, most: int | None = None
    ) -> dict[str, jax.Array]:
        """All metrics, from all chunks of each set or from the first `most`."""
        one, kept = jnp.asarray(train[0][:1]), []
        read = partial(self._evaluate.shares.read, most=most)

        def first(local, *chunk):
            local, batches = self._first(local, *chunk)
            kept.append((batches,))
            return local

        local = fold(first, self._empty(variables, one), read(train), variables)
        moments, on_train, on_test = self._meet(variables, one, local)
        if self._keep:
            on_train = fold(self._again, on_train, kept)
        else:
            on_train = fold(self._second_train, on_train, read(train), variables)
        on_test = fold(self._second_test, on_test, read(test), variables)
        sums = self._merge(on_train, on_test)
        return self._evaluate.compute(variables, moments, *sums)

    def compile(self, variables: Variables, train: Arrays, test: Arrays) -> None:
        """Compiles by measuring the first chunks."""
        jax.block_until_ready(self(variables, train, test, most=1))

    def _begin(self, variables, image):
        """Moments of no features, and outputs of none where this pass takes them."""
        passes = self._passes
        risk = passes.empty_risk(variables, image) if self._keep else None
        return passes.empty_moments(variables, image), risk

    def _take(self, local, variables, *chunk):
        """What `_begin` gives with one more chunk, and its batches, if kept."""

        def visit(local, *batch):
            seen = self._passes.batch(self._passes.brief, variables, *batch)
            local = update_moments(local[0], seen), update_risk(local[1], seen)
            rest = seen.rest._replace(features=seen.features)
            return local, rest if self._keep else None

        return scan_chunk(visit, local, chunk)

    def _start(self, variables, image, local):
        """Moments of all devices, and empty second passes over both sets."""
        moments = all_reduce_moments(local[0])
        on_train, on_test = self._passes.empty(variables, image, moments)
        if self._keep:
            on_train = dataclasses.replace(on_train, risk=local[1])
        return moments, on_train, on_test

    def _take_again(self, asked, state, variables, *chunk):
        """The second pass with one more chunk, by another forward pass."""
        return scan_chunk(self._passes.second(asked, variables), state, chunk)[0]


def _from_buffer(
    state: SetPass, kept: Batch, buffer: Features, local: Moments
) -> SetPass:
    """The second pass over what one device has kept of the training set."""
    # All batches in one product, which reads the buffer just once.
    deviations = {
        layer: state.layers[layer].residual_deviations(
            residuals, kept.labels, local[layer]
        )
        for layer, residuals in buffer.items()
    }
    return _take_kept(state, kept, deviations)


def _take_kept(state: SetPass, *kept: Any) -> SetPass:
    """The second pass with batches that were kept, and their deviations if known."""
    state, _ = jax.lax.scan(lambda s, batch: (s.update(*batch), None), state, kept)
    return state
