"""The verdict on a run on classes, sets of labels or several tasks: by NC1."""

from __future__ import annotations

import math

from ncjax.report.verdicts.verdict import (
    COLLAPSED,
    FEW,
    PARTLY,
    State,
    Verdict,
    number_of,
    of_seeds,
)
from ncjax.runs.columns import Columns, Row

FALL = 10.0  # NC1 must have fallen so many times since the first measured epoch
STAYED = 1.05  # by less than this factor NC1 neither fell nor rose
# What is judged, and its name.  With several tasks NC1 of each counts the variance that
# the others make where labels are correlated; that beside sums over the tasks does not.
_JUDGED = {
    "nc/not_sum": "variance that is no sum over tasks",
    "nc/nc1": "NC1",
}


def of_classes(history: Columns, last: Row) -> Verdict:
    """The verdict by NC1, the training error and where they stood before."""
    at = f"at epoch {last['epoch']:.0f}"
    key = next((key for key in _JUDGED if key in last), "nc/nc1")
    loss, nc1, name = number_of(last, "train/loss"), number_of(last, key), _JUDGED[key]
    for what, value in (("training loss", loss), (name, nc1)):
        if value is not None and not math.isfinite(value):
            said = f"diverged: the {what} is not finite {at}."
            return Verdict("diverged", said)
    if nc1 is None:
        return Verdict("no verdict", f"no verdict: NC1 was not measured {at}.")
    state = _state(history, nc1, key)
    seeds = of_seeds(history)
    clauses = [_fall(history, nc1, key), *_geometry(history, last), *_sums(last)]
    floor = number_of(last, "nc/nc1_floor") if key == "nc/nc1" else None
    if floor is not None and nc1 < floor:
        clauses.append(
            f"this NC1 lies under {floor:.2g}, what rounding of the features gives, "
            "and is no measurement"
        )
    return Verdict(state, f"{state}{seeds}: {'; '.join(clauses)}.")


def _state(history: Columns, nc1: float, key: str) -> State:
    first = number_of(history.rows[0], key)
    error = number_of(history.rows[-1], "train/error")
    few = error is not None and error <= FEW
    if history.terminal_epoch is None:
        small = few and nc1 <= PARTLY
        return "partly collapsed" if small else "not collapsed"
    fell = len(history.rows) == 1 or first is None or nc1 * FALL <= first
    if nc1 <= COLLAPSED and fell and error == 0:
        return "collapsed"
    return "partly collapsed" if nc1 <= PARTLY else "not collapsed"


def _fall(history: Columns, nc1: float, key: str) -> str:
    """What NC1 did in the terminal phase, or that there was none."""
    last, start, name = history.rows[-1], history.terminal_row(), _JUDGED[key]
    error = number_of(last, "train/error")
    if start is None:
        never = "the training error was not measured"
        if error is not None and math.isfinite(error):
            of = " in every seed" if history.seeds else ""
            never = (
                f"the training error never reached 0{of}, and is {100 * error:.2g} %"
            )
        return f"{never} at epoch {last['epoch']:.0f}; {name} is {nc1:.2g}"
    begin, epoch = number_of(start, key), start["epoch"]
    since = f"after error 0 at epoch {epoch:.0f}"
    if start is last or begin is None or not begin > 0:
        said = f"{name} is {nc1:.2g}, error 0 was reached at epoch {epoch:.0f}"
    elif nc1 == 0:
        said = f"{name} fell {since}, to 0"
    elif begin / STAYED < nc1 < begin * STAYED:
        said = f"{name} stayed near {nc1:.2g} {since}"
    elif nc1 <= begin:
        said = f"{name} fell {_times(begin / nc1)} {since}, to {nc1:.2g}"
    else:
        said = f"{name} rose {_times(nc1 / begin)} {since}, to {nc1:.2g}"
    if error:
        said += f", but the error is {100 * error:.2g} % again at the end"
    return said


def _times(factor: float) -> str:
    return f"{factor:.2g} times" if factor < 100 else f"{factor:,.0f} times"


def _geometry(history: Columns, last: Row) -> list[str]:
    """How the class means stand, beside what theory expects of them."""
    nc2, limit = number_of(last, "nc/nc2"), history.limit.get("nc/nc2")
    if nc2 is None or math.isnan(nc2):
        return []
    if limit is None or limit < 1e-6:
        crossed = number_of(last, "nc/cross_task")
        rest = f" for each task, cosines between them {crossed:.2g}" if crossed else ""
        return [f"NC2 is {nc2:.2g} from the simplex{rest}"]
    said = f"NC2 is {nc2:.2g}, where theory expects {limit:.2g} for this loss"
    off = number_of(last, "nc/gram_to_limit")
    if off is not None and math.isfinite(off):
        said += f" (the means are {off:.2g} from that geometry)"
    return [said]


def _sums(last: Row) -> list[str]:
    """How far sets of two labels are from their sums, where examples have sets."""
    angle = number_of(last, "nc/set_angle")
    if angle is None or math.isnan(angle):
        return []
    return [f"sets of two labels lie {angle:.2g} degrees from the sums of their labels"]
