"""Labels of every integer type mean the same; those out of range are never taken."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from ncjax import collapse
from ncjax.classifiers import CLASSIFIERS
from ncjax.evaluation.mistakes import Mistakes, confusion
from ncjax.hierarchy import Hierarchy
from ncjax.labels import class_indices, out_of_range
from ncjax.losses import CLASSIFIER_OF, LOSSES, OUTPUTS, losses_for
from ncjax.moments import class_moments
from ncjax.ufm.geometry import geometry
from tests.thin import thin

DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
NAMES = [str(i) for i in range(256)]


@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    k=st.sampled_from([2, 11, 128, 256]),
    jit=st.booleans(),
    seed=st.integers(0, 99),
)
@pytest.mark.slow
def test_the_type_of_labels_does_not_matter(dtype, k, jit, seed):
    """Every count and every cell is that of NumPy, also where K overflows the type."""
    top = min(k - 1, np.iinfo(dtype).max)
    rng = np.random.default_rng(seed)
    labels, decisions = rng.integers(0, top + 1, (2, 16))
    labels[0] = decisions[-1] = top
    given = labels.astype(dtype)
    compiled = jax.jit if jit else lambda function: function
    features = rng.normal(size=(16, 2)).astype(np.float32)
    moments = compiled(lambda h, y: class_moments(h, y, k))(features, given)
    np.testing.assert_array_equal(moments.count, np.bincount(labels, minlength=k))
    table = np.zeros((k, k))
    np.add.at(table, (labels, decisions), 1)
    found = compiled(lambda d, y: confusion(d, y, k))(
        jnp.asarray(decisions.astype(dtype)), jnp.asarray(given)
    )
    np.testing.assert_array_equal(found, table)


@pytest.mark.parametrize("dtype", thin(["int8", "uint8", "uint16"], keep={1}))
def test_the_type_of_labels_does_not_matter_to_what_builds_on_moments(dtype):
    """K = 256 is 0 in eight bits."""
    rng = np.random.default_rng(0)
    labels = jnp.asarray(rng.integers(0, 100, 400))
    features = jnp.asarray(rng.normal(size=(400, 3)), jnp.float32)
    moments = jax.jit(class_moments, static_argnums=2)(features, labels, 256)
    pass_ = collapse.SecondPass.empty(moments, decisions=False)

    @jax.jit
    def found(y):
        variance = collapse.within_variance(features, y, moments, jnp.eye(3))
        shares = pass_.update(features, y).compute()
        return variance, shares, collapse.ncc_accuracy(features, y, moments)

    jax.tree.map(
        np.testing.assert_array_equal, found(labels.astype(dtype)), found(labels)
    )


def losses():
    """Each loss with its class vectors or its tree of 200 classes: name, loss, M."""
    tree = Hierarchy(["root", "pair", *NAMES[:200]], [-1, 0, 1, 1, *[0] * 198])
    for name, loss in ((name, LOSSES[name]) for name in losses_for("class")):
        if name == "haf":  # its pairs are those of the batch
            loss = functools.partial(loss, margin_weight=0.0)
        if "hierarchy" in inspect.signature(loss).parameters:
            loss = functools.partial(loss, hierarchy=tree)
        if "vectors" in inspect.signature(loss).parameters:
            classifier = CLASSIFIERS[CLASSIFIER_OF[name]](200, hierarchy=tree)
            loss = functools.partial(loss, vectors=classifier.vectors)
        size = int(np.sum(OUTPUTS[name](tree).size)) if name in OUTPUTS else 200
        yield pytest.param(loss, size, id=name)


@pytest.mark.parametrize(("loss", "size"), list(losses()))
def test_losses_of_every_type_and_of_labels_out_of_range(loss, size):
    rng = np.random.default_rng(0)
    outputs = jnp.asarray(rng.normal(size=(4, size)), jnp.float32)
    labels = np.array([0, 3, 126, 127])
    want = loss(outputs, jnp.asarray(labels, jnp.int32))
    for dtype in ("int8", "uint8", "int16", "uint32"):
        given = jnp.asarray(labels.astype(dtype))
        np.testing.assert_array_equal(loss(outputs, given), want)
    for wrong in (-1, 200, 10_000):
        given = jnp.asarray([0, 3, wrong, 127], jnp.int32)
        with pytest.raises(
            ValueError, match=rf"in 1 rows: row 2 has {wrong}, and 0..1"
        ):
            loss(outputs, given)
        inside = np.asarray(jax.jit(loss)(outputs, given))
        assert np.isnan(inside[2])
        np.testing.assert_allclose(inside[[0, 1, 3]], want[jnp.array([0, 1, 3])], 1e-6)


def test_labels_out_of_range_outside_jit():
    features = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    labels = np.repeat(np.arange(5), 2)
    with pytest.raises(
        ValueError, match=r"in 2 rows: row 8 has 5, and 0..4 .*subtract"
    ):
        class_moments(features, labels + 1, 5)
    with pytest.raises(ValueError, match=r"in 2 rows: row 0 has -1, and 0\.\.4"):
        class_moments(features, labels - 1, 5)
    moments = class_moments(features, labels, 5)
    calls = [
        lambda y: moments.update(jnp.asarray(features), jnp.asarray(y)),
        lambda y: confusion(jnp.asarray(y), jnp.asarray(labels), 5),
        lambda y: confusion(jnp.asarray(labels), jnp.asarray(y), 5),
        lambda y: Mistakes().values(jnp.zeros((10, 5)), jnp.asarray(y)),
        lambda y: geometry({"W": np.eye(5, 3), "H": features}, y),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"row 0 has -1, and 0\.\.4 are allowed"):
            call(labels - 1)
    # A row that is masked may have any label.
    mask = (labels > 0).astype(np.float32)
    masked = class_moments(features, labels - 1, 5, jnp.asarray(mask))
    np.testing.assert_array_equal(masked.count, [2, 2, 2, 2, 0])


def test_confusion_counts_no_cell_for_what_is_out_of_range():
    labels, decisions = jnp.array([0, -1, 1, 2, 1]), jnp.array([0, 1, -1, 0, 2])
    table = jax.jit(lambda d, y: confusion(d, y, 2))(decisions, labels)
    np.testing.assert_array_equal(table, [[1, 0], [0, 0]])


def test_other_labels_are_refused():
    with pytest.raises(TypeError, match=r"labels are float32; integers 0\.\.1"):
        class_indices(np.zeros(3, np.float32), 2)
    with pytest.raises(TypeError, match="float32"):
        jax.jit(lambda y: class_indices(y, 2))(jnp.zeros(3))
    with pytest.raises(ValueError, match=r"have shape \(3, 1\)"):
        class_indices(np.zeros((3, 1), int), 2)
    with pytest.raises((ValueError, TypeError), match="labels"):
        class_moments(np.ones((4, 2), np.float32), np.zeros(3, int), 2)
    assert class_indices([True, False], 2).dtype == jnp.int32
    assert "row 1 has 4294967296" in out_of_range(np.array([0, 2**32]), None)
