"""Metrics from their definitions, by loops over samples and classes, in float64.

The tests of a module say how each of its metrics follows from these: `REFERENCES`,
key -> function of `Definitions`.  `references` collects them, and so finds those of a
new metric in the metric's own test.
"""

import functools
import importlib
import itertools
import pkgutil

import numpy as np

from ncjax import collapse


def references():
    """Key -> function of `Definitions`, of all test modules of this folder."""
    found = {}
    for module in pkgutil.iter_modules(importlib.import_module(__package__).__path__):
        if module.name.startswith("test_"):
            tests = importlib.import_module(f"{__package__}.{module.name}")
            found |= getattr(tests, "REFERENCES", {})
    return found


def unit(x):
    """An array divided by its norm."""
    return x / np.linalg.norm(x)


def etf(a, b):
    """Distance of a b' [K, K] from the Gram matrix of a simplex."""
    k = len(a)
    return np.linalg.norm(unit(a @ b.T) - (np.eye(k) - 1 / k) / np.sqrt(k - 1))


def pairs(x):
    """All pairs of different rows, as unit vectors."""
    return [(unit(a), unit(b)) for a, b in itertools.combinations(x, 2)]


def cosines(x):
    """Cosines of all pairs of rows."""
    return np.array([a @ b for a, b in pairs(x)])


def distances(x):
    """Distances of all pairs of rows, taken to unit length."""
    return np.array([np.linalg.norm(a - b) for a, b in pairs(x)])


class Definitions:
    """Means and covariances of features [n, d], and a classifier W [K, d], b [K].

    mu_k are the class means, mu_g the global mean, m_k = mu_k - mu_g (in m0, mu_k minus
    the mean of class means), w the classifier, wc the same as the convention has it.
    """

    def __init__(self, features, labels, classifier, bias, convention=None):
        self.convention = c = convention or collapse.PRESETS["default"]
        self.h, self.labels = np.asarray(features, np.float64), labels
        self.w, self.bias = np.asarray(classifier, np.float64), bias
        self.k, (self.n, self.d) = len(self.w), self.h.shape
        classes = [self.h[labels == j] for j in range(self.k)]
        self.mu = np.stack([own.mean(0) for own in classes])
        self.share = np.array([len(own) / self.n for own in classes])
        self.variance = np.array(
            [
                np.mean(np.sum((own - mean) ** 2, 1))
                for own, mean in zip(classes, self.mu)
            ]
        )
        by_class = c.global_mean == "classes"
        self.mu_g = self.mu.mean(0) if by_class else self.h.mean(0)
        self.m, self.m0 = self.mu - self.mu_g, self.mu - self.mu.mean(0)
        self.wc = self.w - self.w.mean(0) if c.center_classifier else self.w
        self.rank = min(self.k - 1, self.d)
        self.divisor = self.k if c.divide_by_classes else 1

    @functools.cached_property
    def within(self):
        """Sigma_W [d, d]."""
        deviations = [x - self.mu[y] for x, y in zip(self.h, self.labels)]
        return sum(np.outer(x, x) for x in deviations) / self.n

    @functools.cached_property
    def between_rows(self):
        """Rows B [K, d] with Sigma_B = B'B."""
        equal = np.full(self.k, 1 / self.k)
        weights = equal if self.convention.between == "classes" else self.share
        return np.sqrt(weights)[:, None] * self.m

    @functools.cached_property
    def between(self):
        """Sigma_B [d, d]."""
        return sum(np.outer(row, row) for row in self.between_rows)

    @functools.cached_property
    def inverse(self):
        """Pseudo-inverse of Sigma_B [d, d], of its structural rank."""
        u, s, vt = np.linalg.svd(self.between)
        r = self.rank
        return (vt[:r].T / s[:r]) @ u[:, :r].T

    @functools.cached_property
    def rounding(self):
        """Covariance [d, d] that rounding to float64 gives features at the means."""
        ulp = np.finfo(np.float64).eps * 2.0 ** np.floor(np.log2(np.abs(self.mu)))
        return np.diag(self.share @ ulp**2) / 12

    def cdnv(self):
        """Class-distance normalised variance of all pairs of classes."""
        return np.array(
            [
                (self.variance[i] + self.variance[j])
                / (2 * np.sum((self.mu[i] - self.mu[j]) ** 2))
                for i, j in itertools.combinations(range(self.k), 2)
            ]
        )

    def nc2(self, x):
        """NC2 of rows."""
        if self.convention.row_normalise:
            x = np.stack([unit(row) for row in x])
        return etf(x, x)

    def equinorm(self, x):
        """Coefficient of variation of the norms of rows."""
        norms = [np.linalg.norm(row) for row in x]
        return np.std(norms, ddof=self.convention.ddof) / np.mean(norms)
