"""All metrics of the collapse of several tasks, in one dictionary.

Every metric of `ncjax.collapse` is measured of each task for itself, on the same
features; a metric `KEY` is the mean over the tasks, `taskT/KEY` that of task T = 0, 1,
... for NC1 to NC4.  Beside them stand the metrics that only several tasks have.

Authors number the parts of this collapse S_NC1 to S_NC5.  Here variability (S_NC1) is
`nc1` for each task and `not_sum` for all together, the frames of the tasks (S_NC2)
`nc2`, the classifier beside them (S_NC3) `nc3`, nearest class means (S_NC4) `nc4`, and
right angles between tasks (S_NC5) `cross_task`; their code is not public, so that the
numbers need not be theirs.

NC1 of a task counts only variance along the class means of that task.  So it falls to 0
though the features of a class are spread by the other tasks, if the tasks stand at
right angles; where labels are correlated they do not, and NC1 stays above 0.  `not_sum`
falls in either case: to 0 for independent labels, else to what the optimum leaves, less
than a hundredth and less the smaller the weight decay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from ncjax import collapse
from ncjax.collapse import Convention, SecondPass
from ncjax.collapse.conventions import get_convention
from ncjax.collapse.registry import Metric, collect, to_zero
from ncjax.tasks.cosines import cross_task, task_means, task_rows
from ncjax.tasks.labels import check_labels
from ncjax.tasks.moments import TaskMoments, task_moments
from ncjax.tasks.second_pass import TaskPass

HEADLINES = ("nc1", "nc2", "nc3", "nc4")  # also given for each task

_of_tasks: Any = {"part": "Several tasks", "compared": ("nc",)}
METRICS: dict[str, Metric] = collect(
    (
        to_zero(
            "cross_task",
            "cross-task cosine",
            "mean |cosine| between centred class means of different tasks",
            curve="linear",
            panel="Cross-task cosine of the means",
            **_of_tasks,
        ),
        to_zero(
            "cross_task_w",
            "cross-task cosine of W",
            "the same of rows of W, minus their mean over the classes of a task",
            needs="classifier",
            curve="linear",
            panel="Cross-task cosine of W",
            **_of_tasks,
        ),
        to_zero(
            "cross_task_max",
            "largest cross-task cosine",
            "largest |cosine| between centred class means of different tasks",
        ),
        to_zero(
            "cross_task_w_max",
            "largest cross-task cosine of W",
            "largest |cosine| between rows of W of different tasks",
            needs="classifier",
        ),
        to_zero(
            "not_sum",
            "variance that is no sum",
            "share of the features' variance outside of sums, one vector for each task",
            needs="normalised",
            log=True,
            curve="log",
            panel="Features beside sums over tasks",
            **_of_tasks,
        ),
    )
)


def measure(
    moments: TaskMoments,
    classifier: Float[Array | np.ndarray, "S d"] | None = None,
    bias: Float[Array | np.ndarray, "S"] | None = None,
    *,
    seen: TaskPass | None = None,
    about: Callable[[SecondPass], Mapping[str, Any]] | None = None,
    convention: str | Convention = "default",
) -> dict[str, jax.Array]:
    """Every metric that can be had from moments and a classifier.

    Args:
        moments: moments of the training features.
        classifier: W [S, d], the rows of the first task first.
        bias: b [S]; None is 0.
        seen: the second pass over the training set; without it NC1, which needs the
            variance along the class means, and `not_sum` are left out.
        about: second pass over one task -> what `ncjax.collapse.measure` takes of it;
            by default the within-class variance.
        convention: a `Convention` of `ncjax.collapse`, or the name of a preset.

    Returns:
        key -> scalar; see the head of this module.  A mean over tasks is NaN where the
        metric of one of them is.

    Raises:
        ValueError: for an unknown convention, or a W of another shape.
    """
    check_classifier(classifier, moments.sizes, moments.feature_dim)
    each = []
    for task, place in enumerate(moments.places):
        given = [
            None if x is None else jnp.asarray(x)[place] for x in (classifier, bias)
        ]
        state = None if seen is None else seen.tasks[task]
        options: Any = {} if state is None else (about or _variance)(state)
        own = moments.task(task)
        each.append(collapse.measure(own, *given, convention=convention, **options))
    found = mean_and_each(each)
    vectors = {"": task_means(moments)}
    if classifier is not None:
        vectors["_w"] = task_rows(jnp.asarray(classifier), moments.sizes)
    for end, rows in vectors.items():
        found[f"cross_task{end}"], found[f"cross_task{end}_max"] = cross_task(rows)
    return found if seen is None else found | seen.compute()


def mean_and_each(each: Sequence[Mapping[str, jax.Array]]) -> dict[str, jax.Array]:
    """Means over the tasks, and the headline metrics of each task.

    Args:
        each: metrics of each task, by keys that are the same for all.
    """
    keys = [key for key in each[0] if all(key in one for one in each)]
    found = {key: jnp.mean(jnp.stack([one[key] for one in each]), 0) for key in keys}
    for task, one in enumerate(each):
        found |= {f"task{task}/{key}": one[key] for key in HEADLINES if key in one}
    return found


def measure_features(
    features: Float[Array | np.ndarray, "n d"],
    labels: Integer[Array | np.ndarray, "n T"],
    sizes: Sequence[int],
    classifier: Float[Array | np.ndarray, "S d"] | None = None,
    bias: Float[Array | np.ndarray, "S"] | None = None,
    *,
    convention: str | Convention = "default",
) -> dict[str, jax.Array]:
    """The metrics of features that are all in memory.

    Args:
        features: features h [n, d].
        labels: class of each task [n, T], in 0..K_t - 1.
        sizes: number of classes K_t of each task.
        classifier: W [S, d], the rows of the first task first, or None.
        bias: b [S]; None is 0.
        convention: a `Convention` of `ncjax.collapse`, or the name of a preset.

    Returns:
        What `measure` returns and, with a classifier, `nc4`.

    Raises:
        TypeError: for labels that are no integers.
        ValueError: for features that are not finite, labels out of range, or shapes
            that do not fit.

    Example:
        >>> import numpy as np
        >>> from ncjax import tasks
        >>> labels = np.stack(np.divmod(np.arange(24) % 6, 3), 1)
        >>> features = np.eye(2, 7)[labels[:, 0]] + np.eye(3, 7, 3)[labels[:, 1]]
        >>> found = tasks.measure_features(features, labels, (2, 3))
        >>> round(float(found["cross_task"]), 6), bool(found["not_sum"] < 1e-12)
        (0.0, True)
    """
    known = np.asarray(labels)
    if known.dtype.kind in "iu":
        known = known.astype(np.int32)
    check_labels(known, sizes)
    if not np.isfinite(np.asarray(features)).all():
        raise ValueError("features have NaN or infinite values. Leave these rows out.")
    check_classifier(classifier, sizes, features.shape[1])
    given = [None if x is None else jnp.asarray(x) for x in (classifier, bias)]
    arrays = jnp.asarray(features), jnp.asarray(known), *given
    return _of_arrays(*arrays, tuple(sizes), get_convention(convention))


@partial(jax.jit, static_argnums=(4, 5))
def _of_arrays(features, labels, classifier, bias, sizes, convention):
    """`measure_features` of checked arrays, in one program."""
    moments, decided = task_moments(features, labels, sizes), None
    if classifier is not None:
        scores = jnp.matmul(features, classifier.T, precision="highest")
        scores = scores + (0 if bias is None else bias[None])
        decided = jnp.stack([scores[:, p].argmax(1) for p in moments.places], 1)

    def second(own):
        return SecondPass.empty(own, decisions=decided is not None)

    seen = TaskPass.empty(moments, second).update(features, labels, decided)
    found = measure(moments, classifier, bias, seen=seen, convention=convention)
    if decided is not None:
        found |= mean_and_each([{"nc4": s.compute()["nc4"]} for s in seen.tasks])
    return found


def check_classifier(
    classifier: jax.Array | np.ndarray | None, sizes: Sequence[int], feature_dim: int
) -> None:
    """Raises `ValueError` unless W is [S, d], or None.

    Args:
        classifier: W, or None.
        sizes: number of classes K_t of each task.
        feature_dim: width d of the features.
    """
    shape = sum(sizes), feature_dim
    if classifier is not None and classifier.shape != shape:
        raise ValueError(
            f"The classifier has shape {classifier.shape}; for {len(sizes)} task(s) of "
            f"{' + '.join(map(str, sizes))} classes and {feature_dim} features W is "
            f"{list(shape)}."
        )


def _variance(state: SecondPass) -> dict[str, jax.Array]:
    """The within-class variance along the class means of one task."""
    return {"within_variance": state.compute()["within_variance"]}
