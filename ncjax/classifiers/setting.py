"""What a run tells a classifier whose vectors depend on it, or take long to find."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from ncjax.codes.code import Progress

# Makes an array, and says on the way how far it is.
Make = Callable[[Progress | None], np.ndarray]


def _make(name: str, make: Make) -> np.ndarray:
    """The array, made now; nothing is kept."""
    del name
    return make(None)


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a classifier with a keyword `setting` gets to know; by default little.

    Attributes:
        width: () -> number d of features that reach the classifier; 0 where that is not
            known.
        keep: (name, make) -> the array that `make` gives, or the one that was kept
            under that name.  A run that goes on finds the same bits, though a search on
            another machine ends in others.
    """

    width: Callable[[], int] = lambda: 0
    keep: Callable[[str, Make], np.ndarray] = _make

    def behind(self, project: int) -> Setting:
        """The same where a linear layer of this width makes the features; 0: none."""
        return dataclasses.replace(self, width=lambda: project) if project else self
