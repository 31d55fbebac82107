"""AUROCs over the epochs, above NC1."""

import numpy as np
import pytest

from ncjax.probes.ood import auroc_keys
from ncjax.runs.history import History
from ncjax.runs.outliers_plot import outliers
from tests.runs.rows import row


def measured(epoch):
    found = {
        f"probe/ood/{name}/{score}_{key}": epoch / (10 + place)
        for place, name in enumerate(("mnist", "noise"))
        for score in ("knn", "relative_mahalanobis")
        for key in ("auroc", "fpr95")
    }
    return row(epoch, 0.0 if epoch > 1 else 0.2, 1 / epoch, **found)


def test_keys_are_found_by_set_and_score():
    found = auroc_keys(measured(1))
    assert list(found) == ["mnist", "noise"]
    assert found["noise"] == {
        score: f"probe/ood/noise/{score}_auroc"
        for score in ("knn", "relative_mahalanobis")
    }


@pytest.mark.parametrize("columns", [None, 1])
def test_a_column_for_each_set(columns):
    figure = outliers(History([measured(epoch) for epoch in (1, 3, 9)]), columns)
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == ["outliers: mnist", "outliers: noise", "", ""]
    first, second, below, _ = figure.axes
    assert [line.get_label() for line in first.lines] == ["KNN", "relative Mahalanobis"]
    np.testing.assert_allclose(second.lines[0].get_ydata(), np.array([1, 3, 9]) / 11)
    np.testing.assert_allclose(below.lines[0].get_ydata(), [1, 1 / 3, 1 / 9])


def test_a_run_without_the_probe_has_none():
    with pytest.raises(ValueError, match=r"set config\.eval\.probes = \('ood',\)"):
        outliers(History([row(1, 0.2, 1.0)]))
