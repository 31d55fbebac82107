"""Targets: what an example is labelled with, by name.

`Dataset.target` names the target of a data set.  It decides which labels are valid,
which losses can be trained, what an error is, and which moments of the features are
taken and measured.  A loss is meant for classes unless `ncjax.losses.TARGETS_OF` names
other targets.

To add one: write a `Target`, add a line to `TARGETS`, add a test.  A target that
depends on the number of classes of each of several tasks is a function of these.
"""

from __future__ import annotations

from collections.abc import Callable

from ncjax.options import unknown
from ncjax.targets.classes import CLASSES
from ncjax.targets.levels import LEVELS
from ncjax.targets.sets import SETS
from ncjax.targets.target import Target as Target
from ncjax.targets.tasks import of_sizes
from ncjax.targets.vectors import VECTORS

DEFAULT = "class"

TARGETS: dict[str, Target | Callable[[tuple[int, ...]], Target]] = {
    DEFAULT: CLASSES,
    "ordinal": LEVELS,
    "vector": VECTORS,
    "set": SETS,
    "tasks": of_sizes,
}


def get_target(name: str, sizes: tuple[int, ...] = ()) -> Target:
    """The target of this name.

    Args:
        name: a name in `TARGETS`.
        sizes: number of classes of each task, for a target of several tasks.

    Raises:
        ValueError: for an unknown name, listing those that there are; for sizes that
            the target does not take, or lacks.
    """
    if name not in TARGETS:
        raise ValueError(unknown("target", name, TARGETS))
    found = TARGETS[name]
    if not isinstance(found, Target):
        return found(sizes)
    if sizes:
        raise ValueError(
            f"The target {name!r} has no tasks, got {len(sizes)} of {sizes} classes. "
            "Leave them out, or choose the target 'tasks'."
        )
    return found
