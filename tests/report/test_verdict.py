"""Which file judges a run: by what its rows hold."""

from ncjax.report.verdict import JUDGES, verdict
from ncjax.report.verdicts.classes import of_classes
from ncjax.runs.history import History
from tests.runs.rows import row


def test_rows_tell_what_they_are_judged_by():
    of_class = row(9, 0.0, 1e-3)
    assert verdict(History([of_class])) == of_classes(History([of_class]), of_class)
    for key, judge in JUDGES.items():
        other = of_class | {key: 1.0}
        history = History([other])
        assert verdict(history) == judge(history, other)
        assert verdict(history) != of_classes(history, other)
