"""Options are read off signatures: only what a user may set, each with one meaning."""

import pytest
from hypothesis import given, strategies as st

from ncjax.options import (
    ConfigError,
    all_options,
    brief,
    choose,
    fill,
    options_of,
    suggest,
    takes,
    unknown,
)


def scaled(x, *, factor: float = 2.0, hierarchy=None, dtype=float, sign: int = 1):
    return x * factor * sign, hierarchy


def shifted(x, *, shift: float = 1.0, factor: float = 2.0):
    return factor * x + shift


def test_options_are_keywords_with_plain_defaults():
    assert options_of(scaled) == {"factor": 2.0, "sign": 1}
    assert takes(scaled, "hierarchy")
    assert not takes(shifted, "hierarchy")


def test_functions_of_a_registry_share_their_options():
    both = {"factor": 2.0, "sign": 1, "shift": 1.0}
    assert all_options((scaled, shifted)) == both

    def other(x, *, factor: float = 3.0):
        return factor * x

    with pytest.raises(ValueError, match=r"defaults to 3\.0.*must mean one thing"):
        all_options((scaled, other))


def test_fill_gives_each_function_what_it_takes():
    values = {"factor": 3.0, "sign": -1, "shift": 5.0}
    assert fill(scaled, values, hierarchy="tree")(1.0) == (-3.0, "tree")
    assert fill(shifted, values, hierarchy="tree")(1.0) == 8.0


def test_choose_names_the_field_and_what_is_allowed():
    choose("config.loss.name", "mse", ("mse", "hxe"))
    with pytest.raises(ConfigError, match=r"config\.loss\.name 'mes'. Available: mse"):
        choose("config.loss.name", "mes", ("mse", "hxe"))
    with pytest.raises(ConfigError, match=r"Did you mean 'mse'\?"):
        choose("config.loss.name", "MSe", ("mse", "hxe"))


def test_what_was_meant_is_not_lost_behind_a_long_list():
    few, many = ["mse", "hxe"], [f"mse{i}" for i in range(11)]
    text = "Unknown loss 'mes'. Available: mse, hxe. Did you mean 'mse'?"
    assert unknown("loss", "mes", few) == text
    assert "'msee1'. Did you mean 'mse1'? Avail" in unknown("loss", "msee1", many)
    assert unknown("option", "x", []) == "Unknown option 'x'. Available: none."


def test_suggest():
    assert suggest("maesure", ("train", "measure")) == " Did you mean 'measure'?"
    assert suggest("xyz", ("train", "measure")) == ""
    keys = ["layers/1/nc/nc1", "test/nc1", "nc/nc1_floor", "nc/nc1", "test/error"]
    for word in ("nc1", "NC1", "nc/nc1x", "nc/NC1"):
        assert suggest(word, keys) == " Did you mean 'nc/nc1'?"
    assert suggest("error", keys) == " Did you mean 'test/error'?"


@given(st.text(max_size=3000), st.integers(20, 1000))
def test_a_message_is_cut_where_it_is_too_long(text, most):
    cut = brief(text, most)
    assert len(cut) <= max(most, 20)
    if len(text) <= most:
        assert cut == text
    assert cut[:10] == text[:10]


def test_a_long_name_is_cut_and_the_sentence_about_it_is_kept():
    cut = brief(f"The name {'x' * 10**6} stands for two nodes.", 500)
    assert cut == f"The name {'x' * 60}...{'x' * 20} stands for two nodes."


def test_no_name_is_suggested_where_to_seek_it_takes_minutes():
    names = [f"a name of some length {i}" for i in range(10**5)]
    assert suggest("a name of some lenght 1", names[:100]) != ""
    assert suggest("a name of some lenght 1", names) == ""
    assert suggest("x" * 10**5, ["x" * (10**5 - 1)]) == ""
