"""The verdict on a run whose examples are labelled with vectors, as in regression."""

from __future__ import annotations

from ncjax.report.verdicts.verdict import (
    Verdict,
    also,
    known_numbers,
    of_seeds,
    state_of,
)
from ncjax.runs.columns import Columns, Row

# There is no error 0: outputs must explain as much of the targets.
R2_COLLAPSED, R2_PARTLY = 0.9, 0.5


def of_vectors(history: Columns, last: Row) -> Verdict:
    """The verdict on a run whose examples are labelled with vectors."""
    found = known_numbers(
        last, {"NRC1": "nc/nrc1", "NRC2": "nc/nrc2", "R^2": "train/r2"}
    )
    if isinstance(found, Verdict):
        return found
    (nrc1, nrc2, r2), at = found, f"at epoch {last['epoch']:.0f}"
    most = max(nrc1, nrc2)
    state = state_of(most, learned=r2 >= R2_COLLAPSED, partly=r2 >= R2_PARTLY)
    seeds = of_seeds(history)
    rest = also(last, "NRC3", "nc/nrc3")
    return Verdict(
        state,
        f"{state}{seeds}: of the features' variance {100 * nrc1:.2g} % lies outside of "
        f"as many directions as targets (NRC1), {100 * nrc2:.2g} % beside the rows of "
        f"W (NRC2){rest}; the outputs explain {100 * r2:.3g} % of the targets {at}.",
    )
