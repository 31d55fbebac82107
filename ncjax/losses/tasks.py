"""The loss of several tasks: labels are a class of each."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from ncjax.losses.flat import cross_entropy
from ncjax.losses.outputs import Scalar
from ncjax.tasks import parts, task_weights as weights_of


def sum_of_tasks(
    logits: Float[Array, "n S"],
    labels: Integer[Array, "n T"],
    *,
    tasks: tuple[int, ...],
    task_weights: tuple[float, ...] = (),
    label_smoothing: Scalar = 0.0,
    temperature: Scalar = 1.0,
) -> Float[Array, "n"]:
    """Weighted sum of the cross-entropies of several tasks.

    L = sum_t w_t CE(z^(t), y_t), with z^(t) the logits of task t.

    Args:
        logits: z [n, S], the logits of all tasks side by side, S = sum_t K_t.
        labels: y [n, T], the class of each example in each task, 0..K_t - 1.
        tasks: number of classes K_t of each task.
        task_weights: w, a weight for each task, finite and more than 0; () for 1 each.
        label_smoothing: share of the target that is spread evenly over the classes of
            each task; see `cross_entropy`.
        temperature: T, positive and finite; the loss is that of the logits z / T.

    Returns:
        Loss of each example [n], in nats.

    Raises:
        TypeError: for integer logits, or labels that are no integers.
        ValueError: for another number of weights than of tasks, logits or labels of
            another shape, or an option or labels out of range.
    """
    weights = weights_of(task_weights, len(tasks))
    if labels.shape != (len(logits), len(tasks)) or logits.shape[1] != sum(tasks):
        raise ValueError(
            f"The logits have shape {logits.shape} and the labels {labels.shape}; for "
            f"{len(tasks)} task(s) of {' + '.join(map(str, tasks))} classes they are "
            f"[n, {sum(tasks)}] and [n, {len(tasks)}]."
        )
    value = jnp.zeros(len(logits), logits.dtype)
    for task, (place, weight) in enumerate(zip(parts(tasks), weights, strict=True)):
        value += weight * cross_entropy(
            logits[:, place],
            labels[:, task],
            label_smoothing=label_smoothing,
            temperature=temperature,
        )
    return value
