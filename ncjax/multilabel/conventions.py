"""Conventions: what is subtracted before angles are taken, and what a wrong set is.

With mu_S the mean of the features of a set S of two labels, and s_S the sum over k in S
of mu_k, the mean of the features of the examples that have the label k alone:

- `default`: angles of mu_S and s_S after each has lost its mean over all sets that
  occur.  A ReLU leaves features a common mean, which the bias of the last layer
  absorbs; mu_S has it once and s_S twice, so that exact sums have an angle too, and
  wrong ones a smaller one.  Wrong sets are the other sets that occur.
- `li2024` (Li et al., ICML 2024, and its public code): nothing is subtracted, and the
  angle is divided by that of mu_S to the sums of every two labels, the right one among
  them.  Their NC1 to NC3 are those of the default, of the examples with one label (the
  code divides the sum of their features by the number of all examples, and subtracts
  what is then no mean; that is not repeated here).
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from ncjax.collapse import Convention as Classes
from ncjax.options import named


@dataclasses.dataclass(frozen=True)
class Convention:
    """Options under which `measure` computes; hashable, so static under jit."""

    centred: bool = True  # angles of what is left of mu_S and s_S minus their means
    wrong: Literal["others", "all"] = "others"  # sets that mu_S is compared with, too
    classes: Classes = Classes()  # noqa: RUF009  # of the examples with one label


PRESETS: dict[str, Convention] = {
    "default": Convention(),
    "li2024": Convention(centred=False, wrong="all"),
}
DEFAULT = PRESETS["default"]


def get_convention(convention: str | Convention | Classes) -> Convention:
    """The convention of that name; a `Convention` is returned as it is.

    Args:
        convention: a `Convention`, the name of one of `PRESETS`, or a convention of
            classes, which becomes that of the examples with one label.

    Raises:
        ValueError: for an unknown name.
    """
    if isinstance(convention, Classes):
        return Convention(classes=convention)
    return named(convention, Convention, PRESETS)
