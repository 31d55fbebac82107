"""Soft labels and HXE: published values, literal NumPy versions, limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.hierarchy import BUILTIN
from ncjax.losses import cross_entropy, hxe, soft_labels
from ncjax.losses.hierarchical import hxe_coefficients
from tests.losses.trees import CIFAR, TREES, UNEVEN, draw, softmax
from tests.thin import thin

# airplane, automobile, cat, frog with the logits 0.3 i - 1
LABELS = jnp.array([0, 1, 3, 6])


LOGITS = jnp.tile(0.3 * jnp.arange(10) - 1, (4, 1))


def literal_hxe(tree, logits, labels, alpha, weighting, normalise=False):
    """The sum over the edges, as it is written in the paper."""
    p, below = softmax(logits), tree.ancestors()  # [K, M]
    order = tree.heights if weighting == "height" else tree.depths
    weights = np.exp(-alpha * order)
    if normalise:
        weights = weights / (weights[1:].sum() + 1)
    values = []
    for row, label in zip(p, labels, strict=True):
        node, value = tree.leaves[label], 0.0
        while tree.parents[node] >= 0:
            parent = tree.parents[node]
            ratio = row[below[:, node]].sum() / row[below[:, parent]].sum()
            value -= weights[node] * np.log(ratio)
            node = parent
        values.append(value)
    return np.array(values)


@pytest.mark.parametrize(
    ("alpha", "want"),
    [
        (0.0, [3.999156, 3.699156, 3.099156, 2.199156]),
        (0.1, [3.879888, 3.527134, 2.933051, 2.066900]),
        (0.5, [3.583243, 3.065121, 2.497998, 1.737953]),
        (1.0, [3.430237, 2.779818, 2.243444, 1.568286]),
    ],
)
def test_hxe_reference_values(alpha, want):
    got = hxe(LOGITS, LABELS, hierarchy=CIFAR, alpha=alpha)
    np.testing.assert_allclose(got, want, atol=2e-6)


@pytest.mark.parametrize(
    ("beta", "want"),
    [
        (1.0, [2.78752, 2.69697, 2.660953, 2.605699]),
        (4.0, [3.602016, 3.12189, 2.785524, 2.354416]),
        (10.0, [3.991946, 3.614231, 3.030888, 2.202651]),
    ],
)
def test_soft_label_reference_values(beta, want):
    got = soft_labels(LOGITS, LABELS, hierarchy=CIFAR, beta=beta)
    np.testing.assert_allclose(got, want, atol=2e-6)


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
@pytest.mark.parametrize("weighting", ["height", "depth"])
@pytest.mark.parametrize("normalise", thin([False, True], keep={1}))
def test_hxe_is_the_sum_over_edges(tree, weighting, normalise):
    logits, labels = draw(tree)
    want = literal_hxe(tree, logits, labels, 0.7, weighting, normalise)
    with jax.enable_x64(True):
        got = hxe(
            jnp.asarray(logits),
            jnp.asarray(labels),
            hierarchy=tree,
            alpha=0.7,
            weighting=weighting,
            normalise=normalise,
        )
        np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
@pytest.mark.parametrize("weighting", thin(["height", "depth"], keep={0}))
def test_hxe_without_alpha_is_cross_entropy(tree, weighting):
    logits, labels = draw(tree)
    logits, labels = jnp.asarray(logits, jnp.float32), jnp.asarray(labels)

    def value_and_grad(loss):
        return jax.value_and_grad(lambda z: loss(z, labels).mean())(logits)

    got = value_and_grad(
        lambda z, y: hxe(z, y, hierarchy=tree, alpha=0.0, weighting=weighting)
    )
    want = value_and_grad(cross_entropy)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-6)
    np.testing.assert_allclose(got[1], want[1], atol=1e-7)


@pytest.mark.parametrize("weighting", ["height", "depth"])
def test_hxe_of_huge_gaps(weighting):
    # All the mass on class 0, the label elsewhere: every edge where the paths differ
    # costs its weight times the gap, and the others nothing.
    for label in range(1, 10):
        logits = jnp.zeros((1, 10)).at[0, 0].set(1e4)
        value, grad = jax.value_and_grad(
            lambda z, y=label: hxe(
                z, jnp.array([y]), hierarchy=CIFAR, alpha=0.5, weighting=weighting
            ).sum()
        )(logits)
        order = CIFAR.heights if weighting == "height" else CIFAR.depths
        lca = [a for a in CIFAR.lineage[:, label] if a in CIFAR.lineage[:, 0]][-1]
        child = CIFAR.lineage[CIFAR.depths[lca] + 1, label]
        np.testing.assert_allclose(value, np.exp(-0.5 * order[child]) * 1e4, rtol=1e-3)
        assert np.isfinite(grad).all()
        np.testing.assert_allclose(grad.sum(), 0, atol=1e-6)


def test_hxe_is_convex_with_heights_and_not_with_depths():
    tree = BUILTIN["cifar10"]()
    rng = np.random.default_rng(0)
    a, b = (jnp.asarray(5 * rng.normal(size=(5000, 10))) for _ in range(2))
    labels = jnp.asarray(rng.integers(0, 10, 5000))
    for weighting, convex in (("height", True), ("depth", False)):

        def loss(z, weighting=weighting):
            return hxe(z, labels, hierarchy=tree, alpha=1.0, weighting=weighting)

        excess = loss((a + b) / 2) - (loss(a) + loss(b)) / 2
        assert (float(excess.max()) <= 1e-5) == convex


def test_hxe_coefficients_sum_to_the_weight_of_the_leaf():
    for tree in TREES.values():
        for weighting in ("height", "depth"):
            table = hxe_coefficients(tree, 0.7, weighting)
            order = tree.heights if weighting == "height" else tree.depths
            np.testing.assert_allclose(
                table.sum(0), np.exp(-0.7 * order[tree.leaves]), rtol=1e-12
            )


@pytest.mark.parametrize("distance", ["height", "depth"])
def test_soft_labels_literally_and_their_limits(distance):
    logits, labels = draw(UNEVEN)
    z, y = jnp.asarray(logits, jnp.float32), jnp.asarray(labels)
    log_p = np.log(softmax(logits))

    def ours(beta, **options):
        return soft_labels(
            z, y, hierarchy=UNEVEN, beta=beta, distance=distance, **options
        )

    targets = np.exp(-3 * UNEVEN.distances(distance))
    targets /= targets.sum(1, keepdims=True)
    want = -(targets[labels] * log_p).sum(1)
    np.testing.assert_allclose(ours(3.0), want, rtol=1e-5)
    entropy = -(targets * np.log(targets)).sum(1)[labels]
    divergence = ours(3.0, subtract_entropy=True)
    np.testing.assert_allclose(divergence, want - entropy, rtol=1e-4, atol=1e-6)
    # At the target itself the divergence is 0: the least value.
    least = soft_labels(
        jnp.log(jnp.asarray(targets, jnp.float32)),
        jnp.arange(6),
        hierarchy=UNEVEN,
        beta=3.0,
        distance=distance,
        subtract_entropy=True,
    )
    np.testing.assert_allclose(least, 0, atol=1e-6)
    np.testing.assert_allclose(ours(0.0), -log_p.mean(1), rtol=1e-5)
    np.testing.assert_allclose(ours(1e4), cross_entropy(z, y), rtol=1e-5, atol=1e-6)


def test_soft_labels_of_huge_gaps():
    logits = jnp.array([[1e4] + 9 * [0.0]])
    loss = soft_labels(logits, jnp.array([3]), hierarchy=CIFAR, beta=4.0)
    targets = np.exp(-4 * CIFAR.distances()[3])
    want = 1e4 * (1 - targets[0] / targets.sum())
    np.testing.assert_allclose(loss, [want], rtol=1e-6)


def test_a_tree_of_another_size():
    for loss in (soft_labels, hxe):
        with pytest.raises(ValueError, match="tree has 10 classes, the logits 7"):
            loss(jnp.zeros((1, 7)), jnp.zeros(1, jnp.int32), hierarchy=CIFAR)
