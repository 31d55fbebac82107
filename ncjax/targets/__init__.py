"""Targets: what an example is labelled with, by name.

`Dataset.target` names the target of a data set.  It decides which labels are valid,
which losses can be trained, what an error is, and which moments of the features are
taken and measured.  A loss is meant for classes unless `ncjax.losses.TARGETS_OF` names
other targets.

To add one: write a `Target`, add a line to `TARGETS`, add a test.
"""

from __future__ import annotations

from ncjax.options import unknown
from ncjax.targets.classes import CLASSES
from ncjax.targets.sets import SETS
from ncjax.targets.target import Target as Target
from ncjax.targets.vectors import VECTORS

DEFAULT = "class"

TARGETS: dict[str, Target] = {
    DEFAULT: CLASSES,
    "vector": VECTORS,
    "set": SETS,
}


def get_target(name: str) -> Target:
    """The target of this name.

    Raises:
        ValueError: listing the names that there are.
    """
    if name not in TARGETS:
        raise ValueError(unknown("target", name, TARGETS))
    return TARGETS[name]
