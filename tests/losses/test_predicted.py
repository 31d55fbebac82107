"""The geometry that theory predicts for each loss, and for fixed class vectors."""

import numpy as np

from ncjax.classifiers import CLASSIFIERS
from ncjax.gram import centred_gram
from ncjax.hierarchy import balanced
from ncjax.losses import GEOMETRY
from ncjax.losses.predicted import frame_limit, limit_values
from tests.losses.trees import CIFAR


def test_predicted_gram_matrices():
    grams = {name: geometry(CIFAR) for name, geometry in GEOMETRY.items()}
    for name in ("label_embedding", "haframe"):
        vectors = CLASSIFIERS[name](10, hierarchy=CIFAR).vectors
        grams[name] = centred_gram(vectors.gram)
    for name, gram in grams.items():
        np.testing.assert_allclose(gram.sum(0), 0, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(gram, gram.T, atol=1e-12)
        assert np.linalg.eigvalsh(gram)[0] > -1e-6
    values = np.linalg.eigvalsh(GEOMETRY["soft_labels"](CIFAR))
    want = [0, *4 * [1 / 3], *2 * [2 / 3], 0.820678, 0.951252, 2.694737]
    np.testing.assert_allclose(values, want, atol=1e-6)


def test_lengths_of_means_with_fixed_vectors():
    """By hand: the first two vectors have an inner product of 1/2, the third has 0."""
    gram = np.eye(3) + np.array([[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]])
    lengths = np.diag([2, 2, 1])
    want = centred_gram(lengths @ gram @ lengths)
    np.testing.assert_allclose(frame_limit("haframe", gram), want)
    np.testing.assert_allclose(frame_limit("label_embedding", gram), centred_gram(gram))


def test_what_metrics_are_in_the_limit():
    tree = balanced(2, 2)
    simplex = limit_values(GEOMETRY["cross_entropy"](tree), tree)
    np.testing.assert_allclose(simplex["nc/nc2"], 0, atol=1e-12)
    np.testing.assert_allclose(simplex["tree/sibling_cosine"], -1 / 3)
    bent = limit_values(GEOMETRY["soft_labels"](tree), tree)
    np.testing.assert_allclose(bent["nc/gram_to_tree"], 0, atol=1e-12)
    np.testing.assert_allclose(bent["nc/nc2"], simplex["nc/gram_to_tree"])
    # D is 0, 1/2, 1 and its mean 5/8, so that -P D P is 5/8 - D.
    np.testing.assert_allclose(bent["tree/sibling_cosine"], 1 / 5)
