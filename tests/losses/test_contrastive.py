"""Losses of a batch: values by hand, by loops, at a simplex, without negatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.classifiers import fixed
from ncjax.hierarchy import balanced
from ncjax.losses import OUTPUTS, haf, nonl, ntce, supcon
from tests.thin import thin

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(9, 4))
LABELS = np.array([0, 1, 2, 3, 0, 1, 2, 0, 0])


def on(loss, outputs, labels=LABELS, **options):
    return loss(jnp.asarray(outputs, jnp.float32), jnp.asarray(labels), **options)


def test_by_hand():
    """Two examples of two classes: logits 2 and 0 of their own, 1 and -1 of others."""
    logits, labels = [[2.0, 1.0], [-1.0, 0.0]], [0, 1]
    # The column of class 0 is (2, -1), that of class 1 (1, 0).
    want = np.log1p(np.exp([-3.0, 1.0]))
    np.testing.assert_allclose(on(ntce, logits, labels), want, rtol=1e-6)
    np.testing.assert_allclose(on(nonl, logits, labels), [-3, 1], rtol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_literal_versions(temperature):
    """Each sum written out: over all examples, or those of other classes."""
    z = LOGITS / temperature
    every, negative = [], []
    for i, y in enumerate(LABELS):
        others = [j for j in range(9) if LABELS[j] != y]
        for found, rows in ((every, range(9)), (negative, others)):
            total = sum(np.exp(z[j, y]) for j in rows)
            found.append(-np.log(np.exp(z[i, y]) / total))
    options = {"temperature": temperature}
    np.testing.assert_allclose(on(ntce, LOGITS, **options), every, rtol=1e-5)
    np.testing.assert_allclose(on(nonl, LOGITS, **options), negative, rtol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_contrast_with_prototypes_literally(temperature):
    vectors = fixed(4, norm=2.0).vectors
    features = RNG.normal(size=(9, 5))
    table = np.concatenate([features, vectors.at(5)])
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    classes = [*LABELS, *range(4)]
    want = []
    for i, y in enumerate(LABELS):
        there = [a for a in range(13) if a != i]
        products = {a: table[i] @ table[a] / temperature for a in there}
        total = np.log(sum(np.exp(products[a]) for a in there))
        want.append(np.mean([total - products[a] for a in there if classes[a] == y]))
    got = on(supcon, features, vectors=vectors, temperature=temperature)
    np.testing.assert_allclose(got, want, rtol=1e-5)
    # Alone in its batch an example has its prototype, and the others against it.
    alone = on(supcon, features[:1], LABELS[:1], vectors=vectors)
    cosines = table[0] @ table[9:].T
    want = np.log(np.exp(cosines).sum()) - cosines[LABELS[0]]
    np.testing.assert_allclose(alone, [want], rtol=1e-5)


def test_a_batch_of_one_class_has_no_negatives():
    logits, labels = jnp.asarray(LOGITS[:3], jnp.float32), jnp.zeros(3, int)
    value, slope = jax.value_and_grad(lambda z: nonl(z, labels).sum())(logits)
    assert value == 0
    np.testing.assert_array_equal(slope, 0)


def test_least_at_the_prototypes():
    """Features on the vectors of a simplex: no step along the sphere makes it less."""
    vectors = fixed(4).vectors
    rows = vectors.at(5)[LABELS]
    least = on(supcon, rows, vectors=vectors, temperature=0.5).mean()
    for size in (0.05, 0.5):
        moved = rows + size * RNG.normal(size=rows.shape)
        assert on(supcon, moved, vectors=vectors, temperature=0.5).mean() > least


@pytest.mark.parametrize("loss", thin([ntce, nonl, supcon, haf], keep={0, 2}))
def test_padding_is_no_part_of_a_batch(loss):
    """The last batch of a set is filled up: its loss is that of its own examples."""
    options, outputs = {}, LOGITS
    if loss is supcon:
        options, outputs = {"vectors": fixed(4).vectors}, RNG.normal(size=(9, 5))
    if loss is haf:
        options = {"hierarchy": balanced((2, 2))}
        outputs = RNG.normal(size=(9, OUTPUTS["haf"](**options).size))
    present = np.arange(9) < 6
    alone = on(loss, outputs[:6], LABELS[:6], **options)
    padded = on(loss, outputs, present=jnp.asarray(present), **options)
    np.testing.assert_allclose(padded[:6], alone, rtol=1e-5)
    every = on(loss, outputs, present=jnp.ones(9, bool), **options)
    np.testing.assert_allclose(every, on(loss, outputs, **options), rtol=1e-6)
    assert not np.allclose(every[:6], alone, rtol=1e-3)
    nothing = on(loss, outputs, present=jnp.zeros(9, bool), **options)
    assert np.isfinite(nothing).all()  # a device may have padding alone
