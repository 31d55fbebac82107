"""An epoch: all its steps in one program, over data that lie on the devices.

The order of the examples and their augmentation depend on the key of the epoch alone.
`ncjax.training.streamed` takes the same steps over data that the devices cannot hold.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import jax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ncjax.cluster.members import Over
from ncjax.data.augment import Augment, none
from ncjax.training.step import Step


def make_epoch(
    step: Step,
    prepare: Callable[[jax.Array], jax.Array],
    batch_size: int,
    mesh: Mesh,
    augment: Augment = none,
    *,
    many: Over | None = None,
) -> jax.stages.Wrapped:
    """Makes the program of an epoch over a data set that lies on the devices.

    The order is a new permutation for each key; the last n mod batch_size examples of
    it are left out, so every step has the same shape.

    Args:
        step: a step, as from `make_train_step`.
        prepare: raw images -> network input, for example normalisation.
        batch_size: examples per step over all devices; their number must divide it.
        mesh: batches are sharded over its axis "data"; with `many`, networks over
            "seeds".
        augment: (keys [n], raw images) -> raw images; the key of an image depends on
            that of the epoch and on its place in the data set, on nothing else.
        many: makes a function of one network one of many (`ncjax.cluster.members`), to
            train a network for each key: state, keys and metrics have a leading axis
            [S], states lie over the mesh axis "seeds", and all share the data.

    Returns:
        `epoch(state, key, images, labels) -> (state, {"loss": [steps], "error":
        [steps]})`; `state` is donated.
    """
    batches = NamedSharding(mesh, P(None, "data"))

    def epoch(state, key, images, labels):
        order = epoch_order(key, len(labels), batch_size)
        order = jax.lax.with_sharding_constraint(order, batches)
        visit = visitor(step, prepare, augment, key)
        return jax.lax.scan(
            lambda state, rows: visit(state, images[rows], labels[rows], rows),
            state,
            order,
        )

    if many:
        # Left to itself XLA gathers the kernels of all networks on every device.
        own, shared = P("seeds"), P()
        epoch = jax.shard_map(
            many(epoch, (0, 0, None, None)),
            mesh=mesh,
            in_specs=(own, own, shared, shared),
            out_specs=own,
            axis_names={"seeds"},
            check_vma=False,
        )
    else:
        epoch = on_mesh(mesh, epoch)
    # What goes in comes out: a program compiled ahead of time takes nothing else.
    out = NamedSharding(mesh, P("seeds") if many else P()), NamedSharding(mesh, P())
    return jax.jit(epoch, donate_argnums=0, out_shardings=out)


def epoch_order(key: jax.Array, n: int, batch_size: int) -> jax.Array:
    """Shuffled rows of the batches of an epoch, [n // batch_size, batch_size]."""
    steps = n // batch_size
    order = jax.random.permutation(key, n)[: steps * batch_size]
    return order.reshape(steps, batch_size)


def on_mesh(mesh: Mesh, f: Callable) -> Callable:
    """The function f, which knows the mesh while it is traced."""

    @wraps(f)
    def traced(*args):
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return f(*args)

    return traced


def visitor(step: Step, prepare: Callable, augment: Augment, key: jax.Array):
    """The step on raw images, augmented by the key of the epoch and their rows."""
    # Not 0 or 1: the keys that `permutation` splits off would be the same.
    images_key = jax.random.fold_in(key, 2)

    def visit(state, images, labels, rows):
        keys = jax.vmap(lambda row: jax.random.fold_in(images_key, row))(rows)
        return step(state, prepare(augment(keys, images)), labels)

    return visit
