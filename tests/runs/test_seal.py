"""The seal of a checkpoint tells every change."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.runs.seal import broken, make_seal, rows_in

STATE = {
    "a": jnp.arange(6.0).reshape(2, 3),
    "b": (jnp.int32(3), np.ones(2, bool), jnp.ones((0, 2)), jnp.ones(3, jnp.bfloat16)),
}
ROWS = {"": '{"epoch": 4, "nc/nc1": 0.5, "ä": null}\n', "seeds/1": ""}


def sealed():
    """As it is read back."""
    return json.loads(json.dumps(make_seal(STATE, epoch=4, run="mine", rows=ROWS)))


def test_what_was_sealed_is_unbroken():
    assert broken(sealed(), STATE, epoch=4, run="mine") == ""
    assert broken(sealed(), STATE, epoch=4) == ""
    assert rows_in(sealed(), epoch=4, run="mine") == ROWS


@pytest.mark.parametrize(
    ("state", "name"),
    [
        (STATE | {"a": STATE["a"].at[1, 2].add(1e-6)}, "['a']"),
        (STATE | {"a": STATE["a"].reshape(3, 2)}, "['a']"),
        (STATE | {"a": -STATE["a"]}, "['a']"),  # 0 and -0 are equal, not the same
        (STATE | {"b": (jnp.uint32(3), *STATE["b"][1:])}, "['b'][0]"),
        (STATE | {"c": jnp.ones(1)}, "['c']"),
        ({"b": STATE["b"]}, "['a']"),
    ],
)
def test_another_array_is_named(state, name):
    why = broken(sealed(), state, epoch=4)
    assert why.startswith("1 of ")
    assert f"the first {name}, are not those that were written" in why


def test_another_run_or_epoch_or_a_damaged_seal():
    assert "run of another configuration" in broken(
        sealed(), STATE, epoch=4, run="yours"
    )
    assert "that of epoch 4, under another number" in broken(sealed(), STATE, epoch=5)
    for key, value in (("epoch", 5), ("run", ""), ("rows", {}), ("arrays", {})):
        bad = sealed() | {key: value}
        assert "its seal, which has the checksums, is damaged" in broken(
            bad, STATE, epoch=4
        )
        assert rows_in(bad, epoch=4) == {}
    assert rows_in(sealed(), epoch=5) == rows_in(sealed(), epoch=4, run="yours") == {}
