"""Every row is taken once, whatever the size of a block."""

import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import blocks


@pytest.mark.parametrize("size", [4096, 10, 7, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_row_is_taken_once(monkeypatch, size, weighted):
    monkeypatch.setattr(blocks, "_ROWS", size)
    features = jnp.arange(40.0).reshape(20, 2)
    labels = jnp.arange(20) % 3
    weights = jnp.linspace(0, 2, 20) if weighted else None

    def visit(sums, rows):
        features, labels, weights = rows
        weights = 1.0 if weights is None else weights * 1.0
        return sums.at[labels].add(weights * features[:, 1])

    found = blocks.scan_blocks(visit, jnp.zeros(3), (features, labels, weights))
    values = np.asarray(features[:, 1]) * (1 if weights is None else weights)
    want = [values[np.asarray(labels) == k].sum() for k in range(3)]
    np.testing.assert_allclose(found, want, rtol=1e-6)


def test_few_rows_are_taken_as_they_are():
    rows = jnp.ones((5, 2)), jnp.zeros(5, int), None
    assert blocks.scan_blocks(lambda _, given: given, None, rows) is rows


@pytest.mark.parametrize("classes", [3, 40])
def test_each_row_times_the_vector_of_its_class(classes):
    rng = np.random.default_rng(0)
    rows, vectors = rng.normal(size=(50, 4)), rng.normal(size=(classes, 4))
    labels = rng.integers(0, classes, 50)
    found = blocks.class_dot(*map(jnp.asarray, (rows, vectors, labels)))
    want = np.einsum("nd,nd->n", rows, vectors[labels])
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)
