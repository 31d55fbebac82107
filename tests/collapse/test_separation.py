"""CDNV and signal to noise: definitions, and their relation to NC1."""

import numpy as np

from ncjax import collapse
from tests.collapse.problems import moments_of, simplex

# Each metric of the module by its definition, for tests/collapse/test_measure.py.
REFERENCES = {
    "cdnv": lambda x: np.mean(x.cdnv()),
    "snr": lambda x: np.mean(1 / (2 * x.cdnv())),
}


def test_nc1_and_cdnv_at_a_simplex(x64):
    """NC1 <= 2 CDNV, (K-1)/K trace ratio; equal if Sigma_W lies in the span."""
    k, d, n = 5, 8, 7
    rng = np.random.default_rng(0)
    means, labels = simplex(k, d), np.repeat(np.arange(k), n)
    noise = 0.1 * rng.normal(size=(k, n, d))
    noise -= noise.mean(1, keepdims=True)
    inside = noise @ means.T @ np.linalg.pinv(means.T)
    for deviations, equal in [(noise, False), (inside, True)]:
        features = means[labels] + deviations.reshape(-1, d)
        got = collapse.measure(
            moments_of(features, labels), only=("nc1", "cdnv", "trace_ratio")
        )
        np.testing.assert_allclose(
            2 * got["cdnv"], (k - 1) / k * got["trace_ratio"], rtol=1e-10
        )
        slack = 2 * got["cdnv"] - got["nc1"]
        assert abs(slack) < 1e-13 if equal else slack > 1e-3
