"""Whether a run has collapsed, in one sentence."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from ncjax.runs.columns import Columns, Row

# No paper says how small is collapsed.  These bounds only choose the first word of the
# sentence; the numbers behind it say how far a run has come.
NC1_COLLAPSED, NC1_PARTLY = 0.01, 0.1
FEW = 0.01  # training error with which a run may be partly collapsed
FALL = 10.0  # NC1 must have fallen so many times since the first measured epoch
STAYED = 1.05  # by less than this factor NC1 neither fell nor rose
# Of regression NRC1 and NRC2 are shares of a variance, and judged like NC1; outputs
# must explain as much of the targets.
R2_COLLAPSED, R2_PARTLY = 0.9, 0.5
# What is judged, and its name.  With several tasks NC1 of each counts the variance that
# the others make where labels are correlated; that beside sums over the tasks does not.
_JUDGED = {
    "nc/not_sum": "variance that is no sum over tasks",
    "nc/nc1": "NC1",
}

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


def verdict(history: Columns) -> Verdict:
    """Says whether the features of a run have collapsed, and by which numbers.

    - diverged: the training loss or NC1 of the last measured epoch is not finite.
    - collapsed: the training error is 0 at the end, NC1 is at most `NC1_COLLAPSED`, and
      it fell at least `FALL` times since the first measured epoch, if there are more
      than one.
    - partly collapsed: the training error is at most `FEW` at the end, or was 0 in some
      measured epoch, and NC1 is at most `NC1_PARTLY`.
    - not collapsed: all else; without training error 0 there is no terminal phase,
      however small NC1 is: features that die have a small one too.

    With several tasks the share of the features' variance that is no sum over tasks is
    judged in the place of NC1.

    Regression has no error 0.  There NRC1 and NRC2 are judged, the shares of the
    features' variance outside of as many directions as there are targets, and beside
    the rows of the classifier, and R^2 of the training set says whether anything was
    learned: at least `R2_COLLAPSED`, or `R2_PARTLY`.

    Of ordered levels ONC1 and ONC2 are judged likewise, with a training error of at
    most `FEW` and all levels in order.

    Of examples with sets of labels NC1 and NC2 are those of single labels, and the
    error is that of sets whose number of labels is told; how far sets of two labels are
    from the sums of theirs is said beside them.

    An NC1 under the value that rounding of the features alone gives is not taken for a
    measurement, and the sentence says so.

    Args:
        history: the measured epochs; with many seeds their means are judged.

    Example:
        >>> import ncjax
        >>> rows = [
        ...     {"epoch": 1, "train/error": 0.2, "nc/nc1": 0.5, "nc/nc2": 0.9},
        ...     {"epoch": 9, "train/error": 0.0, "nc/nc1": 0.1, "nc/nc2": 0.4},
        ...     {"epoch": 90, "train/error": 0.0, "nc/nc1": 1e-3, "nc/nc2": 0.05},
        ... ]
        >>> from ncjax.report.verdict import verdict
        >>> print(verdict(ncjax.History(rows)))
        collapsed: NC1 fell 100 times after error 0 at epoch 9, to 0.001; NC2 is 0.05 \
