"""Which class gets which vector: best and worst, by means, and what is refused."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.classifiers import LAYER, Setting, fixed
from ncjax.classifiers.assigned import (
    ASSIGN,
    EPOCHS,
    all_alike,
    assigned,
    check_assign,
    reassigned,
)
from ncjax.hierarchy import balanced

RNG = np.random.default_rng(0)
TREE = balanced((2, 2))
SQUARE = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]])


def order_of(assign, rows=SQUARE, tree=TREE, setting=None):
    how = {"hierarchy": tree, "distance": "height", "setting": setting or Setting()}
    return assigned(rows, assign, **how)


def value(rows):
    return -np.sum(TREE.distances() * (rows @ rows.T))


def test_quadratic_is_the_best_of_all_orders_and_worst_the_worst():
    every = [value(SQUARE[list(p)]) for p in itertools.permutations(range(4))]
    (best, said), (worst, _) = order_of("quadratic"), order_of("worst")
    assert value(best) == pytest.approx(max(every))
    assert value(worst) == pytest.approx(min(every))
    assert max(every) > min(every)
    assert f"= {max(every):.6g}, {value(SQUARE):.6g} in the order of the" in said
    for same in ("none", "linear"):
        rows, said = order_of(same)
        assert rows is SQUARE
        assert said == ""


def test_a_simplex_has_nothing_to_assign():
    simplex = np.eye(4) - 1 / 4
    assert all_alike(simplex)
    assert not all_alike(SQUARE @ SQUARE.T)
    rows, said = order_of("worst", simplex)
    assert rows is simplex
    assert "all assignments are equal" in said


def test_an_order_that_was_kept_is_taken():
    names = []

    def keep(name, make):
        names.append(name)
        return np.array([3, 2, 1, 0])

    setting = Setting(keep=keep)
    rows, _ = order_of("worst", setting=setting)
    np.testing.assert_array_equal(rows, SQUARE[::-1])
    order_of("worst", SQUARE + 1e-9, setting=setting)  # other bits, the same problem
    order_of("quadratic", setting=setting)
    order_of("worst", 2 * SQUARE, setting=setting)
    assert names[0] == names[1]
    assert len(set(names)) == 3
    wrong = Setting(keep=lambda name, make: np.array([0, 0, 1, 2]))
    with pytest.raises(ValueError, match="-worst is no order"):
        order_of("worst", setting=wrong)


def test_rows_go_to_the_closest_means():
    order = RNG.permutation(6)
    frame = RNG.normal(size=(6, 3))
    frame -= frame.mean(0)
    means = 5 * frame[order] + 7.0  # a common part does not count
    np.testing.assert_array_equal(reassigned(frame, means), frame[order])
    assert reassigned(frame, np.ones((6, 3))) is frame  # no direction
    assert reassigned(frame, np.full((6, 3), np.nan)) is frame


def test_linear_takes_its_vectors_from_the_variables():
    classifier = fixed(4, target="orthogonal", assign="linear", assign_epochs=(2,))
    assert classifier.assign_epochs == (2,)
    assert classifier.vectors is None
    np.testing.assert_allclose(classifier.gram, np.eye(4), atol=1e-12)
    features = jnp.asarray(RNG.normal(size=(5, 6)), jnp.float32)
    layer = classifier.layer()
    variables = layer.init(jax.random.key(0), features)
    frame = variables["batch_stats"]["frame"]
    np.testing.assert_allclose(frame @ frame.T, np.eye(4), atol=1e-6)
    moved = {"batch_stats": {"frame": frame[::-1]}}
    outputs = layer.apply(moved, features)
    np.testing.assert_allclose(outputs, features @ frame[::-1].T, atol=1e-6)
    weights, _ = classifier.weights({"batch_stats": {LAYER: moved["batch_stats"]}})
    np.testing.assert_array_equal(weights, frame[::-1])
    code = fixed(5, target="code", project=2, assign="linear")
    assert code.gram is None  # it changes with the order


def test_what_is_refused():
    cases = [
        (("lineal", EPOCHS), "Unknown assign 'lineal'. Available: none, linear"),
        (("worst", (2,)), r"assign_epochs = \(2,\) has no effect: assign = 'worst'"),
        (("linear", ()), r"integers from 1 on, got \(\)"),
        (("linear", (0, 3)), r"integers from 1 on, got \(0, 3\)"),
    ]
    for given, message in cases:
        with pytest.raises(ValueError, match=message):
            check_assign(*given)
    for assign in ASSIGN:
        check_assign(assign, EPOCHS)
    with pytest.raises(ValueError, match="by their distances in a class tree, and th"):
        order_of("quadratic", tree=None)
    with pytest.raises(ValueError, match="The tree has 4 classes, the classifier 5"):
        fixed(5, hierarchy=TREE, target="code", project=2, assign="worst")
    with pytest.raises(ValueError, match="'worst': The vectors have different lengths"):
        order_of("worst", SQUARE * np.array([[1.0], [2], [1], [1]]))
    with pytest.raises(ValueError, match="vectors of a length above 0"):
        order_of("linear", SQUARE * 0)
