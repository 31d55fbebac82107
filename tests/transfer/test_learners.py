"""Classifiers that learn from a few examples, against scikit-learn."""

import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.transfer.learners import LEARNERS

C, N, D = 5, 12, 8
rng = np.random.default_rng(3)
CENTRES = rng.normal(size=(C, 1, D))
FEATURES = jnp.float32(CENTRES + rng.normal(size=(C, N, D)) * 0.7)


def nearest(support, queries):
    means = support.mean(1)
    return -((queries[:, None] - means[None]) ** 2).sum(2)


def ridge(support, queries):
    from sklearn.linear_model import Ridge

    rows = support.reshape(-1, D)
    centred = rows - rows.mean(0)
    targets = np.repeat(np.eye(C), support.shape[1], axis=0)
    penalty = 1e-3 * (centred**2).sum() / len(rows)
    return Ridge(alpha=penalty).fit(rows, targets).predict(queries)


def linear(support, queries):
    from sklearn.linear_model import LogisticRegression

    rows = support.reshape(-1, D)
    middle = rows.mean(0)
    size = np.sqrt(((rows - middle) ** 2).sum(1).mean())
    labels = np.repeat(np.arange(C), support.shape[1])
    model = LogisticRegression(C=1 / (1e-2 * len(rows)), tol=1e-10, max_iter=10_000)
    model.fit((rows - middle) / size, labels)
    return model.decision_function((queries - middle) / size)


TWINS = {"nearest_mean": nearest, "linear": linear, "ridge": ridge}


@pytest.mark.parametrize(("name", "twin"), TWINS.items())
def test_learners_are_their_definitions(name, twin):
    support, queries = FEATURES[:, :4], FEATURES[:, 4:].reshape(-1, D)
    found = LEARNERS[name](support, queries)
    expected = twin(np.asarray(support, float), np.asarray(queries, float))
    a, b = (np.asarray(x) - np.mean(x, 1, keepdims=True) for x in (found, expected))
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    assert TWINS.keys() == LEARNERS.keys()


def test_logistic_regression_of_equal_examples_and_of_any_scale():
    """Without a direction all classes are as likely; a power of 2 changes nothing."""
    support, queries = FEATURES[:, :4], FEATURES[:, 4:].reshape(-1, D)
    same = LEARNERS["linear"](jnp.ones((C, 2, D)), queries)
    np.testing.assert_allclose(np.ptp(same, axis=1), 0, atol=1e-6)
    found = LEARNERS["linear"](support, queries)
    for scale in (2.0**-40, 2.0**40):
        scaled = LEARNERS["linear"](scale * support, scale * queries)
        np.testing.assert_allclose(scaled, found, rtol=1e-5, atol=1e-5)
