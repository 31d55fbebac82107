"""The geometry that theory predicts for each loss, and for fixed class vectors."""

import numpy as np

from ncjax.classifiers import CLASSIFIERS
from ncjax.gram import centred_gram
from ncjax.losses import GEOMETRY
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
