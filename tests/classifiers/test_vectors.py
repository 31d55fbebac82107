"""Fixed class vectors: published values, closed forms, the root by siblings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.classifiers import CLASSIFIERS
from ncjax.classifiers.vectors import frame_gram, sibling_vectors, symmetric_root
from ncjax.hierarchy import Hierarchy, balanced
from ncjax.losses import haframe, label_embedding
from tests.losses.trees import CIFAR, UNEVEN, draw, softmax
from tests.thin import thin


def test_label_embedding_is_the_cholesky_factor_rotated():
    classifier = CLASSIFIERS["label_embedding"](10, hierarchy=CIFAR)
    fixed, vectors = classifier.vectors, classifier.vectors.rows
    published = np.linalg.cholesky(1 - CIFAR.distances().astype(np.float64))
    rotation = np.linalg.solve(published, vectors)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(10), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(vectors @ vectors.T, 1 - CIFAR.distances(), atol=1e-6)
    np.testing.assert_allclose(
        np.linalg.eigvalsh(vectors @ vectors.T),
        [1 / 3] * 4 + [2 / 3] * 2 + [0.81282, 0.90836, 2.18718, 3.42497],
        atol=1e-5,
    )
    at_target = jnp.asarray(5 * vectors, jnp.float32)
    labels = jnp.arange(10)
    np.testing.assert_allclose(
        label_embedding(at_target, labels, vectors=fixed), 0, atol=1e-6
    )
    np.testing.assert_array_equal(classifier.scores(at_target).argmax(1), labels)
    # 1 - cosine to another class is its distance in the tree.
    shifted = label_embedding(at_target, (labels + 1) % 10, vectors=fixed)
    want = CIFAR.distances()[np.arange(10), (np.arange(10) + 1) % 10]
    np.testing.assert_allclose(shifted, want, atol=1e-6)


@pytest.mark.parametrize(
    ("gamma", "least", "cosines"),
    [
        (3.0, -0.255912, (0.2061, -0.0859, -0.1934)),
        (5.0, -0.157017, (0.0615, -0.1157, -0.1492)),
    ],
)
def test_haframe_minimum_in_closed_form(gamma, least, cosines):
    gram = frame_gram(CIFAR, gamma)
    got = gram[3, [5, 6, 0]]  # cat and dog, frog, airplane
    np.testing.assert_allclose(got, cosines, atol=5e-5)
    far = np.exp(-gamma)
    np.testing.assert_allclose((gram[3, 0] - far) / (1 - far), least, atol=1e-6)
    values = np.linalg.eigvalsh(gram)
    np.testing.assert_allclose(values[0], 0, atol=1e-12)  # no smaller m is possible
    np.testing.assert_allclose(np.diag(gram), 1, atol=1e-12)
    frame = symmetric_root(gram)
    np.testing.assert_allclose(frame @ frame.T, gram, atol=1e-7)


@pytest.mark.parametrize("gamma", thin([0.3, 3.0, 50.0], keep={1}))
@pytest.mark.parametrize(
    "tree",
    [
        CIFAR,
        UNEVEN,
        balanced((7,)),
        balanced((2, 2, 2)),
        balanced((3, 4, 5)),
        # Many siblings, classes under the root and an only child, not in tree order.
        Hierarchy(
            ["root", "x", "y", "z", *"abcdefghijkl"],
            [-1, 0, 1, 1, *[2] * 6, 3, *[0] * 3, 1, 1],
            classes=list("lcaebdkfhgij"),
        ),
    ],
    ids=["cifar10", "uneven", "7", "2x2x2", "3x4x5", "shuffled"],
)
def test_root_by_siblings_is_the_symmetric_root(tree, gamma):
    gram = frame_gram(tree, gamma)
    root = sibling_vectors(gram, tree)
    np.testing.assert_allclose(root.rows @ root.rows.T, gram, atol=1e-12)
    np.testing.assert_allclose(root.rows, symmetric_root(gram), atol=1e-6)
    outputs, labels = draw(tree)
    want = outputs @ symmetric_root(gram)
    got = root.apply(jnp.asarray(outputs, jnp.float32))
    np.testing.assert_allclose(got, want, atol=2e-5)
    # The loss as it is written, with the frame that the run saves as its classifier.
    make = CLASSIFIERS["haframe"]
    classifier = make(tree.num_classes, hierarchy=tree, frame_gamma=gamma)
    frame = classifier.vectors.rows
    np.testing.assert_allclose(classifier.weights({})[0], frame, atol=1e-7)
    logits = outputs @ frame.T
    cosines = logits / np.linalg.norm(outputs, axis=1, keepdims=True)
    matching = ((cosines - gram[labels]) ** 2).sum(1)
    entropy = -np.log(softmax(logits)[np.arange(len(labels)), labels])
    got = haframe(
        jnp.asarray(outputs, jnp.float32),
        jnp.asarray(labels),
        vectors=classifier.vectors,
    )
    np.testing.assert_allclose(got, entropy + matching, rtol=1e-5, atol=1e-5)


def test_root_by_siblings_takes_fewer_products():
    tree = balanced((10, 10, 10))
    root = sibling_vectors(frame_gram(tree, 3.0), tree)
    rows = jnp.ones((1, 1000))
    (cost,) = [jax.jit(root.apply).lower(rows).compile().cost_analysis()]
    assert cost["flops"] < 0.5 * 2 * 1000**2


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("haframe", {"frame_gamma": 0.0}, "frame_gamma must be above 0"),
        ("haframe", {"distance": "edges"}, "'edges'. Available: height, depth"),
        ("label_embedding", {"distance": "edges"}, "Unknown distance 'edges'"),
    ],
)
def test_bad_options_of_classifiers(name, options, message):
    with pytest.raises(ValueError, match=message):
        CLASSIFIERS[name](10, hierarchy=CIFAR, **options)
    with pytest.raises(ValueError, match="tree has 10 classes, the classifier 7"):
        CLASSIFIERS[name](7, hierarchy=CIFAR)
