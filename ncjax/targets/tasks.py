"""The target "tasks": each example has a class in each of T tasks."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ncjax import tasks
from ncjax.collapse import Convention, SecondPass
from ncjax.moments import ClassMoments
from ncjax.targets import class_passes
from ncjax.targets.target import Target
from ncjax.tasks import TaskMoments, TaskPass


def of_sizes(sizes: tuple[int, ...]) -> Target:
    """The target for tasks of these sizes; scores are S = sum_t K_t logits.

    Args:
        sizes: number of classes K_t of each task.

    Raises:
        ValueError: for no task, or one of fewer than 2 classes.
    """
    if not sizes:
        raise ValueError(
            "The target 'tasks' needs the number of classes of each task, such as "
            "Dataset(..., target='tasks', tasks=(10, 10))."
        )
    tasks.check_sizes(sizes)
    places, number = tasks.parts(sizes), len(sizes)

    def check(labels: np.ndarray, num_classes: int) -> None:
        if num_classes != sum(sizes):
            raise ValueError(
                f"{num_classes} class names for tasks of {sizes} classes; "
                f"{sum(sizes)} are needed, those of the first task first."
            )
        tasks.check_labels(labels, sizes)

    def absent(labels: np.ndarray, num_classes: int) -> list[int]:
        del num_classes
        counts = [np.bincount(y, minlength=k) for y, k in zip(labels.T, sizes)]
        return np.flatnonzero(np.concatenate(counts) == 0).tolist()

    def decide(scores: Float[Array, "n S"]) -> Int[Array, "n T"]:
        return jnp.stack([scores[:, place].argmax(1) for place in places], 1)

    def error(
        scores: Float[Array, "n S"], labels: Int[Array, "n T"]
    ) -> Bool[Array, "n"]:
        return (decide(scores) != labels).any(1)

    def values(scores: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
        wrong = decide(scores) != labels
        return {f"task{task}/error": wrong[:, task] for task in range(number)}

    def moments(
        num_classes: int, feature_dim: int, *, largest_norm: bool, **unused: Any
    ) -> TaskMoments:
        del num_classes
        return TaskMoments.empty(sizes, feature_dim, largest_norm=largest_norm)

    return Target(
        check=check,
        absent=absent,
        error=error,
        values=values,
        moments=moments,
        metrics=tasks.measure,
        decide=decide,
        second=second,
        about=lambda state: {"seen": state, "about": class_passes.about},
        of_sets=of_sets,
        kept=lambda num_classes, width: width + sum(min(k - 1, width) for k in sizes),
        example=lambda num_classes: np.zeros((1, number), np.int32),
        ranks=False,
        classifiers=("linear",),
        sizes=sizes,
    )


def second(moments: TaskMoments, **about: Any) -> TaskPass:
    """A second pass that has seen no features; see `Target.second`."""
    return TaskPass.empty(moments, partial(_of_task, about))


def _of_task(about: dict[str, Any], moments: ClassMoments) -> SecondPass:
    """The second pass of classes over the features of one task."""
    return class_passes.second(moments, **about)


def of_sets(
    moments: TaskMoments, train: TaskPass, test: TaskPass, convention: Convention
) -> dict[str, jax.Array]:
    """What `class_passes.of_sets` gives for each task: the means, and NC4 of each.

    And `test/not_sum`: test features beside the sums of the training set.
    """
    each = [
        class_passes.of_sets(moments.task(t), seen, unseen, convention)
        for t, (seen, unseen) in enumerate(zip(train.tasks, test.tasks, strict=True))
    ]
    found = tasks.mean_and_each(each)
    found |= {f"nc/task{t}/nc4": one["nc/nc4"] for t, one in enumerate(each)}
    return found | {"test/not_sum": test.compute()["not_sum"]}
