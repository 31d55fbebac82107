"""The training step: a pure function of a `TrainState`, a batch and its labels.

The step is written for the global view of `jax.jit`: the batch is sharded over a
one-axis mesh, the state is replicated, and XLA inserts the communication.  Losses and
BatchNorm statistics are therefore those of the whole batch on any number of devices.
With `axis_name` the same step runs on per-device batches, inside `jax.pmap`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Shaped

from ncjax import struct
from ncjax.losses.regularisers import Batch
from ncjax.targets.classes import CLASSES

Loss = Callable[[jax.Array, jax.Array], jax.Array]
Step = Callable[..., tuple["TrainState", dict[str, jax.Array]]]


@struct.dataclass
class TrainState:
    """All that training carries from step to step.

    Random numbers are not in it: an epoch's key is folded from the seed and the number
    of the epoch, so that a run continues exactly where it stopped.

    Attributes:
        step: number of updates done []; a step that was skipped is none.
        params: learned parameters.
        batch_stats: running statistics of the layers; {} for a network without
            BatchNorm.
        opt_state: state of the optimizer.
        hyper: hyper-parameters that are no constants of the program, because networks
            that train in one program differ in them: {"optimizer.learning_rate": [],
            ...}.  Most often {}.
    """

    step: Any
    params: Any
    batch_stats: Any
    opt_state: Any
    hyper: Any = struct.field(default_factory=dict)

    def variables(self) -> dict[str, Any]:
        """What evaluation takes: "params", "batch_stats", and "hyper" if not empty."""
        found = {"params": self.params, "batch_stats": self.batch_stats}
        return found | ({"hyper": self.hyper} if self.hyper else {})


def init_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    image_shape: tuple[int, ...],
    hyper: Mapping[str, jax.Array] | None = None,
    scale: float | jax.Array = 1.0,
    own: Mapping[str, Mapping[str, Any]] | None = None,
) -> TrainState:
    """A new network.

    Args:
        model: network of `ncjax.models`.
        optimizer: optax transformation.
        key: typed PRNG key.
        image_shape: (height, width, channels).
        hyper: see `TrainState.hyper`.
        scale: factor on the initial kernels of all layers; biases and the scales of
            normalisation, which have one axis, stay as they are.
        own: parameters beside those of the layers, such as {"loss": {"alpha": []}}.
    """
    variables = model.init(key, jnp.zeros((1, *image_shape)), train=False)
    params = jax.tree.map(lambda p: p * scale if p.ndim > 1 else p, variables["params"])
    params |= own or {}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables.get("batch_stats", {}),
        opt_state=optimizer.init(params),
        hyper=dict(hyper or {}),
    )


def make_train_step(
    model: nn.Module,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    *,
    scores: Callable[[jax.Array], jax.Array] = lambda outputs: outputs,
    error: Callable[[jax.Array, jax.Array], jax.Array] = CLASSES.error,
    regulariser: Callable[[Batch], jax.Array] | None = None,
    loss_of: Callable[[Any], Loss] | None = None,
    axis_name: str | None = None,
    skip_nonfinite: bool = False,
) -> Step:
    """Builds `step(state, images, labels) -> (state, {"loss": [], "error": []})`.

    Args:
        model: network of `ncjax.models`; with `axis_name` it must have been made with
            that name too.
        loss: (outputs [n, M], labels [n]) -> loss of each example [n].
        optimizer: optax transformation.
        scores: outputs [n, M] -> scores [n, K]; the largest is the decision.
        error: (scores, labels [n]) -> error of each example [n]; by default whether
            the decision is another class than the label.
        regulariser: batch -> what is added to its mean loss [], see
            `ncjax.losses.regularisers`; the batch is that of a device if the step runs
            inside `jax.pmap`.
        loss_of: parameters -> the loss, where it learns some of its own; it then takes
            the place of `loss`.
        axis_name: name of the mapped axis if the step runs inside `jax.pmap`.
        skip_nonfinite: a step whose loss, gradients, update or running statistics are
            not finite returns the state as it was, also the count of steps and with it
            the place in the schedule of the learning rate; its metrics are NaN.
    """

    def step(
        state: TrainState,
        images: Float[Array, "n h w c"],
        labels: Shaped[Array, "n ..."],
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        def mean_loss(params):
            variables = {"params": params, "batch_stats": state.batch_stats}
            outputs, features, updates = _forward(model, variables, images, labels)
            of_params = loss if loss_of is None else loss_of(params)
            value = of_params(outputs, labels).mean()
            if regulariser is not None:
                network = partial(_features, model, variables, labels)
                key = jax.random.fold_in(jax.random.key(0), state.step)
                seen = features.astype(jnp.float32), labels, images
                value += regulariser(Batch(*seen, network, key))
            return value, (outputs, updates)

        grad = jax.value_and_grad(mean_loss, has_aux=True)

        def mean_grad(params, number=0):  # SAM asks for it at other parameters
            del number
            grads = grad(params)[1]
            return grads if axis_name is None else jax.lax.pmean(grads, axis_name)

        (value, (outputs, updates)), grads = grad(state.params)
        errors = error(scores(outputs), labels)
        metrics = {"loss": value, "error": jnp.mean(errors)}
        if axis_name is not None:
            grads, metrics = jax.lax.pmean((grads, metrics), axis_name)
        updates_, opt_state = optax.with_extra_args_support(optimizer).update(
            grads, state.opt_state, state.params, grad_fn=mean_grad
        )
        new = dataclasses.replace(
            state,
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates_),
            batch_stats=updates.get("batch_stats", {}),
            opt_state=opt_state,
        )
        if not skip_nonfinite:
            return new, metrics
        return _if_finite(new, state, metrics, (grads, updates_))

    return step


def _forward(model: nn.Module, variables: Any, images: Array, labels: Array):
    """Outputs [n, M] in float32, features [n, d], and the changed statistics."""
    (outputs, features), updates = model.apply(
        variables, images, train=True, labels=labels, mutable=["batch_stats"]
    )
    return outputs.astype(jnp.float32), features, updates


def _features(model: nn.Module, variables: Any, labels: Array, images: Array) -> Array:
    """Features [n, d] in training mode; the changed statistics are forgotten."""
    return _forward(model, variables, images, labels)[1]


def _if_finite(
    new: TrainState, old: TrainState, metrics: dict[str, jax.Array], changes: Any
) -> tuple[TrainState, dict[str, jax.Array]]:
    """The new state, or the old one with NaN metrics if something is not finite."""
    taken = _all_finite((metrics["loss"], changes, new.batch_stats))
    state = jax.tree.map(partial(jnp.where, taken), new, old)
    return state, {k: jnp.where(taken, x, jnp.nan) for k, x in metrics.items()}


def _all_finite(tree: Any) -> Bool[Array, ""]:
    """Whether all numbers of some arrays are finite."""
    each = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]
    return jnp.stack(each).all()
