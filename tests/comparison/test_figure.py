"""The curves of a comparison."""

import numpy as np
import pytest

from ncjax.comparison import compare
from ncjax.runs import plots
from ncjax.statistics import t_interval
from tests.comparison.folders import SOFT, row, write


def test_curves_and_figure(tmp_path):
    for seed, epochs in enumerate(([1, 2, 5, 10], [1, 3, 5, 10])):
        rows = [
            row(e, nc__nc1=10.0 ** (seed - e), test__error=0.0 if e > 4 else 0.1)
            for e in epochs
        ]
        write(tmp_path / f"ce{seed}", rows, seed)
    write(tmp_path / "soft", [row(1), row(4), row(10)], loss=SOFT)
    comparison = compare(tmp_path)
    epochs, values = comparison.groups[0].curves("nc/nc1")
    np.testing.assert_array_equal(epochs, [1, 5, 10])  # those that both measured
    assert values.shape == (2, 3)
    epochs, values = comparison.groups[0].curves("nc/absent")
    assert epochs.size == values.size == 0

    figure = comparison.figure()
    panels = {a.get_title(loc="left"): a for a in figure.axes if a.axison}
    assert list(panels) == ["test error", "mistake severity", "NC1", "NC2"]
    nc1 = panels["NC1"]
    assert nc1.get_xscale() == nc1.get_yscale() == "log"
    assert panels["mistake severity"].get_yscale() == "linear"
    np.testing.assert_allclose(
        nc1.lines[0].get_ydata(), 10.0 ** (0.5 - np.array([1, 5, 10]))
    )
    low = nc1.collections[0].get_paths()[0].vertices[:, 1].min()
    wanted = t_interval(np.array([1e-10, 1e-9]), 0.95, log=True).low
    np.testing.assert_allclose(low, wanted)
    zeros = panels["test error"].lines[1]  # hollow, on the lower edge
    np.testing.assert_array_equal(zeros.get_xdata(), [5, 10])
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [
        "cross_entropy", "soft_labels beta=4",
    ]  # fmt: skip
    assert "t-interval" in figure.get_suptitle()


def test_axes_enclose_means_below_every_positive_value(tmp_path):
    write(tmp_path / "a", [row(1), row(2, test__error=0.0)])
    for seed in (1, 2, 3):
        write(tmp_path / str(seed), [row(1), row(2, test__error=0.0)], seed)
    write(tmp_path / "4", [row(1), row(2, test__error=0.1)], 4)
    axis = compare(tmp_path).figure().axes[0]
    np.testing.assert_allclose(axis.lines[0].get_ydata(), [0.1, 0.02])
    assert axis.get_ylim()[0] < 0.02


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_figure_of_ten_groups(tmp_path):
    for i in range(10):
        write(tmp_path / f"r{i}", [row(1), row(10)], loss=SOFT | {"beta": float(i)})
    figure = compare(tmp_path).figure()
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata())]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 10
    texts = [t.get_text() for t in figure.legends[0].get_texts()]
    assert texts == [f"beta={i}" for i in range(10)]
    plots.save(figure, tmp_path / "drawn.png")
    window = figure.get_window_extent()
    legend = figure.legends[0].get_window_extent()
    assert window.contains(legend.x0, legend.y0)
    assert window.contains(legend.x1, legend.y1)


@pytest.mark.filterwarnings("error")
def test_intervals_of_many_groups_stand_side_by_side(tmp_path):
    for i in range(6):
        for seed in (0, 1):
            rows = [row(e, nc__nc1=10.0 ** -(i + seed)) for e in (1, 30)]
            write(tmp_path / f"r{i}{seed}", rows, seed, loss=SOFT | {"beta": float(i)})
    figure = compare(tmp_path).figure()
    plots.save(figure, tmp_path / "drawn.png")
    assert "at the right, last epoch" in figure.get_suptitle()
    (nc1,) = (a for a in figure.axes if a.get_title(loc="left") == "NC1")
    assert not nc1.collections  # no bands
    bars = [line for line in nc1.lines if set(line.get_xdata()) - {0, 1, 30}]
    places = [line.get_xdata()[0] for line in bars]
    assert len(set(places)) == 6
    assert min(places) > 30
    assert nc1.get_xlim()[1] > max(places)
    low = bars[0].get_ydata()[0]
    wanted = t_interval(np.array([1, 0.1]), 0.95, log=True).low
    np.testing.assert_allclose(low, wanted)
