"""The metrics of sets of labels as they are defined, in float64 NumPy, set by set."""

import itertools

import numpy as np


def problem(n=400, k=5, d=12, seed=0, spread=0.1, mean=1.0, largest=3):
    """Features near scaled sums of class vectors, sets of labels, a classifier."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(k, d))
    labels = np.zeros((n, k), bool)
    for row in labels:
        row[rng.choice(k, rng.integers(1, largest + 1), replace=False)] = True
    sizes = labels.sum(1)
    features = labels @ vectors * np.array([0, 1, 0.8, 0.7])[sizes][:, None]
    features += spread * rng.normal(size=(n, d)) + mean * rng.normal(size=d)
    return features, labels, rng.normal(size=(k, d))


def degrees(a, b):
    """The angle of two vectors."""
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    return np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))


def means(features, labels):
    """Mean feature of each set that occurs: frozenset of labels -> [d]."""
    found = {}
    for h, row in zip(features, labels):
        found.setdefault(frozenset(np.flatnonzero(row).tolist()), []).append(h)
    return {of: np.mean(rows, 0) for of, rows in found.items()}


def angles(features, labels, centred=True, wrong="others"):
    """Mean angle of the means of two labels to the right sums, and to wrong ones."""
    of = means(features, labels)
    k = labels.shape[1]
    known = [
        frozenset(pair)
        for pair in itertools.combinations(range(k), 2)
        if all(frozenset([j]) in of for j in pair)
    ]
    sums = {s: sum(of[frozenset([j])] for j in s) for s in known}
    there = [s for s in known if s in of]
    own = {s: of[s] for s in there}
    if centred:
        middle = np.mean([own[s] for s in there], 0)
        own = {s: x - middle for s, x in own.items()}
        middle = np.mean([sums[s] for s in there], 0)
        sums = {s: x - middle for s, x in sums.items()}
    right = [degrees(own[s], sums[s]) for s in there]
    others = [
        degrees(own[s], sums[t])
        for s in there
        for t in (known if wrong == "all" else there)
        if wrong == "all" or s != t
    ]
    scale = sum(own[s] @ sums[s] for s in there)
    scale /= sum(sums[s] @ sums[s] for s in there)
    return np.mean(right), np.mean(others), scale


def unexplained(features, labels):
    """Share of the variance of features of several labels beside multiples of sums."""
    of, sizes = means(features, labels), labels.sum(1)
    left = total = 0.0
    for m in np.unique(sizes[sizes > 1]):
        h, own = features[sizes == m], labels[sizes == m]
        sums = np.array(
            [sum(of[frozenset([j])] for j in np.flatnonzero(x)) for x in own]
        )
        h, sums = h - h.mean(0), sums - sums.mean(0)
        scale = np.sum(h * sums) / np.sum(sums**2)
        left += np.sum((h - scale * sums) ** 2)
        total += np.sum(h**2)
    return left / total


def variability(features, labels):
    """Variance within sets of two labels over that between their means."""
    of, two = means(features, labels), labels.sum(1) == 2
    own = [of[frozenset(np.flatnonzero(x).tolist())] for x in labels[two]]
    within = np.mean(np.sum((features[two] - own) ** 2, 1))
    between = np.array([x for s, x in of.items() if len(s) == 2])
    return within / np.mean(np.sum((between - between.mean(0)) ** 2, 1))
