"""Error against severity, and small multiples."""

import numpy as np
import pytest

from ncjax import style
from ncjax.comparison import compare
from tests.comparison.folders import SOFT, row, write


@pytest.mark.filterwarnings("error")
def test_error_against_severity(runs, tmp_path):
    comparison = compare(runs)
    figure = comparison.pareto(columns=1)
    (axis,) = figure.axes
    places = [line.get_xydata() for line in axis.lines if len(line.get_xdata()) == 1]
    np.testing.assert_allclose(np.ravel(places), [14, 1.5, 14, 1.5])
    assert axis.get_xlabel() == "test error, %"
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [
        "cross_entropy", "soft_labels beta=4",
    ]  # fmt: skip
    style.save(figure, tmp_path / "pareto.svg")


def test_without_a_tree_there_is_no_severity(tmp_path):
    for name, more in (("a", {}), ("b", {"loss": SOFT})):
        write(tmp_path / name, [row(5, test__mistake_severity=None)], **more)
    comparison = compare(tmp_path)
    assert not comparison.has_severity
    with pytest.raises(
        ValueError, match="two groups or more of runs with a class tree"
    ):
        comparison.pareto()


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_small_multiples(tmp_path):
    for i in range(6):
        for seed in (0, 1):
            rows = [row(e, nc__nc1=10.0 ** -(i + seed)) for e in (1, 30)]
            write(tmp_path / f"r{i}{seed}", rows, seed, loss=SOFT | {"beta": float(i)})
    comparison = compare(tmp_path, metrics=["nc/nc1", "nc/nc2"])
    figure = comparison.multiples()
    panels = np.reshape(figure.axes, (2, 6))
    assert [axis.get_title() for axis in panels[0]] == [f"beta={i}" for i in range(6)]
    assert [axis.get_ylabel() for axis in panels[:, 0]] == ["NC1", "NC2"]
    colors = set()
    for place, axis in enumerate(panels[0]):
        (own,) = (line for line in axis.lines if line.get_linewidth() > 1)
        colors.add(own.get_color())
        np.testing.assert_allclose(own.get_ydata(), 10.0 ** -(place + 0.5))
        assert len(axis.lines) == 6  # the others behind it
        assert axis.get_ylim() == panels[0, 0].get_ylim()
    assert len(colors) == 6
    assert len(comparison.multiples(columns=2).axes) == 2 * 2 * 3  # 3 beside each other
