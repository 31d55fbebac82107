"""Made-up features and a last layer for the tests of measurements."""

import numpy as np
import pytest

N, K, D = 600, 5, 12


def clusters(n=N, k=K, d=D, std=0.8, seed=0, dtype=np.float32):
    """Features [n, d] about k means, labels [n], a last layer W [k, d], b [k]."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(k, d))
    labels = rng.integers(0, k, n).astype(np.int32)
    labels[:k] = np.arange(k)
    features = means[labels] + std * rng.normal(size=(n, d))
    classifier = means - means.mean(0) + 0.1 * rng.normal(size=(k, d))
    bias = -0.5 * (means**2).sum(1) + 0.1 * rng.normal(size=k)
    return features.astype(dtype), labels, classifier.astype(dtype), bias.astype(dtype)


FEATURES, LABELS, W, B = clusters()


nan = FEATURES.copy()


nan[[17, 300]] = np.nan


def in_numpy(features, labels, classifier, bias):
    """NC1 to NC4 and the accuracies, in float64, class by class."""
    x, w, b = (np.asarray(a, np.float64) for a in (features, classifier, bias))
    k = len(w)
    means = np.stack([x[labels == c].mean(0) for c in range(k)])
    within = sum(
        (x[labels == c] - means[c]).T @ (x[labels == c] - means[c]) for c in range(k)
    ) / len(x)
    centred = means - means.mean(0)
    between = centred.T @ centred / k
    simplex = (np.eye(k) - 1 / k) / np.sqrt(k - 1)

    def distance(gram):
        return np.linalg.norm(gram / np.linalg.norm(gram) - simplex)

    nearest = ((x[:, None] - means) ** 2).sum(-1).argmin(1)
    decided = (x @ w.T + b).argmax(1)
    return {
        "nc1": np.trace(within @ np.linalg.pinv(between, rcond=1e-9)) / k,
        "nc2": distance(centred @ centred.T),
        "nc3": distance(w @ centred.T),
        "nc4": np.mean(nearest != decided),
        "ncc_accuracy": np.mean(nearest == labels),
        "accuracy": np.mean(decided == labels),
    }


def assert_close(values, expected, rtol=1e-4):
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, rel=rtol, abs=1e-6), name


def simplex():
    """Collapsed features [n, d], their labels [n], and the class means [K, d]."""
    frame = np.zeros((K, D), np.float32)
    frame[:, :K] = 8 * np.eye(K) - 8 / K
    return np.repeat(frame, N // K, axis=0), np.repeat(np.arange(K), N // K), frame


def save_npz(path, **changes):
    arrays = {"features": FEATURES, "labels": LABELS, "classifier": W, "bias": B}
    np.savez(path, **{k: v for k, v in (arrays | changes).items() if v is not None})
    return str(path)
