"""Values of a swept field, and the settings of a grid."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from ncjax import ConfigError
from ncjax.grid import check_values, is_geometric, label, parse_values, settings


def test_ranges():
    np.testing.assert_allclose(
        parse_values("x", "1e-3..1e-1:3", 0.5), [1e-3, 1e-2, 1e-1]
    )
    assert parse_values("x", "lin:0..1:5", 0.5) == (0, 0.25, 0.5, 0.75, 1)
    assert parse_values("x", "lin:-1..1:3", 0.5) == (-1, 0, 1)
    assert parse_values("width", "16..64:3", 8) == (16, 32, 64)
    assert parse_values("width", "1..4:9", 8) == (1, 2, 3, 4)  # each once


def test_lists():
    assert parse_values("x", "0,5e-4, 5e-3", 0.5) == (0, 5e-4, 5e-3)
    assert parse_values("name", "mse,cross_entropy", "mse") == ("mse", "cross_entropy")
    assert parse_values("name", "1,2", "none") == ("1", "2")
    assert parse_values("flag", "true,False", True) == (True, False)
    assert parse_values("widths", "(64,64),(128,)", (8,)) == ((64, 64), (128,))
    assert parse_values("widths", "64,(32,8)", (8,)) == ((64,), (32, 8))


@given(
    st.floats(1e-6, 1e3),
    st.floats(1.001, 1e6),
    st.integers(2, 20),
)
def test_a_range_keeps_its_ends_and_its_factor(low, factor, count):
    values = parse_values("x", f"{low!r}..{low * factor!r}:{count}", 1.0)
    assert len(values) == count
    np.testing.assert_allclose((values[0], values[-1]), (low, low * factor), rtol=1e-12)
    ratios = np.diff(np.log(values))
    np.testing.assert_allclose(ratios, math.log(factor) / (count - 1), atol=1e-9)


@pytest.mark.parametrize(
    ("text", "like", "message"),
    [
        ("0..1:3", 0.5, "takes a positive end. For equal steps write lin:0..1:3"),
        ("-1..1:3", 0.5, "positive end"),
        ("1..0.1:3", 0.5, "must rise from a finite end"),
        ("1..inf:3", 0.5, "must rise from a finite end"),
        ("nan..1:3", 0.5, "must rise from a finite end"),
        ("1..2:1", 0.5, "with 2 to 10000 values"),
        ("1..2:x", 0.5, "is not LOW..HIGH:COUNT"),
        ("", 0.5, "has an empty value"),
        ("1,,2", 0.5, "has an empty value"),
        ("1,1.0", 0.5, "the value 1.0 twice"),
        ("1,a", 0.5, "'a' is of type str, but the field is of type float"),
        ("1.5,2", 3, "1.5 is of type float, but the field is of type int"),
        ("true", 3, "True is of type bool, but the field is of type int"),
    ],
)
def test_bad_values(text, like, message):
    with pytest.raises(ConfigError, match="sweep of x") as error:
        parse_values("x", text, like)
    assert message in str(error.value)


def test_no_values():
    with pytest.raises(ConfigError, match="has no values"):
        check_values("x", [], 1.0)


def test_settings_are_all_combinations():
    assert settings({"a": (1, 2), "b": ("x", "y")}) == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]


def test_fields_that_change_together():
    swept = {"a": (1, 2), "b": (3, 4), "c": (5, 6)}
    found = settings(swept, [("c", "a")])
    assert found == [
        {"a": 1, "c": 5, "b": 3},
        {"a": 1, "c": 5, "b": 4},
        {"a": 2, "c": 6, "b": 3},
        {"a": 2, "c": 6, "b": 4},
    ]


@pytest.mark.parametrize(
    ("together", "message"),
    [
        ([("a", "z")], "z is to change together with others, but is not swept"),
        ([("a", "b")], "need as many values each: a has 2, b has 3"),
        ([("a", "c"), ("c", "a")], "in two groups"),
    ],
)
def test_bad_groups(together, message):
    with pytest.raises(ConfigError, match=message):
        settings({"a": (1, 2), "b": (1, 2, 3), "c": (1, 2)}, together)


def test_too_many_settings():
    with pytest.raises(ConfigError, match="1000000 settings; 10000 are allowed"):
        settings({name: range(100) for name in "abc"})


def test_labels_are_names_of_files():
    setting = {"loss.name": "mse", "model.name": "mlp", "model.widths": (64, 8)}
    assert label(setting) == "loss.name=mse,model.name=mlp,widths=64x8"
    assert label({"optimizer.weight_decay": 5e-4, "seed": 3}) == (
        "weight_decay=0.0005,seed=3"
    )
    assert label({"hierarchy.file": "../a b*.json"}) == "file=.._a_b_.json"


def test_which_values_need_a_logarithmic_axis():
    assert is_geometric((1e-3, 1e-1))
    assert not is_geometric((0.0, 1e-1))
    assert not is_geometric((1.0, 2.0))
    assert not is_geometric(("a", "b"))
    assert not is_geometric((True, False))


def test_numbers_beyond_all_floats_are_no_tracebacks():
    with pytest.raises(ConfigError, match="inf is of type float, but the field is"):
        parse_values("batch_size", "1e400", 128)
    assert parse_values("x", "1" + "0" * 400, 0.5) == (math.inf,)