from the simplex.
    """
    rows = history.rows
    if not rows:
        return Verdict("no verdict", "no verdict: nothing was measured yet.")
    last, at = rows[-1], f"at epoch {rows[-1]['epoch']:.0f}"
    if "nc/nrc1" in last:
        return _of_regression(history, last)
    if "nc/onc1" in last:
        return _of_levels(history, last)
    key = next((key for key in _JUDGED if key in last), "nc/nc1")
    loss, nc1, name = _value(last, "train/loss"), _value(last, key), _JUDGED[key]
    for what, value in (("training loss", loss), (name, nc1)):
        if value is not None and not math.isfinite(value):
            said = f"diverged: the {what} is not finite {at}."
            return Verdict("diverged", said)
    if nc1 is None:
        return Verdict("no verdict", f"no verdict: NC1 was not measured {at}.")
    state = _state(history, nc1, key)
    seeds = f" (mean of {len(history.seeds)} seeds)" if history.seeds else ""
    clauses = [_fall(history, nc1, key), *_geometry(history, last), *_sums(last)]
    floor = _value(last, "nc/nc1_floor") if key == "nc/nc1" else None
    if floor is not None and nc1 < floor:
        clauses.append(
            f"this NC1 lies under {floor:.2g}, what rounding of the features gives, "
            "and is no measurement"
        )
    return Verdict(state, f"{state}{seeds}: {'; '.join(clauses)}.")


def _of_regression(history: Columns, last: Row) -> Verdict:
    """The verdict on a run whose examples are labelled with vectors."""
    found = _known(last, {"NRC1": "nc/nrc1", "NRC2": "nc/nrc2", "R^2": "train/r2"})
    if isinstance(found, Verdict):
        return found
    (nrc1, nrc2, r2), at = found, f"at epoch {last['epoch']:.0f}"
    most = max(nrc1, nrc2)
    state: State = "not collapsed"
    if most <= NC1_PARTLY and r2 >= R2_PARTLY:
        state = "partly collapsed"
    if most <= NC1_COLLAPSED and r2 >= R2_COLLAPSED:
        state = "collapsed"
    seeds = f" (mean of {len(history.seeds)} seeds)" if history.seeds else ""
    nrc3 = _value(last, "nc/nrc3")
    rest = "" if nrc3 is None or math.isnan(nrc3) else f"; NRC3 is {nrc3:.2g}"
    return Verdict(
        state,
        f"{state}{seeds}: of the features' variance {100 * nrc1:.2g} % lies outside of "
        f"as many directions as targets (NRC1), {100 * nrc2:.2g} % beside the rows of "
        f"W (NRC2){rest}; the outputs explain {100 * r2:.3g} % of the targets {at}.",
    )


def _of_levels(history: Columns, last: Row) -> Verdict:
    """The verdict on a run whose examples are labelled with ordered levels."""
    keys = {"ONC1": "nc/onc1", "ONC2": "nc/onc2", "the order": "nc/order"}
    found = _known(last, keys | {"the training error": "train/error"})
    if isinstance(found, Verdict):
        return found
    (onc1, onc2, order, error), at = found, f"at epoch {last['epoch']:.0f}"
    most, learned = max(onc1, onc2), order == 1 and error <= FEW
    state: State = "not collapsed"
    if most <= NC1_PARTLY and learned:
        state = "partly collapsed"
    if most <= NC1_COLLAPSED and learned:
        state = "collapsed"
    seeds = f" (mean of {len(history.seeds)} seeds)" if history.seeds else ""
    onc3 = _value(last, "nc/onc3")
    rest = "" if onc3 is None or math.isnan(onc3) else f"; ONC3 is {onc3:.2g}"
    return Verdict(
        state,
        f"{state}{seeds}: the variance within levels is {100 * onc1:.2g} % of that "
        f"between them (ONC1), of which {100 * onc2:.2g} % lies beside w (ONC2); "
        f"{100 * order:.3g} % of neighbouring levels are in order{rest}; the training "
        f"error is {100 * error:.2g} % {at}.",
    )


def _known(last: Row, keys: dict[str, str]) -> list[float] | Verdict:
    """The numbers of a row, by what they are called; a verdict where one is missing."""
    values = {name: _value(last, key) for name, key in keys.items()}
    loss, at = _value(last, "train/loss"), f"at epoch {last['epoch']:.0f}"
    if loss is not None and not math.isfinite(loss):
        return Verdict("diverged", f"diverged: the training loss is not finite {at}.")
    known = {k: x for k, x in values.items() if x is not None and not math.isnan(x)}
    if missing := values.keys() - known.keys():
        said = f"{sorted(missing)[0]} was not measured, or is not defined, {at}."
        return Verdict("no verdict", f"no verdict: {said}")
    return list(known.values())


def _state(history: Columns, nc1: float, key: str) -> State:
    first = _value(history.rows[0], key)
    error = _value(history.rows[-1], "train/error")
    few = error is not None and error <= FEW
    if history.terminal_epoch is None:
        small = few and nc1 <= NC1_PARTLY
        return "partly collapsed" if small else "not collapsed"
    fell = len(history.rows) == 1 or first is None or nc1 * FALL <= first
    if nc1 <= NC1_COLLAPSED and fell and error == 0:
        return "collapsed"
    return "partly collapsed" if nc1 <= NC1_PARTLY else "not collapsed"


def _fall(history: Columns, nc1: float, key: str) -> str:
    """What NC1 did in the terminal phase, or that there was none."""
    last, start, name = history.rows[-1], history.terminal_row(), _JUDGED[key]
    error = _value(last, "train/error")
    if start is None:
        never = "the training error was not measured"
        if error is not None and math.isfinite(error):
            of = " in every seed" if history.seeds else ""
            never = (
                f"the training error never reached 0{of}, and is {100 * error:.2g} %"
            )
        return f"{never} at epoch {last['epoch']:.0f}; {name} is {nc1:.2g}"
    begin, epoch = _value(start, key), start["epoch"]
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
    nc2, limit = _value(last, "nc/nc2"), history.limit.get("nc/nc2")
    if nc2 is None or math.isnan(nc2):
        return []
    if limit is None or limit < 1e-6:
        crossed = _value(last, "nc/cross_task")
        rest = f" for each task, cosines between them {crossed:.2g}" if crossed else ""
        return [f"NC2 is {nc2:.2g} from the simplex{rest}"]
    said = f"NC2 is {nc2:.2g}, where theory expects {limit:.2g} for this loss"
    off = _value(last, "nc/gram_to_limit")
    if off is not None and math.isfinite(off):
        said += f" (the means are {off:.2g} from that geometry)"
    return [said]


def _sums(last: Row) -> list[str]:
    """How far sets of two labels are from their sums, where examples have sets."""
    angle = _value(last, "nc/set_angle")
    if angle is None or math.isnan(angle):
        return []
    return [f"sets of two labels lie {angle:.2g} degrees from the sums of their labels"]


def _value(row: Row, key: str) -> float | None:
    """A number of a row; None where it was not measured."""
    value = row.get(key)
    return float(value) if isinstance(value, int | float) else None
