"""How figures look: axes, curves on log axes, files."""

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.figure import Figure

from ncjax import style


@pytest.fixture
def axis():
    return Figure().subplots()


def test_decorated_axes(axis):
    axis.plot([1, 2], [1, 2], label="a curve")
    style.decorate(axis, "a title", x="epoch", y="NC1", legend=True)
    assert axis.get_title(loc="left") == "a title"
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("epoch", "NC1")
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["a curve"]
    assert not axis.spines["top"].get_visible()
    style.decorate(axis, "another")  # labels that are not given stay
    assert axis.get_xlabel() == "epoch"


def test_no_legend_without_labels(axis):
    style.decorate(axis, "a title", legend=True)
    assert axis.get_legend() is None


def test_a_log_axis_encloses_the_positive_values(axis):
    style.log_axis(axis, np.array([0, np.nan, 1e-3, 10.0]))
    assert axis.get_yscale() == "log"
    edge = 10_000**0.06
    np.testing.assert_allclose(axis.get_ylim(), (1e-3 / edge, 10 * edge))


def test_a_narrow_log_axis_has_plain_numbers(axis):
    style.log_axis(axis, np.array([2.0, 5.0]))
    labels = [axis.yaxis.get_major_formatter()(x) for x in (2.0, 2.5, 0.1)]
    assert labels == ["2", "2.5", "0.1"]


def test_a_log_axis_of_nearly_equal_values(axis):
    style.log_axis(axis, np.array([0.76, 0.78]), least=4.0)
    low, high = axis.get_ylim()
    np.testing.assert_allclose(high / low, 4)
    np.testing.assert_allclose(low * high, 0.76 * 0.78)


def test_lines_between_superclasses(axis):
    style.part(axis, np.array([[1, 1, 2, 2], [3, 3, 4, 5]]))
    across = [(line.get_ydata()[0], line.get_linewidth()) for line in axis.lines[::2]]
    assert across == [(1.5, 1.2), (2.5, 0.6)]


def test_a_log_axis_of_zeros_alone(axis):
    style.log_axis(axis, np.zeros(3))
    assert axis.get_yscale() == "log"


def test_zeros_of_a_log_curve_are_hollow_points(axis):
    x, y = np.array([1.0, 2, 3]), np.array([0.5, 0, 0.1])
    style.log_curve(axis, x, y, color=style.BLUE)
    curve, points = axis.lines
    np.testing.assert_array_equal(curve.get_ydata(), [0.5, np.nan, 0.1])
    np.testing.assert_array_equal(points.get_xdata(), [2])
    assert points.get_markerfacecolor() == "white"


def test_a_band_on_a_log_axis_keeps_to_positive_values(axis):
    x = np.array([1.0, 2, 3])
    axis.set_yscale("log")
    style.band(axis, x, np.zeros(3), np.array([1.0, 2, 0]), color=style.BLUE)
    heights = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights > 0).all()


@pytest.mark.parametrize(
    ("ending", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")]
)
def test_files(tmp_path, ending, start):
    figure = Figure()
    assert style.render(figure, ending).startswith(start)
    style.save(figure, tmp_path / f"figure{ending}")
    assert (tmp_path / f"figure{ending}").read_bytes().startswith(start)


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'\.gif'. Available: \.png, \.pdf, \.svg"):
        style.save(Figure(), tmp_path / "figure.gif")


def test_ten_groups_can_be_told_apart():
    assert len(set(style.COLORS)) == 10


@pytest.mark.parametrize("drawn_by_jupyter", [False, True])
def test_a_notebook_shows_a_figure_once(drawn_by_jupyter):
    formatter = DisplayFormatter()
    if drawn_by_jupyter:  # as `%matplotlib inline` asks for
        png = formatter.formatters["image/png"]
        png.for_type(Figure, lambda figure: b"drawn by Jupyter")
    shown, _ = formatter.format(style.new_figure(4, 3))
    images = [data for kind, data in shown.items() if kind.startswith("image/")]
    assert len(images) == 1
    assert (images[0] == b"drawn by Jupyter") == drawn_by_jupyter
    assert "text/html" not in shown


@pytest.mark.parametrize(("columns", "width"), [(1, 3.35), (2, 6.9)])
def test_a_figure_for_a_page(columns, width):
    figure = style.new_figure(11, 6, columns=columns)
    axis = figure.subplots()
    title = "a title that is longer than one column of a page is wide, by some words"
    axis.plot([1, 2], [1, 2], lw=2, label="a curve")
    style.decorate(axis, title, x="epoch", legend=True)
    assert style.for_page(figure, columns) is figure
    assert figure.get_figwidth() == width
    assert axis.xaxis.label.get_fontsize() == pytest.approx(0.78 * 9)
    assert axis.xaxis.get_ticklabels()[0].get_fontsize() == pytest.approx(0.78 * 8)
    assert axis.lines[0].get_linewidth() == pytest.approx(0.78 * 2)
    assert axis.get_title(loc="left").replace("\n", " ") == title
    assert ("\n" in axis.get_title(loc="left")) == (columns == 1)
    assert style.for_page(figure, None) is figure


def test_small_letters_stay_readable(axis):
    text = axis.text(0, 0, "a note", fontsize=6.5)
    style.for_page(axis.figure, 1)
    assert text.get_fontsize() == 6


def test_a_copy_for_a_page_leaves_the_figure():
    figure = style.new_figure(12, 4)
    for axis in figure.subplots(1, 3):
        style.decorate(axis, "a panel")
    copied = style.on_page(figure, 1)
    assert figure.get_figwidth() == 12
    assert copied.get_figwidth() == 3.35
    copied.draw_without_rendering()
    places = [axis.get_position() for axis in copied.axes]
    assert places[0].y0 > places[1].y1 > places[2].y1  # one above the other
    assert style.on_page(figure, None) is figure


def test_a_page_has_one_column_or_two():
    assert [style.side_by_side(4, n) for n in (None, 1, 2)] == [4, 2, 3]
    with pytest.raises(
        ValueError, match="1 or 2 columns of a page wide, got columns=3"
    ):
        style.new_figure(5, 5, columns=3)
    with pytest.raises(ValueError, match="got columns=0"):
        style.on_page(style.new_figure(5, 5), 0)
