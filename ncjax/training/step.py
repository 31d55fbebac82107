"""The training step and the compiled epoch: pure functions of a `TrainState`.

The step is written for the global view of `jax.jit`: the batch is sharded over a
one-axis mesh, the state is replicated, and XLA inserts the communication.  Losses and
BatchNorm statistics are therefore those of the whole batch on any number of devices.
With `axis_name` the same step runs on per-device batches, inside `jax.pmap`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from ncjax import struct
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, Int

from ncjax.cluster.members import Over
from ncjax.data.augment import Augment, none

Loss = Callable[[jax.Array, jax.Array], jax.Array]
Step = Callable[..., tuple["TrainState", dict[str, jax.Array]]]


@struct.dataclass
class TrainState:
    """All that training carries from step to step.

    Random numbers are not in it: an epoch's key is folded from the seed and the number
    of the epoch, so that a run continues exactly where it stopped.
    """

    step: Any  # [] updates done
    params: Any
    batch_stats: Any  # {} for a network without BatchNorm
    opt_state: Any


def init_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    image_shape: tuple[int, ...],
) -> TrainState:
    """A new network.

    Args:
        model: of `ncjax.models`.
        optimizer: optax transformation.
        key: typed PRNG key.
        image_shape: (h, w, c).
    """
    variables = model.init(key, jnp.zeros((1, *image_shape)), train=False)
    params = variables["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables.get("batch_stats", {}),
        opt_state=optimizer.init(params),
    )


def make_train_step(
    model: nn.Module,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    *,
    scores: Callable[[jax.Array], jax.Array] = lambda outputs: outputs,
    axis_name: str | None = None,
) -> Step:
    """Builds `step(state, images, labels) -> (state, {"loss": [], "error": []})`.

    Args:
        model: of `ncjax.models`; with `axis_name` it must have been made with it too.
        loss: (outputs [n, M], labels [n]) -> [n].
        optimizer: optax transformation.
        scores: outputs [n, M] -> [n, K], of which the largest is the decision.
        axis_name: of the mapped axis when the step runs inside `jax.pmap`.
    """

    def step(
        state: TrainState, images: Float[Array, "n h w c"], labels: Int[Array, "n"]
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        def mean_loss(params):
            (outputs, _), updates = model.apply(
                {"params": params, "batch_stats": state.batch_stats},
                images,
                train=True,
                labels=labels,
                mutable=["batch_stats"],
            )
            outputs = outputs.astype(jnp.float32)
            return loss(outputs, labels).mean(), (outputs, updates)

        grad = jax.value_and_grad(mean_loss, has_aux=True)
        (value, (outputs, updates)), grads = grad(state.params)
        wrong = scores(outputs).argmax(1) != labels
        metrics = {"loss": value, "error": jnp.mean(wrong)}
        if axis_name is not None:
            grads, metrics = jax.lax.pmean((grads, metrics), axis_name)
        updates_, opt_state = optimizer.update(grads, state.opt_state, state.params)
        state = TrainState(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates_),
            batch_stats=updates.get("batch_stats", {}),
            opt_state=opt_state,
        )
        return state, metrics

    return step


def make_epoch(
    step: Step,
    prepare: Callable[[jax.Array], jax.Array],
    batch_size: int,
    mesh: Mesh,
    augment: Augment = none,
    *,
    many: Over | None = None,
) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
    """Compiles a whole epoch over a data set that lies on the devices.

    Returns `epoch(state, key, images, labels) -> (state, metrics [steps])`; `state` is
    donated.  The order is a new permutation for each key; the last n mod batch_size
    examples of it are left out, so every step has the same shape.

    Args:
        step: from `make_train_step`.
        prepare: raw images -> network input, for example normalisation.
        batch_size: over all devices; must be divisible by their number.
        mesh: batches are sharded over its axis "data"; with `many`, networks over
            "seeds".
        augment: (keys [n], raw images) -> raw images; the key of an image depends on
            that of the epoch and on its place in the data set, on nothing else.
        many: of `ncjax.cluster.members`, to train a network for each key: state, keys
            and metrics have a leading axis [S], states over the mesh axis "seeds"; the
            data are shared.
    """
    batches = NamedSharding(mesh, P(None, "data"))

    def epoch(state, key, images, labels):
        order = epoch_order(key, len(labels), batch_size)
        order = jax.lax.with_sharding_constraint(order, batches)
        visit = _visitor(step, prepare, augment, key)
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
        epoch = _on(mesh, epoch)
    # What goes in comes out: a program compiled ahead of time takes nothing else.
    out = NamedSharding(mesh, P("seeds") if many else P()), NamedSharding(mesh, P())
    return jax.jit(epoch, donate_argnums=0, out_shardings=out)


def make_steps(
    step: Step,
    prepare: Callable[[jax.Array], jax.Array],
    mesh: Mesh,
    augment: Augment = none,
) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
    """Compiles some steps of an epoch whose batches are read elsewhere.

    Returns `steps(state, key, images [s, n, h, w, c], labels [s, n], rows [s, n]) ->
    (state, metrics [s])`; `state` is donated, batches are sharded along n, `key` is
    that of the epoch and `rows` are the images' places in the data set.  The s steps
    are those of `make_epoch`.  For the other arguments see there.
    """

    def steps(state, key, *batches):
        visit = _visitor(step, prepare, augment, key)
        return jax.lax.scan(lambda state, batch: visit(state, *batch), state, batches)

    everywhere = NamedSharding(mesh, P())
    return jax.jit(_on(mesh, steps), donate_argnums=0, out_shardings=everywhere)


def epoch_order(key: jax.Array, n: int, batch_size: int) -> jax.Array:
    """Rows of the batches of an epoch [n // batch_size, batch_size], shuffled."""
    steps = n // batch_size
    order = jax.random.permutation(key, n)[: steps * batch_size]
    return order.reshape(steps, batch_size)


def _on(mesh: Mesh, f: Callable) -> Callable:
    """f, knowing of the mesh while it is traced."""

    @wraps(f)
    def traced(*args):
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return f(*args)

    return traced


def _visitor(step: Step, prepare: Callable, augment: Augment, key: jax.Array):
    """The step on raw images, changed as the epoch's key and their rows say."""
    # Not 0 or 1: the keys that `permutation` splits off would be the same.
    images_key = jax.random.fold_in(key, 2)

    def visit(state, images, labels, rows):
        keys = jax.vmap(lambda row: jax.random.fold_in(images_key, row))(rows)
        return step(state, prepare(augment(keys, images)), labels)

    return visit
