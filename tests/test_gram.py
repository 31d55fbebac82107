"""Gram matrices: by hand, against the definitions, invariances, what is refused."""

import numpy as np
import pytest
from scipy import linalg

from ncjax.gram import (
    as_square,
    centred_gram,
    gram_cosines,
    gram_distance,
    gram_nc2,
    mean_gram,
    simplex_gram,
    unit_gram,
)


@pytest.fixture
def vectors():
    """Five vectors of width 7 with a mean of about 3."""
    return 3 + np.random.default_rng(0).normal(size=(5, 7))


def test_simplex():
    want = np.array([[2, -1, -1], [-1, 2, -1], [-1, -1, 2]]) / 3
    np.testing.assert_allclose(simplex_gram(3), want)
    with pytest.raises(ValueError, match="at least 2 classes, got 1"):
        simplex_gram(1)


def test_centred_by_hand():
    # The vectors 1, 2, 6 on a line have the mean 3, and so the deviations -2, -1, 3.
    line, deviations = np.array([1.0, 2, 6]), np.array([-2.0, -1, 3])
    want = np.outer(deviations, deviations)
    np.testing.assert_allclose(centred_gram(np.outer(line, line)), want)
    np.testing.assert_allclose(unit_gram(np.outer(line, line)), want / 14)
    signs = np.sign(deviations)
    np.testing.assert_allclose(
        gram_cosines(np.outer(line, line)), np.outer(signs, signs)
    )


def test_centring_is_that_of_the_vectors(vectors):
    centred = vectors - vectors.mean(0)
    gram = vectors @ vectors.T
    np.testing.assert_allclose(centred_gram(gram), centred @ centred.T, atol=1e-12)
    np.testing.assert_allclose(linalg.norm(unit_gram(gram)), 1)
    units = centred / linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(gram_cosines(gram), units @ units.T, atol=1e-12)


def test_distance_and_nc2_by_hand():
    # A simplex of 3 classes against two classes that coincide: both have Frobenius norm
    # 1 once divided by sqrt(2) and 2/3; their inner product is 1/sqrt(2).
    pair = np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])
    want = np.sqrt(2 - np.sqrt(2))
    np.testing.assert_allclose(gram_distance(pair, simplex_gram(3)), want)
    np.testing.assert_allclose(gram_nc2(pair), want)
    np.testing.assert_allclose(gram_nc2(7 * simplex_gram(4)), 0, atol=1e-15)
    np.testing.assert_allclose(gram_nc2(np.eye(4)), 0, atol=1e-15)  # centred first


def test_distance_ignores_scale_centre_and_rotation(vectors):
    gram, other = vectors @ vectors.T, np.diag([1.0, 2, 3, 4, 5])
    moved = (
        3 * (vectors - 10) @ linalg.qr(np.random.default_rng(1).normal(size=(7, 7)))[0]
    )
    want = gram_distance(gram, other)
    np.testing.assert_allclose(gram_distance(moved @ moved.T, other), want)
    np.testing.assert_allclose(gram_distance(other, gram), want)
    assert 0 < want <= np.sqrt(2)
    order = [3, 0, 4, 1, 2]
    permuted = gram_distance(gram[np.ix_(order, order)], other[np.ix_(order, order)])
    np.testing.assert_allclose(permuted, want)


def test_mean_gram_is_the_root_of_the_products_of_the_logits():
    logits = np.random.default_rng(2).normal(size=(4, 4))
    root = mean_gram(logits)
    np.testing.assert_allclose(root, linalg.sqrtm(logits @ logits.T), atol=1e-12)
    symmetric = logits @ logits.T
    np.testing.assert_allclose(mean_gram(symmetric), symmetric, atol=1e-12)


def test_class_means_behind_more_or_fewer_logits_than_classes():
    for width in (2, 5):
        logits = np.random.default_rng(0).normal(size=(3, width))
        found = mean_gram(logits)
        np.testing.assert_allclose(found @ found, logits @ logits.T, atol=1e-12)
        assert np.linalg.eigvalsh(found)[0] > -1e-12


def test_bad_matrices():
    for function in (as_square, centred_gram, unit_gram, gram_cosines):
        with pytest.raises(ValueError, match=r"\[K, K\] matrix.*got \(3, 2\)"):
            function(np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"logits \[K, M\], got \(3,\)"):
        mean_gram(np.ones(3))
    with pytest.raises(ValueError, match=r"K >= 2, got \(1, 1\)"):
        as_square(np.ones((1, 1)))
    for gram in (np.ones((3, 3)), np.full((3, 3), np.nan)):
        with pytest.raises(ValueError, match="finite and not 0 once it is centred"):
            unit_gram(gram)
