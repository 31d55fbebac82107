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
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ncjax import xla
from ncjax.cluster.members import Over
from ncjax.evaluation.mistakes import Mistakes
from ncjax.evaluation.passes import (
    Batch,
    Moments,
    Passes,
    SetPass,
    all_reduce_moments,
    update_moments,
)
from ncjax.evaluation.protocol import (
    AXIS,
    Array,
    Arrays,
    Classifier,
    Features,
    Forward,
    Loss,
    Variables,
)
from ncjax.targets import Target
from ncjax.targets.classes import CLASSES


@dataclasses.dataclass(frozen=True)
class InMemoryEvaluate:
    """`Evaluate` for arrays that lie on the devices; made by `make_evaluate`."""

    program: Any  # (variables, train, test, buffer) -> sums, buffer; it is donated
    compute: Any  # (variables, *sums) -> metrics
    make_buffer: Callable[[Variables, Array], Features]
    hold: bool  # keep the feature buffer from one call to the next
    passes: Passes
    local_size: int  # examples per forward pass of a device
    buffer: bool
    held: dict[tuple[int, ...], Features] = dataclasses.field(default_factory=dict)

    def __call__(
        self, variables: Variables, train: Arrays, test: Arrays
    ) -> dict[str, jax.Array]:
        """All metrics of a network: the name of each -> its value."""
        shape = train[0].shape
        buffer = self.held.pop(shape, None)
        if buffer is None:
            buffer = self.make_buffer(variables, train[0])
        sums, buffer = self.program(variables, train, test, buffer)
        if self.hold:
            self.held.clear()
            self.held[shape] = buffer
        return self.compute(variables, *sums)

    def compiled(
        self, variables: Variables, train: Arrays, test: Arrays
    ) -> InMemoryEvaluate:
        """The same for arrays of these shapes, compiled now, not at the first call."""
        buffer = self.make_buffer(variables, train[0])
        traced = self.program.trace(variables, train, test, buffer)
        sums, _ = traced.out_info
        compute = self.compute.lower(variables, *sums).compile()
        program = traced.lower().compile()
        held = {train[0].shape: buffer} if self.hold else {}
        return dataclasses.replace(self, program=program, compute=compute, held=held)


