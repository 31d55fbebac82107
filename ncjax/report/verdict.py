"""Whether a run has collapsed, in one sentence."""

from __future__ import annotations

from collections.abc import Callable

from ncjax.report.verdicts.classes import of_classes
from ncjax.report.verdicts.levels import of_levels
from ncjax.report.verdicts.vectors import of_vectors
from ncjax.report.verdicts.verdict import Verdict
from ncjax.runs.columns import Columns, Row

# A metric that only runs with one kind of labels have -> what judges such a run.
JUDGES: dict[str, Callable[[Columns, Row], Verdict]] = {
    "nc/nrc1": of_vectors,
    "nc/onc1": of_levels,
}


def verdict(history: Columns) -> Verdict:
    """Says whether the features of a run have collapsed, and by which numbers.

    - diverged: the training loss or NC1 of the last measured epoch is not finite.
    - collapsed: the training error is 0 at the end, NC1 is at most 0.01, and
      it fell at least 10 times since the first measured epoch, if there are more
      than one.
    - partly collapsed: the training error is at most 1 % at the end, or was 0 in some
      measured epoch, and NC1 is at most 0.1.
    - not collapsed: all else; without training error 0 there is no terminal phase,
      however small NC1 is: features that die have a small one too.

    With several tasks the share of the features' variance that is no sum over tasks is
    judged in the place of NC1.

    Regression has no error 0.  There NRC1 and NRC2 are judged, the shares of the
    features' variance outside of as many directions as there are targets, and beside
    the rows of the classifier, and R^2 of the training set says whether anything was
    learned: at least 0.9, or 0.5.

    Of ordered levels ONC1 and ONC2 are judged likewise, with a training error of at
    most 1 % and all levels in order.

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
    if not history.rows:
        return Verdict("no verdict", "no verdict: nothing was measured yet.")
    last = history.rows[-1]
    judge = next((judge for key, judge in JUDGES.items() if key in last), of_classes)
    return judge(history, last)
