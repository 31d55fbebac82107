"""The verdict on a run whose examples are labelled with ordered levels."""

from __future__ import annotations

from ncjax.report.verdicts.verdict import (
    FEW,
    Verdict,
    also,
    known_numbers,
    of_seeds,
    state_of,
)
from ncjax.runs.columns import Columns, Row


def of_levels(history: Columns, last: Row) -> Verdict:
    """The verdict on a run whose examples are labelled with ordered levels."""
    keys = {"ONC1": "nc/onc1", "ONC2": "nc/onc2", "the order": "nc/order"}
    found = known_numbers(last, keys | {"the training error": "train/error"})
    if isinstance(found, Verdict):
        return found
    (onc1, onc2, order, error), at = found, f"at epoch {last['epoch']:.0f}"
    most, learned = max(onc1, onc2), order == 1 and error <= FEW
    state = state_of(most, learned=learned)
    seeds = of_seeds(history)
    rest = also(last, "ONC3", "nc/onc3")
    return Verdict(
        state,
        f"{state}{seeds}: the variance within levels is {100 * onc1:.2g} % of that "
        f"between them (ONC1), of which {100 * onc2:.2g} % lies beside w (ONC2); "
        f"{100 * order:.3g} % of neighbouring levels are in order{rest}; the training "
        f"error is {100 * error:.2g} % {at}.",
    )
