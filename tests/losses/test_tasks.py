"""The sum over tasks beside the cross-entropy of each, and what it refuses."""

import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.losses import cross_entropy, losses_for, sum_of_tasks

RNG = np.random.default_rng(0)
Z = np.float32(RNG.normal(size=(20, 5)))
Y = np.stack([RNG.integers(0, 3, 20), RNG.integers(0, 2, 20)], 1).astype(np.int32)


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1, "temperature": 0.5}])
@pytest.mark.parametrize("weights", [(), (2.0, 0.5)])
def test_it_is_the_weighted_sum(weights, options):
    one = cross_entropy(jnp.asarray(Z[:, :3]), jnp.asarray(Y[:, 0]), **options)
    two = cross_entropy(jnp.asarray(Z[:, 3:]), jnp.asarray(Y[:, 1]), **options)
    first, second = weights or (1.0, 1.0)
    given = {"tasks": (3, 2), "task_weights": weights, **options}
    found = sum_of_tasks(jnp.asarray(Z), jnp.asarray(Y), **given)
    np.testing.assert_allclose(found, first * one + second * two, rtol=1e-6)


def test_by_hand():
    logits = jnp.array([[0.0, 0.0, np.log(3.0), 0.0]])
    found = sum_of_tasks(logits, jnp.array([[0, 1]]), tasks=(2, 2))
    np.testing.assert_allclose(found, np.log(2) + np.log(4), rtol=1e-6)
    assert losses_for("tasks") == ["sum_of_tasks"]


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (Y[:, :1], {}, r"labels \(20, 1\); for 2 task\(s\) of 3 \+ 2"),
        (Y, {"tasks": (3, 3)}, r"they are \[n, 6\]"),
        (Y, {"task_weights": (1.0,)}, "1 weights for 2 tasks"),
        (Y, {"task_weights": (1.0, -1.0)}, "more than 0, got -1.0"),
        (Y + 1, {}, "out of range"),
    ],
)
def test_bad_input_is_refused(labels, options, message):
    given = {"tasks": (3, 2)} | options
    with pytest.raises(ValueError, match=message):
        sum_of_tasks(jnp.asarray(Z), jnp.asarray(labels), **given)
