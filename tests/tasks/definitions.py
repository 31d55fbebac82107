"""The metrics of several tasks from their definitions, in NumPy and float64."""

import numpy as np


def problem(sizes=(3, 4, 2), n=500, d=12, noise=0.3, mean=5.0, seed=0):
    """Features that are sums of a vector for each task, noise; labels correlated."""
    rng = np.random.default_rng(seed)
    labels = np.stack([rng.integers(0, k, n) for k in sizes], 1).astype(np.int32)
    for task, k in enumerate(sizes[1:], 1):
        labels[: n // 3, task] = labels[: n // 3, 0] % k
    vectors = [rng.normal(size=(k, d)) for k in sizes]
    features = sum(v[labels[:, t]] for t, v in enumerate(vectors))
    features = features + noise * rng.normal(size=(n, d)) + mean
    return np.float32(features), labels, rng.normal(size=(sum(sizes), d))


def one_hot(labels, sizes):
    return np.concatenate([np.eye(k)[labels[:, t]] for t, k in enumerate(sizes)], 1)


def not_sum(features, labels, sizes, others=None):
    """Share of the variance outside of the least squares fit; of other examples too."""
    features, table = np.float64(features), one_hot(labels, sizes)
    mean = features.mean(0)
    about = np.linalg.lstsq(table, features - mean, rcond=None)[0]
    if others is not None:
        features, table = np.float64(others[0]), one_hot(others[1], sizes)
    centred = features - mean
    return np.sum((centred - table @ about) ** 2) / np.sum(centred**2)


def class_means(features, labels, k):
    features = np.float64(features)
    means = np.stack([features[labels == c].mean(0) for c in range(k)])
    return means - means.mean(0)


def cross_task(vectors):
    """All |cosines| between class vectors of different tasks."""
    units = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in vectors]
    return np.concatenate(
        [np.abs(a @ b.T).ravel() for i, a in enumerate(units) for b in units[i + 1 :]]
    )


def nc1(features, labels, k):
    """(1/K) tr(Sigma_W pinv(Sigma_B)) of one task."""
    features = np.float64(features)
    means = class_means(features, labels, k)
    raw = np.stack([features[labels == c].mean(0) for c in range(k)])
    within = (features - raw[labels]).T @ (features - raw[labels]) / len(features)
    return np.trace(within @ np.linalg.pinv(means.T @ means / k, rcond=1e-10)) / k
