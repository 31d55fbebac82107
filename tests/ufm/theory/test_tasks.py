"""Several tasks in closed form, beside certified optima."""

import math

import numpy as np
import pytest

from ncjax import ufm
from ncjax.ufm.theory.tasks import (
    binary_pair_optimum,
    independent_optimum,
    limit_cosine,
    paired_counts,
)


def solved(counts, lambda_w, lambda_h, **options):
    """The optimum, which is certified."""
    problem = ufm.tasks(counts, lambda_w=lambda_w, lambda_h=lambda_h, **options)
    found = ufm.solve(problem, 0)
    assert ufm.bounds(problem, found.params).gap <= 1e-9
    return float(found.objective), {k: np.asarray(v) for k, v in found.params.items()}


@pytest.mark.parametrize("decay", [3e-2, pytest.param(1e-3, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("sizes", "weights", "bias"),
    [
        ((3, 3), (), None),
        pytest.param((2, 4), (1.0, 2.5), 0.0, marks=pytest.mark.slow),
        pytest.param((3, 2, 2), (), None, marks=pytest.mark.slow),
    ],
)
def test_independent_tasks(sizes, weights, bias, decay):
    counts = np.full(sizes, 72 / math.prod(sizes))
    want = independent_optimum(sizes, 72.0, decay, decay / 3, weights)
    value, params = solved(
        counts, decay, decay / 3, task_weights=weights, lambda_b=bias
    )
    assert value == pytest.approx(want.objective, abs=1e-12)
    gram = params["W"] @ params["W"].T
    np.testing.assert_allclose(gram, want.classifier_gram, atol=1e-8)
    assert want.regime == f"{len(sizes)} of {len(sizes)} tasks kept"
    assert np.linalg.matrix_rank(gram, tol=1e-6) == sum(sizes) - len(sizes)
    # A feature is a sum of a vector for each task.
    labels = np.argwhere(counts)
    hot = [np.eye(k)[labels[:, t]] for t, k in enumerate(sizes)]
    table = np.concatenate(hot, axis=1)
    fit = table @ np.linalg.lstsq(table, params["H"], rcond=None)[0]
    np.testing.assert_allclose(params["H"], fit, atol=1e-9)


def edges(samples, sizes):
    """Decays lW = lH at which each task vanishes: lW lH = w^2 / (N K)."""
    return [1 / math.sqrt(samples * k) for k in sizes]


def test_where_a_task_vanishes():
    at = edges(64.0, (2, 4))
    assert at[0] > at[1]  # the task of four classes vanishes first
    for decay, regime in (
        (0.99 * at[1], "2 of 2 tasks kept"),
        (1.01 * at[1], "1 of 2 tasks kept; task 1 vanished"),
        (1.01 * at[0], "0 of 2 tasks kept; task 0, 1 vanished"),
    ):
        assert independent_optimum((2, 4), 64.0, decay, decay).regime == regime
    # Authors with the sum over samples and no 1/2 have lW lH < N / (4 K): f/N then has
    # 2/N of their decays.
    theirs = at[1] * 64 / 2
    assert theirs**2 == pytest.approx(64 / (4 * 4))


@pytest.mark.slow
def test_a_task_vanishes_alone():
    samples, sizes = 64.0, (2, 4)
    edge = edges(samples, sizes)[1]
    for factor, gone in ((0.99, False), (1.01, True)):
        counts = np.full(sizes, samples / 8)
        _, params = solved(counts, factor * edge, factor * edge)
        norms = [np.linalg.norm(params["W"][p]) for p in (slice(2), slice(2, 6))]
        assert norms[0] > 0.1
        assert (norms[1] < 1e-3) == gone


@pytest.mark.parametrize("correlation", [0.0, 0.3, -0.6, 0.9])
@pytest.mark.parametrize("decay", [1e-3, 0.08, 0.2, 1.0])
def test_two_binary_tasks(correlation, decay):
    own, samples, weight = 1 + correlation, 40.0, 1.5
    counts = np.array([[own, 2 - own], [2 - own, own]]) / 4 * samples
    want = binary_pair_optimum(correlation, samples, decay, decay / 2, weight)
    options = {"task_weights": (weight, weight)}
    value, params = solved(counts, decay, decay / 2, **options)
    assert value == pytest.approx(want.objective, abs=1e-12)
    gram = params["W"] @ params["W"].T
    np.testing.assert_allclose(gram, want.classifier_gram, atol=1e-8)
    if np.isnan(want.cosine):
        assert "nothing" in want.regime
        assert np.abs(gram).max() < 1e-8
        return
    cosine = gram[0, 2] / math.sqrt(gram[0, 0] * gram[2, 2])
    assert want.cosine == pytest.approx(cosine, abs=1e-8)
    h = params["H"]  # labels (0, 0), (0, 1), (1, 0), (1, 1)
    means = [counts[0, 0] * h[0] + counts[0, 1] * other for other in (h[1], h[2])]
    inner = means[0] @ means[1] / math.prod(map(np.linalg.norm, means))
    assert want.mean_cosine == pytest.approx(inner, abs=1e-8)
    # The rarer of agreement and difference vanishes first.
    rare = 1 - abs(correlation)
    merged = decay**2 / 2 >= weight**2 * rare / (2 * samples)
    assert (abs(want.cosine) == 1) == merged
    assert ("and" in want.regime) != merged


def test_independent_and_binary_agree():
    one = independent_optimum((2, 2), 40.0, 0.01, 0.02)
    two = binary_pair_optimum(0.0, 40.0, 0.01, 0.02)
    assert one.objective == pytest.approx(two.objective, abs=1e-14)
    np.testing.assert_allclose(one.classifier_gram, two.classifier_gram, atol=1e-12)
    assert two.cosine == two.mean_cosine == 0


def test_the_limit_of_vanishing_decay():
    """Extrapolated in 1 / log(decay), in which the approach is straight."""
    for of_means in (False, True):
        key = "mean_cosine" if of_means else "cosine"
        found = [
            getattr(binary_pair_optimum(0.5, 100.0, 10.0**-x, 10.0**-x), key)
            for x in (20, 40)
        ]
        limit = limit_cosine(0.5, of_means=of_means)
        assert found[0] > found[1] > limit
        assert 2 * found[1] - found[0] == pytest.approx(limit, abs=2e-4)


@pytest.mark.slow
def test_the_limit_is_that_of_more_classes_too():
    found = []
    for decay in (1e-5, 1e-9):
        _, params = solved(paired_counts(3, 0.5, 100.0), decay, decay)
        rows = params["W"].reshape(2, 3, -1)
        one, other = rows[0, 0], rows[1, 0]
        found.append(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    logs = [1 / math.log(1e5), 1 / math.log(1e9)]
    slope = (found[0] - found[1]) / (logs[0] - logs[1])
    assert found[0] > found[1] > limit_cosine(0.5)
    assert found[1] - slope * logs[1] == pytest.approx(limit_cosine(0.5), abs=0.01)


def test_paired_counts():
    counts = paired_counts(4, 0.3, 80.0)
    assert counts.sum() == pytest.approx(80)
    np.testing.assert_allclose(counts.sum(0), 20)
    hot = np.eye(4)
    cov = np.einsum("ij,ia,jb->ab", counts / 80, hot - 1 / 4, hot - 1 / 4)
    np.testing.assert_allclose(np.diag(cov), 0.3 * (1 / 4 - 1 / 16))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: binary_pair_optimum(1.0, 4.0, 0.1, 0.1), "between -1 and 1, got 1.0"),
        (lambda: binary_pair_optimum(0.0, 4.0, 0.0, 0.1), "lambda_w must be finite"),
        (lambda: independent_optimum((2, 1), 4.0, 0.1, 0.1), "at least 2 classes of"),
        (lambda: independent_optimum((2, 2), 4.0, 0.1, 0.1, (1.0,)), "1 weights for 2"),
        (lambda: limit_cosine(2.0), "between -1 and 1, got 2.0"),
        (lambda: paired_counts(2, -0.1), r"in 0\.\.1, got -0.1"),
        (lambda: paired_counts(1, 0.1), "num_classes must be at least 2"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