def make_evaluate(
    forward: Forward,
    classifier: Classifier,
    loss: Loss,
    mesh: Mesh,
    *,
    num_classes: int,
    batch_size: int,
    scores: Callable[[jax.Array], jax.Array] = lambda outputs: outputs,
    mistakes: Mistakes | None = None,
    geometry: np.ndarray | None = None,
    buffer: bool = True,
    scatter: bool = False,
    target: Target = CLASSES,
    many: Over | None = None,
) -> InMemoryEvaluate:
    """Builds `evaluate(variables, train, test) -> {metric: []}`, compiled.

    Metrics are named `nc/...` for the features that the classifier sees,
    `layers/NAME/...` for those of other layers, `train/...` and `test/...`, and with a
    class tree `tree/...`.

    Args:
        forward: (variables, raw images [n, h, w, c]) -> outputs [n, M] and the features
            of each layer [n, d], of which `LAST` must be one, in evaluation mode.
        classifier: variables -> weights W [K, d] and bias b [K] of the last layer.
        loss: (variables, outputs [n, M], labels [n]) -> loss of each example [n].
        mesh: with an axis "data"; variables and data are replicated over it.
        num_classes: number of classes K.
        batch_size: examples per forward pass of a network, over all its devices;
            rounded up to a multiple of their number.
        scores: outputs [n, M] -> scores [n, K], of which the largest is the decision.
        mistakes: what to measure of the scores; its class tree, if it has one, is also
            that of the collapse of superclasses.
        geometry: Gram matrix of the centred class means that theory predicts [K, K].
        buffer: keep the training features on the devices, for one forward pass in all.
            On a CPU the memory for them is held from one call to the next.
        scatter: also keep the d x d within-class scatter of the last layer, for the
            metrics that need all of it (VCI).
        target: what the labels are.
        many: `vmap_networks` or `map_networks`, to measure many networks: variables and
            metrics have a leading axis [S], variables over the mesh axis "seeds".
    """
    passes = Passes(
        forward,
        classifier,
        loss,
        scores,
        mistakes or Mistakes(),
        geometry,
        num_classes,
        scatter,
        target,
    )
    devices = mesh.shape[AXIS]
    share = _Share(passes, devices, -(-batch_size // devices), buffer)
    evaluate, compute, network, own = share.evaluate, passes.compute, P(), P(AXIS)
    if many:
        evaluate = many(evaluate, (0, None, None, 0))
        compute = many(compute, (0, 0, 0, 0))
        network, own = P("seeds"), P("seeds", AXIS)
    # No gradient passes through this shard_map, and the sums are replicated by
    # construction, so the replication check is not needed.
    mapped = jax.shard_map(
        evaluate,
        mesh=mesh,
        in_specs=(network, P(), P(), own),
        out_specs=(network, own),
        check_vma=False,
    )
    program = jax.jit(mapped, donate_argnums=3)
    compute = jax.shard_map(
        compute, mesh=mesh, in_specs=network, out_specs=network, check_vma=False
    )
    whole = NamedSharding(mesh, P())
    compute = jax.jit(compute, out_shardings=whole, compiler_options=xla.quick(mesh))
    many_forward = many(forward, (0, None)) if many else forward

    def make_buffer(variables: Variables, images: Array) -> Features:
        if not buffer:
            return {}
        _, layers = jax.eval_shape(many_forward, variables, images[:1])
        return share.empty_buffer(layers, len(images), NamedSharding(mesh, own))

    # Fresh memory costs a CPU a page fault every 4 KiB, which is as much as all the
    # rest of the measurement; an accelerator has a pool.
    hold = mesh.devices.flat[0].platform == "cpu"
    return InMemoryEvaluate(
        program, compute, make_buffer, hold, passes, share.size, buffer
    )


@dataclasses.dataclass(frozen=True)
class _Share:
    """What one device does with its share of the data, inside `shard_map`."""

    passes: Passes
    devices: int
    size: int  # examples per forward pass
    buffer: bool

    def evaluate(
        self, variables: Variables, train: Arrays, test: Arrays, buffer: Features
    ) -> tuple[tuple[Moments, SetPass, SetPass], Features]:
        """What `Passes.compute` needs of a network, and the feature buffer."""
        passes = self.passes
        local, kept, buffer = self._first(variables, train, buffer)
        moments = all_reduce_moments(local, AXIS)
        on_train = passes.empty(variables, train[0], moments, passes.brief)
        if self.buffer:
            on_train = self._second(on_train, kept, buffer, local)
        else:
            on_train = self._sweep(variables, train, passes.brief, on_train, _second)
        on_test = passes.empty(variables, train[0], moments, passes.mistakes)
        on_test = self._sweep(variables, test, passes.mistakes, on_test, _second)
        both = on_train.all_reduce(AXIS), on_test.all_reduce(AXIS)
        return (moments, *both), buffer

    def empty_buffer(
        self,
        layers: Mapping[str, jax.ShapeDtypeStruct],
        number: int,
        sharding: NamedSharding,
    ) -> Features:
        """Memory for the features of all batches, [batches, size, d] for each layer.

        Args:
            layers: shapes of the features of each layer, for any number of images.
            number: number of images of the training set.
            sharding: how the batches lie on the devices.
        """
        batches = self.devices * -(-number // (self.devices * self.size))
        return {
            layer: jnp.zeros(
                (*x.shape[:-2], batches, self.size, x.shape[-1]),
                jnp.promote_types(x.dtype, jnp.float32),
                device=sharding,
            )
            for layer, x in layers.items()
        }

    def _first(self, variables: Variables, train: Arrays, buffer: Features):
        """Moments of this device, what is kept of each batch, and the full buffer."""

        def visit(carry, batch: Batch):
            i, moments, buffer = carry
            moments = update_moments(moments, batch)
            buffer = {
                layer: jax.lax.dynamic_update_index_in_dim(
                    x, batch.features[layer] - moments[layer].pivot[batch.labels], i, 0
                )
                for layer, x in buffer.items()
            }
            rest = batch._replace(features={}) if self.buffer else None
            return (i + 1, moments, buffer), rest

        start = (0, self.passes.empty_moments(variables, train[0]), buffer)
        carry, kept = self._scan(variables, train, self.passes.brief, start, visit)
        _, moments, buffer = carry
        return moments, kept, buffer

    def _second(
        self, state: SetPass, kept: Batch, buffer: Features, local: Moments
    ) -> SetPass:
        """The second pass over the training set, from the feature buffer."""
        # All batches in one product, which reads the buffer just once.
        deviations = {}
        for layer, residuals in buffer.items():
            span = state.layers[layer].span.with_pivot(local[layer].pivot)
            deviations[layer] = span.residual_deviations(residuals, kept.labels)
        state, _ = jax.lax.scan(
            lambda state, batch: (state.update(*batch), None), state, (kept, deviations)
        )
        return state

    def _sweep(self, variables, data: Arrays, asked: Mistakes, carry, visit):
        """A state that has visited all batches of this device's share of the data."""
        return self._scan(variables, data, asked, carry, visit)[0]

    def _scan(self, variables, data: Arrays, asked: Mistakes, carry, visit):
        """Scans this device's share of the data; returns carry and stacked outputs."""
        images, labels = data
        batches = -(-len(labels) // (self.devices * self.size))
        rows = jax.lax.axis_index(AXIS) * batches * self.size
        rows = rows + jnp.arange(batches * self.size).reshape(batches, self.size)

        def step(carry, rows):  # rows beyond the data are padding
            weights = (rows < len(labels)).astype(jnp.float32)
            rows = jnp.minimum(rows, len(labels) - 1)
            batch = self.passes.batch(
                variables, images[rows], labels[rows], weights, asked
            )
            return visit(carry, batch)

        return jax.lax.scan(step, carry, rows)


def _second(state: SetPass, batch: Batch) -> tuple[SetPass, None]:
    return state.update(batch), None
