"""What a verdict is, and when a number is small enough."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from ncjax.runs.columns import Columns, Row

# No paper says how small is collapsed.  These bounds only choose the first word of the
# sentence; the numbers behind it say how far a run has come.
COLLAPSED, PARTLY = 0.01, 0.1
FEW = 0.01  # training error with which a run may be partly collapsed

State = Literal[
    "collapsed", "partly collapsed", "not collapsed", "diverged", "no verdict"
]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is to be said of a run in one sentence.

    Attributes:
        state: the first words of the sentence.
        sentence: the sentence, with its numbers.
    """

    state: State
    sentence: str

    def __str__(self) -> str:
        """The sentence."""
        return self.sentence


def state_of(most: float, *, learned: bool, partly: bool | None = None) -> State:
    """The first words, of the largest of the numbers that vanish under collapse.

    Args:
        most: the largest of these numbers.
        learned: whether the training set is learned.
        partly: whether it is learned well enough to be partly collapsed; by default as
            `learned`.
    """
    if most <= COLLAPSED and learned:
        return "collapsed"
    enough = learned if partly is None else partly
    return "partly collapsed" if most <= PARTLY and enough else "not collapsed"


def known_numbers(last: Row, keys: dict[str, str]) -> list[float] | Verdict:
    """The numbers of a row, by what they are called; a verdict where one is missing."""
    values = {name: number_of(last, key) for name, key in keys.items()}
    loss, at = number_of(last, "train/loss"), f"at epoch {last['epoch']:.0f}"
    if loss is not None and not math.isfinite(loss):
        return Verdict("diverged", f"diverged: the training loss is not finite {at}.")
    there = {k: x for k, x in values.items() if x is not None and not math.isnan(x)}
    if missing := values.keys() - there.keys():
        said = f"{sorted(missing)[0]} was not measured, or is not defined, {at}."
        return Verdict("no verdict", f"no verdict: {said}")
    return list(there.values())


def number_of(row: Row, key: str) -> float | None:
    """A number of a row; None where it was not measured."""
    value = row.get(key)
    return float(value) if isinstance(value, int | float) else None


def of_seeds(history: Columns) -> str:
    """That the numbers are means of many seeds, if they are."""
    return f" (mean of {len(history.seeds)} seeds)" if history.seeds else ""


def also(last: Row, name: str, key: str) -> str:
    """A clause on one more number, if it was measured and is defined."""
    value = number_of(last, key)
    return "" if value is None or math.isnan(value) else f"; {name} is {value:.2g}"
