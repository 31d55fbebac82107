"""More classes than a simplex has room for: what is predicted, and what is not."""

import numpy as np
import pytest

import ncjax
from ncjax.config import default, validate
from ncjax.config.binding import load_data
from ncjax.runs.columns import MARGIN
from ncjax.runs.history import History
from ncjax.training.network import Network


@pytest.fixture(scope="module")
def digits():
    return load_data(default())


def network(digits, width, **classifier):
    config = default()
    config.model.widths = (16, width)
    config.classifier.update(classifier)
    return Network(validate(config), digits)


def test_a_simplex_is_predicted_where_it_has_room(digits):
    wide, narrow = network(digits, 9), network(digits, 8)
    assert wide.objective.geometry.shape == (10, 10)
    assert wide.limit == {}
    assert narrow.objective.geometry is None
    assert narrow.limit == {MARGIN: 1.0}  # K <= 2 d


def test_given_vectors_are_predicted_at_any_width(digits):
    code = network(digits, 16, name="fixed", target="code", project=2)
    np.testing.assert_allclose(
        np.trace(code.objective.geometry), 10, rtol=1e-6
    )  # a polygon, which is centred
    assert code.limit == {MARGIN: pytest.approx(ncjax.codes.known_margin(10, 2))}
    sphere = network(digits, 16, name="spherical", project=2)
    assert sphere.objective.geometry is None
    assert sphere.limit == code.limit


def test_the_table_names_the_best_margin():
    row = {"epoch": 1, "train/error": 0.0, "nc/nc1": 0.1, MARGIN: 0.15}
    row |= {"nc/gram_to_tree": 0.5}
    history = History([row], limit={MARGIN: 0.19098})
    said = str(history)
    assert "0.191" in said
    assert "the best margin that is known" in said
    assert str(History([row])).count("limit") == 0
    titles = [metric.title for metric in history.shown()]
    assert titles == [metric.title for metric in History([row]).shown()]
