"""Assignments against all permutations, their symmetries and their bounds."""

import itertools
import math

import numpy as np
import pytest

from ncjax import codes
from ncjax.codes import assign_means, assign_similar, assignments
from ncjax.codes.known import simple_code
from ncjax.codes.margin import unit_rows
from ncjax.hierarchy import balanced
from ncjax.options import InputError


def gram_of(code):
    return code @ code.T


def symmetric(k, seed):
    table = np.random.default_rng(seed).normal(size=(k, k))
    return table + table.T


def vectors(k, d, seed=0):
    return unit_rows(np.random.default_rng(seed).normal(size=(k, d)))


def all_values(similarity, gram):
    """The sum of every permutation, one by one."""
    orders = itertools.permutations(range(len(gram)))
    return [np.sum(similarity * gram[np.ix_(p, p)]) for p in orders]


@pytest.mark.parametrize("worst", [False, True])
@pytest.mark.parametrize(
    "gram",
    [gram_of(vectors(6, 3)), gram_of(simple_code(6, 2)), gram_of(simple_code(6, 3))],
    ids=["random", "hexagon", "octahedron"],
)
def test_the_best_of_all(gram, worst):
    similarity = symmetric(6, seed=1)
    values = all_values(similarity, gram)
    found = assign_similar(similarity, gram, worst=worst)
    assert found.exact
    assert found.gap == 0
    assert found.value == pytest.approx(min(values) if worst else max(values))
    moved = gram[np.ix_(found.order, found.order)]
    assert found.value == pytest.approx(np.sum(similarity * moved))


@pytest.mark.parametrize("worst", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_bound_holds_and_faq_is_below_it(seed, worst):
    gram, similarity = gram_of(vectors(6, 3, seed)), symmetric(6, seed + 10)
    values = all_values(similarity, gram)
    best = min(values) if worst else max(values)
    found = assign_similar(similarity, gram, method="faq", worst=worst)
    sign = -1 if worst else 1
    assert not found.exact
    assert sign * found.value <= sign * best + 1e-9
    assert sign * found.bound >= sign * best - 1e-9
    assert abs(found.value - best) < 0.2 * np.ptp(values)


def test_the_bound_is_sharp_for_a_simplex():
    """All assignments of a simplex are equal, and the bound says so."""
    gram, similarity = gram_of(simple_code(6, 5)), symmetric(6, 0)
    values = all_values(similarity, gram)
    assert np.ptp(values) < 1e-12
    found = assign_similar(similarity, gram, method="faq")
    assert found.value == pytest.approx(values[0])
    assert found.gap < 1e-9
    assert len(list(assignments(gram_of(simple_code(9, 8))))) == 1


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (simple_code(4, 2), 3),  # 4!/8
        (simple_code(5, 2), 12),  # 5!/10
        (simple_code(6, 3), 15),  # 6!/48
        (vectors(5, 3), 120),
    ],
)
def test_assignments_that_differ(code, number):
    gram = gram_of(code)
    orders = list(assignments(gram))
    assert len(orders) == number
    assert all(sorted(order) == list(range(len(code))) for order in orders)
    # No two of them have the same inner products between classes, and all are there.
    gram = gram.round(9) + 0.0  # one zero
    seen = {gram[np.ix_(o, o)].tobytes() for o in orders}
    every = itertools.permutations(range(len(code)))
    assert seen == {gram[np.ix_(p, p)].tobytes() for p in every}
    assert len(seen) == number


def test_similar_classes_become_neighbours():
    """Two pairs of classes on a square: the best puts no pair on a diagonal."""
    tree = balanced((2, 2))
    gram = gram_of(simple_code(4, 2))
    distances = tree.distances()
    best, worst = (assign_similar(-distances, gram, worst=w) for w in (False, True))
    cosines = [gram[a.order[0], a.order[1]] for a in (best, worst)]
    np.testing.assert_allclose(cosines, [0, -1], atol=1e-15)
    assert best.value > worst.value


def test_many_classes_have_a_stated_gap():
    gram, similarity = gram_of(vectors(20, 4)), gram_of(vectors(20, 5, seed=1))
    found = assign_similar(similarity, gram, starts=2)
    assert not found.exact
    assert 0 < found.gap < abs(found.bound)
    order = np.random.default_rng(0).permutation(20)
    assert found.value > np.sum(similarity * gram[np.ix_(order, order)])
    # No exchange of two classes is better.
    for r, s in itertools.combinations(range(20), 2):
        order = found.order.copy()
        order[[r, s]] = order[[s, r]]
        assert np.sum(similarity * gram[np.ix_(order, order)]) <= found.value + 1e-9


def test_a_code_is_found_again_under_another_numbering():
    code, order = vectors(12, 4), np.random.default_rng(3).permutation(12)
    found = assign_means(2.5 * code[order], code)
    np.testing.assert_array_equal(found.order, order)
    assert found.value == pytest.approx(12)
    assert assign_means(code[order], code, worst=True).value < 0


def test_means_against_all_permutations():
    means, code = vectors(5, 3), vectors(5, 3, seed=1)
    table = means @ code.T
    values = [table[range(5), p].sum() for p in itertools.permutations(range(5))]
    assert len(values) == math.factorial(5)
    assert assign_means(means, code).value == pytest.approx(max(values))
    assert assign_means(means, code, worst=True).value == pytest.approx(min(values))


GRAM = gram_of(vectors(4, 2))


@pytest.mark.parametrize(
    ("similarity", "gram", "options", "message"),
    [
        (np.eye(10), np.eye(10), {"method": "exact"}, "for at most 9 classes; got 10"),
        (np.eye(4), GRAM, {"method": "best"}, "Unknown method 'best'"),
        (np.eye(4), GRAM, {"starts": 0}, "starts must be at least 1"),
        (np.eye(5), GRAM, {}, "of 5 classes, the Gram matrix of 4 vectors"),
        (np.ones((4, 3)), GRAM, {}, r"\[K, K\] with K >= 2, got \(4, 3\)"),
        (np.triu(np.ones((4, 4))), GRAM, {}, "must be symmetric"),
        (np.full((4, 4), np.nan), GRAM, {}, "must be finite"),
        (np.eye(4), np.diag([1.0, 1, 1, 2]), {}, "different lengths"),
    ],
)
def test_what_is_refused(similarity, gram, options, message):
    with pytest.raises(InputError, match=message):
        assign_similar(similarity, gram, **options)


def test_means_of_another_shape_are_refused():
    with pytest.raises(InputError, match="must have the same shape"):
        assign_means(vectors(4, 3), vectors(4, 2))
    with pytest.raises(InputError, match="at most 9 classes, got 10"):
        next(codes.assignments(np.eye(10)))
