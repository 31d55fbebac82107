"""Tables and figures of a sweep, of made-up rows."""

import itertools

import numpy as np
import pytest

from ncjax.sweeps.figure import draw
from ncjax.sweeps.rows import ERROR_0, shown
from ncjax.sweeps.table import Sweep


def made(**fields):
    """A sweep of all combinations of the values, of two seeds each."""
    rows = []
    for number, values in enumerate(itertools.product(*fields.values(), (0, 1))):
        row = dict(zip([*fields, "seed"], values, strict=True))
        row |= {"name": str(number), "stopped": ""}
        row |= {key: 10.0 ** -(number + 1) for key in shown()}
        rows.append(row | {ERROR_0: float(number) if number else np.nan})
    return Sweep(tuple(fields), rows)


def panel_of(figure, title):
    return next(a for a in figure.axes if a.get_title("left").startswith(title))


def test_means_are_over_seeds():
    sweep = made(rate=(0.1, 1.0))
    (first, low), (second, high) = sweep.means("nc/nc1")
    assert (first, second) == ({"rate": 0.1}, {"rate": 1.0})
    np.testing.assert_allclose([low.centre, high.centre], [10**-1.5, 10**-3.5])
    assert low.low < low.centre < low.high


def test_a_curve_over_one_field():
    figure = draw(made(rate=(0.01, 0.1, 1.0)))
    panel = panel_of(figure, "NC1")
    (line,) = panel.lines
    np.testing.assert_allclose(line.get_ydata(), [10**-1.5, 10**-3.5, 10**-5.5])
    assert panel.get_xscale() == panel.get_yscale() == "log"
    assert "means of 2 seeds, 95 % bands" in figure.get_suptitle()


def test_words_stand_side_by_side():
    panel = draw(made(loss=("mse", "cross_entropy"))).axes[0]
    labels = [text.get_text() for text in panel.get_xticklabels()]
    assert labels == ["mse", "cross_entropy"]


@pytest.mark.parametrize("more", [{}, {"third": (1, 2)}])
def test_a_heat_map_over_two_fields(more):
    sweep = made(rate=(0.1, 0.2, 0.3), decay=(0.0, 1.0, 2.0), **more)
    figure = draw(sweep)
    panel = panel_of(figure, "NC1")
    table = panel.images[0].get_array()
    assert table.shape == (3, 3)
    rows = [r for r in sweep.rows if r["rate"] == 0.2 and r["decay"] == 2.0]
    expected = np.exp(np.mean([np.log(r["nc/nc1"]) for r in rows]))
    np.testing.assert_allclose(table[2, 1], expected)
    assert ("mean over third" in figure.get_suptitle()) == bool(more)


def test_an_epoch_that_a_seed_never_reached_is_no_mean():
    figure = draw(made(rate=(0.1, 0.2), decay=(0.0, 1.0)))
    panel = panel_of(figure, ERROR_0)
    table = np.ma.filled(panel.images[0].get_array(), np.nan)
    assert np.isnan(table[0, 0])
    assert np.isfinite(table[1, 1])


def test_pandas():
    pd = pytest.importorskip("pandas")
    frame = made(rate=(0.1, 1.0)).to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["rate"]) == [0.1, 0.1, 1.0, 1.0]


@pytest.mark.slow
def test_a_figure_for_a_page():
    sweep = made(rate=(0.01, 0.1, 1.0))
    wide, narrow = sweep.plot(), sweep.plot(columns=1)
    assert narrow.get_figwidth() == 3.35
    shown_in = [sum(a.axison for a in figure.axes) for figure in (wide, narrow)]
    assert shown_in[0] == shown_in[1]
    places = {round(a.get_position().x0, 1) for a in narrow.axes if a.axison}
    assert len(places) <= 2
