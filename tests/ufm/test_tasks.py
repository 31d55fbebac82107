"""The unconstrained-features model of several tasks, and the optimum of a network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import ufm
from ncjax.losses.tasks import sum_of_tasks
from ncjax.ufm.match import match_loss
from ncjax.ufm.run.task_frames import not_sum
from ncjax.ufm.tasks import class_gram, cross_cosine, tasks_path
from ncjax.ufm.theory.tasks import binary_pair_optimum, paired_counts

COUNTS = np.array([[3.0, 0.0, 2.0], [1.0, 4.0, 2.0]])  # one combination has none


def test_its_loss_is_that_of_training():
    problem = ufm.tasks(COUNTS, lambda_w=0.1, lambda_h=0.1, task_weights=(2.0, 0.5))
    assert (problem.num_rows, problem.num_outputs) == (5, 5)
    logits = np.random.default_rng(0).normal(size=(5, 5))
    labels = jnp.asarray(np.argwhere(COUNTS))
    with jax.enable_x64(True):
        want = sum_of_tasks(
            jnp.asarray(logits), labels, tasks=(2, 3), task_weights=(2.0, 0.5)
        )
        np.testing.assert_allclose(problem.fit.losses(logits), want, rtol=1e-12)
        assert bool(problem.fit.is_convex())


@pytest.mark.slow
def test_any_counts_are_certified():
    problem = ufm.tasks(COUNTS, lambda_w=0.02, lambda_h=0.01, lambda_b=0.0)
    found = ufm.solve(problem, 0)
    assert ufm.certify(problem, found.params).verdict.startswith("global optimum")
    twin = ufm.solve_convex(problem)
    assert float(found.objective) == pytest.approx(float(twin.objective), abs=1e-9)


@pytest.mark.slow
def test_the_optimum_of_a_loss():
    """Two binary tasks: the same as the closed form at the decay that is found."""
    counts = paired_counts(2, 0.5, 400.0)
    path = tasks_path(counts, c_range=(1e-3, 1e-1))
    match = match_loss(path, 0.05)
    assert match.state == "inside"
    c = match.c  # of combinations that count as one sample on average, 4 in all
    want = binary_pair_optimum(0.5, 4.0, c, c)
    gram = match.optimum.classifier_gram
    assert cross_cosine(gram, (2, 2)) == pytest.approx(want.cosine, abs=1e-6)
    means = class_gram(match.optimum.gram, counts)
    assert cross_cosine(means, (2, 2)) == pytest.approx(want.mean_cosine, abs=1e-6)


def test_grams_of_class_means_and_their_cosines():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(5, 7))
    labels, mass = np.argwhere(COUNTS), COUNTS[COUNTS > 0]
    means = [
        np.average(features[labels[:, t] == k], axis=0, weights=mass[labels[:, t] == k])
        for t, k in ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2))
    ]
    found = class_gram(features @ features.T, COUNTS)
    np.testing.assert_allclose(found, np.array(means) @ np.array(means).T)
    first, second = np.array(means[:2]), np.array(means[2:])
    first, second = first - first.mean(0), second - second.mean(0)
    cosines = (
        first
        @ second.T
        / np.outer(np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1))
    )
    want = np.abs(cosines).mean()
    assert cross_cosine(found, (2, 3)) == pytest.approx(want)
    assert np.isnan(cross_cosine(0 * found, (2, 3)))
    table = np.concatenate([np.eye(2)[labels[:, 0]], np.eye(3)[labels[:, 1]]], 1)
    assert not_sum(table, COUNTS) == pytest.approx(0, abs=1e-14)
    assert not_sum(features, COUNTS) > 0.01
    assert np.isnan(not_sum(0 * features, COUNTS))


@pytest.mark.parametrize(
    ("counts", "options", "message"),
    [
        (np.ones((2, 1)), {}, r"shape \(2, 1\); an axis for each task"),
        (np.array([[1.0, -1.0], [1.0, 1.0]]), {}, "finite and at least 0"),
        (np.array([[1.0, 0.0], [1.0, 0.0]]), {}, "class 1 of task 1. Leave the class"),
        (COUNTS, {"task_weights": (1.0,)}, "1 weights for 2 tasks"),
        (COUNTS, {"lambda_w": 0.0}, "lambda_w must be finite and more than 0"),
    ],
)
def test_bad_input(counts, options, message):
    with pytest.raises(ValueError, match=message):
        ufm.tasks(counts, **{"lambda_w": 0.1, "lambda_h": 0.1} | options)
