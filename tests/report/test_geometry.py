"""Cosines, spectra and confusion for the page, by hand."""

import numpy as np
import pytest

from ncjax.gram import simplex_gram
from ncjax.hierarchy import balanced, from_nested
from ncjax.report import geometry
from ncjax.runs.classes import Classes
from tests.report.made import SIMPLEX, TREE, measured

NAMES = ("cat", "car", "dog", "bus")
MIXED = from_nested({"animals": ["cat", "dog"], "cars": ["car", "bus"]}, NAMES)


def test_cosines_and_spectrum_of_a_simplex():
    found = geometry.cosines(5 * simplex_gram(4))
    np.testing.assert_allclose(found[~np.eye(4, dtype=bool)], -1 / 3)
    np.testing.assert_allclose(geometry.spectrum(5 * simplex_gram(4)), 1)
    np.testing.assert_allclose(
        geometry.spectrum(np.diag([3.0, 1, 0, 0])), [2.25, 0.75, 0]
    )
    assert np.isnan(geometry.spectrum(np.zeros((3, 3)))).all()
    assert np.isnan(geometry.cosines(np.diag([1.0, 0]))[0, 1])


def test_the_order_is_that_of_the_tree():
    classes = Classes(NAMES, MIXED)
    order = geometry.tree_order(classes, 4)
    assert [NAMES[k] for k in order] in (
        ["cat", "dog", "car", "bus"],
        ["car", "bus", "cat", "dog"],
    )
    assert geometry.tree_order(classes, 5).tolist() == [0, 1, 2, 3, 4]
    gram = np.eye(4)
    gram[0, 2] = gram[2, 0] = 0.5  # of cat and dog
    found = geometry.geometry([{"epoch": 3, "nc/gram": gram.tolist()}], classes)
    (table,) = found["cosines"]
    at = found["names"].index("cat"), found["names"].index("dog")
    assert abs(at[0] - at[1]) == 1
    assert table[at[0]][at[1]] == 0.5
    assert found["predicted"] is None
    assert {shape["x0"] for shape in found["shapes"]} >= {1.5}  # between the two groups


def test_measured_beside_predicted():
    rows = [{"epoch": 1}, measured(2), measured(9)]
    found = geometry.geometry(rows, Classes((), None, {}, SIMPLEX))
    assert found["epochs"] == [2, 9]
    assert found["names"] == ["0", "1", "2", "3"]
    _, predicted = geometry.cosine_charts(found)
    assert predicted["data"][0]["z"][0][1] == -0.333
    bars, theory = geometry.spectrum_chart(found)["data"]
    assert theory["y"] == [1, 1, 1]
    assert bars["y"] == found["spectra"][-1]


@pytest.mark.parametrize(
    "broken", [None, [], [[1]], [[1, 2]], "no", [[1, "x"], [2, 3]]]
)
def test_tables_that_are_none(broken):
    assert geometry.geometry([{"epoch": 1, "nc/gram": broken}], Classes()) is None
    assert geometry.confusion_charts({"test/confusion": broken}, Classes()) == []
    assert geometry.severity_chart({"test/confusion": broken}, Classes()) is None


@pytest.mark.parametrize(
    "count", [2, 40, 230, pytest.param(1000, marks=pytest.mark.slow)]
)
def test_any_number_of_classes_fits(count):
    rng = np.random.default_rng(0)
    means = rng.normal(size=(count, 9))
    table = (means @ means.T).tolist()
    rows = [{"epoch": e, "nc/gram": table} for e in range(1, 6)]
    names = [f"a class with a long name, {k}" for k in range(count)]
    found = geometry.geometry(rows, Classes(names, None, {}, np.eye(count)))
    width = len(found["names"])
    assert width == min(count, len(found["cosines"][0])) <= 220
    assert len(set(found["names"])) == width
    assert sum(len(t) * len(t[0]) for t in found["cosines"]) < 120_000
    assert len(found["spectra"][0]) == count - 1


def test_blocks():
    table = np.arange(16.0).reshape(4, 4)
    np.testing.assert_array_equal(geometry.blocks(table), table)
    big = np.ones((441, 441))
    assert geometry.blocks(big).shape == (147, 147)
    np.testing.assert_allclose(geometry.blocks(big), 1)
    assert geometry.blocks(big, total=True).sum() == 441**2


def test_confusion_by_level():
    table = [[8, 0, 2, 0], [0, 9, 0, 1], [1, 0, 9, 0], [5, 0, 0, 5]]
    row = {"test/confusion": table}
    levels = geometry.confusion_charts(row, Classes(NAMES, MIXED))
    assert [title for title, _ in levels] == ["level 1", "classes"]
    (trace,) = levels[0][1]["data"]
    at = trace["x"].index("cars"), trace["x"].index("animals")
    assert trace["text"][at[0]][at[1]] == "25"  # 5 of 20 cars
    assert trace["z"][at[0]][at[1]] == pytest.approx(0.25**0.25, abs=1e-3)
    ((title, chart),) = geometry.confusion_charts(row, Classes())
    assert (title, chart["data"][0]["x"]) == ("classes", ["0", "1", "2", "3"])


@pytest.mark.parametrize(("count", "epochs"), [(3, 9), (60, 8), (90, 1)])
def test_the_epochs_of_a_confusion(count, epochs):
    rows = [
        {"epoch": e, geometry.CONFUSION: np.eye(count).tolist()} for e in range(1, 10)
    ]
    found = geometry.confusion_epochs([{"epoch": 0}, *rows, {"epoch": 10}])
    assert len(found) == epochs
    assert found[-1]["epoch"] == 9
    assert geometry.confusion_epochs([{"epoch": 1}]) == []


def test_a_class_without_examples_has_no_shares():
    row = {"test/confusion": [[0, 0], [1, 3]]}
    ((_, chart),) = geometry.confusion_charts(row, Classes())
    assert chart["data"][0]["text"] == [["-", "-"], ["25", "75"]]
    assert chart["data"][0]["z"][0] == [None, None]


def test_severity_beside_chance():
    tree = balanced((2, 2))
    table = np.diag([9.0] * 4)
    table[0, 1], table[2, 0] = 3, 1  # heights 1 and 2
    chart = geometry.severity_chart({"test/confusion": table}, Classes((), tree))
    mistakes, chance = chart["data"]
    assert mistakes["y"] == [75, 25]
    np.testing.assert_allclose(chance["y"], [100 / 3, 200 / 3], rtol=1e-4)
    perfect = {"test/confusion": np.eye(4)}
    assert geometry.severity_chart(perfect, Classes((), tree)) is None
    assert geometry.severity_chart({"test/confusion": table}, Classes()) is None


def test_names_are_text_for_plotly():
    found = geometry.geometry([measured(3)], Classes(TREE.class_names, TREE))
    assert not any("<" in name for name in found["names"])
    axis = geometry.cosine_charts(found)[0]["layout"]["xaxis"]
    assert "&lt;img src=x&gt;" in axis["ticktext"]
    assert "&lt;/script&gt;&lt;scrip…" in axis["ticktext"]
