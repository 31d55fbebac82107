"""HAF with all pairs of classes in place of the neighbours in a batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import losses
from ncjax.hierarchy import from_nested
from ncjax.ufm.haf import haf

TREE = from_nested({"a": ["b", "c"], "d": {}, "e": {"f": ["g", "h"], "i": {}}})
SIZES = np.array([1, 2, 3, 4, 5, 6])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"margin": 0.3, "margin_weight": 2.0, "consistency_weight": 0.5},
    ],
)
@pytest.mark.slow
def test_pairs_are_the_average_over_partners(options):
    """The loss of row i with j as the next of a batch of two, by the share of j."""
    fit = haf(6, hierarchy=TREE, sizes=SIZES, **options)
    with jax.enable_x64(True):
        logits = 2 * jax.random.normal(jax.random.key(0), (6, fit.num_outputs))

        def with_partner(i, j):
            pair = jnp.array([i, j])
            return losses.haf(logits[pair], pair, hierarchy=TREE, **options)[0]

        classes = jnp.arange(6)
        table = jax.vmap(jax.vmap(with_partner, (None, 0)), (0, None))
        expected = table(classes, classes) @ (SIZES / SIZES.sum())
        np.testing.assert_allclose(fit.losses(logits), expected, rtol=1e-12)


@pytest.mark.slow
def test_copies_of_a_row_share_its_samples():
    fit = haf(6, hierarchy=TREE, sizes=SIZES)
    rows = np.repeat(np.arange(6), SIZES)
    copied = fit.take(rows)
    np.testing.assert_allclose(copied.shares, 1 / 21)
    with jax.enable_x64(True):
        logits = jax.random.normal(jax.random.key(0), (6, fit.num_outputs))
        np.testing.assert_allclose(
            copied.losses(logits[rows]), fit.losses(logits)[rows], rtol=1e-12
        )


@pytest.mark.slow
def test_it_is_not_convex():
    """Logits of the coarse levels count in bounded terms alone."""
    fit = haf(6, hierarchy=TREE)
    with jax.enable_x64(True):
        values = [
            float(fit.losses(jnp.zeros((6, fit.num_outputs)).at[0, 0].set(-x))[0])
            for x in (0.0, 50.0, 100.0)
        ]
    assert values[1] > (values[0] + values[2]) / 2 + 0.01
    assert not fit.is_convex()
