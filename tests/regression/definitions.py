"""The metrics of regression collapse as papers write them, in float64 NumPy."""

import numpy as np
from scipy.optimize import minimize_scalar


def problem(n=400, d=12, t=3, seed=0, spread=0.1, mean=1.0):
    """Features near t directions, targets, a classifier and its outputs."""
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=(n, t)) @ rng.normal(size=(t, t)) + rng.normal(size=t)
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0][:t]
    features = targets @ rng.normal(size=(t, t)) @ axes
    features += spread * rng.normal(size=(n, d)) + mean * rng.normal(size=d)
    classifier = rng.normal(size=(t, d))
    return features, targets, classifier


def basis(features, t, centred=True):
    """The first t principal directions [t, d], by the SVD of the features."""
    rows = features - features.mean(0) if centred else features
    return np.linalg.svd(rows, full_matrices=False)[2][:t]


def distances(features, axes):
    """Squared distance of each feature to the span of orthonormal axes."""
    return ((features - features @ axes.T @ axes) ** 2).sum(1)


def of_span(features, axes):
    """NRC of one span by all definitions."""
    centred = features - features.mean(0)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    moved = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    return {
        "": distances(centred, axes).sum() / (centred**2).sum(),
        "_raw": distances(features, axes).mean(),
        "_unit": distances(unit, axes).mean(),
        "_unit_centred": distances(moved, axes).mean(),
    }


def root_of(targets):
    values, vectors = np.linalg.eigh(np.cov(targets.T, bias=True))
    return (vectors * np.sqrt(values)) @ vectors.T, np.sqrt(values)


def nrc3(classifier, targets, gamma):
    root, _ = root_of(targets)
    shape = root - np.sqrt(gamma) * np.eye(len(root))
    gram = classifier @ classifier.T
    return (
        np.linalg.norm(gram / np.linalg.norm(gram) - shape / np.linalg.norm(shape)) ** 2
    )


def least_nrc3(classifier, targets):
    """By a search over sqrt(gamma) in 0..the least eigenvalue of S."""
    least = root_of(targets)[1][0]
    found = minimize_scalar(
        lambda g: nrc3(classifier, targets, g**2),
        bounds=(0, least),
        method="bounded",
        options={"xatol": 1e-12},
    )
    ends = [(nrc3(classifier, targets, g**2), g) for g in (0.0, least)]
    return min((found.fun, found.x), *ends)


def cka(features, targets):
    h, y = features - features.mean(0), targets - targets.mean(0)
    cross = np.linalg.norm(h.T @ y) ** 2
    return cross / (np.linalg.norm(h.T @ h) * np.linalg.norm(y.T @ y))


def alignment(features, classifier):
    axes = basis(features, len(classifier))
    rows = np.linalg.qr(classifier.T)[0]
    return np.linalg.svd(axes @ rows, compute_uv=False).mean()


def least_squares(features, targets):
    best = features @ np.linalg.pinv(features, rcond=1e-3) @ targets
    return ((targets - best) ** 2).mean()


def r2(outputs, targets):
    return 1 - ((targets - outputs) ** 2).sum() / (
        ((targets - targets.mean(0)) ** 2).sum()
    )
