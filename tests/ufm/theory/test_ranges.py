"""Ranges of the inputs of closed forms; roots; what a closed form returns."""

import math

import numpy as np
import pytest

from ncjax.ufm.theory import class_optimum, ranges


def test_root_of_the_cosine():
    root = ranges.find_root(math.cos, 1.0, 2.0)
    np.testing.assert_allclose(root, math.pi / 2, rtol=1e-14)


def test_a_root_that_rounding_hides_is_an_error():
    for function in (lambda x: 1.0, lambda x: math.nan):
        with pytest.raises(FloatingPointError, match="no root in float64 between 1"):
            ranges.find_root(function, 1.0, 2.0)
    assert ranges.find_root(lambda x: math.log(x / 3e-310), 1e-320, 1e300) > 0


def test_the_geometric_mean_of_numbers_whose_product_underflows():
    assert ranges.geometric_mean(1e-200, 1e-200) == 1e-200
    assert ranges.geometric_mean(0.1, 0.1) == 0.1
    np.testing.assert_allclose(ranges.geometric_mean(4e-250, 9e-200), 6e-225)


def test_class_sizes_in_float64():
    assert ranges.check_counts(np.array([3, 1])).dtype == np.float64
    for sizes in ([5], [1, 0], [[1, 2]]):
        with pytest.raises(ValueError, match="at least 2 positive numbers"):
            ranges.check_counts(np.array(sizes))


def test_the_error_names_what_is_out_of_range():
    ranges.check_positive(c=1e-300)
    ranges.check_at_least(2, num_classes=2)
    ranges.check_width(None, 9, "the optimum")
    for value in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match=r"^c must be finite and > 0"):
            ranges.check_positive(a=1.0, c=value)
    with pytest.raises(ValueError, match="num_classes must be at least 2, got 1"):
        ranges.check_at_least(2, num_classes=1)
    with pytest.raises(ValueError, match=r"feature_dim=3 is too small: .* at least 9"):
        ranges.check_width(3, 9, "the optimum")


def test_rank_of_an_optimum_is_that_of_its_logits():
    simplex = np.eye(4) - 0.25
    one = class_optimum.ClassOptimum("", 0.0, simplex, np.zeros(4), simplex, simplex)
    assert one.rank == 3
