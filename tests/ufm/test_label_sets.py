"""The model of sets of labels: its losses, its weights, what binary losses do."""

import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import losses, ufm
from ncjax.ufm.label_sets import label_sets, sets_of
from ncjax.ufm.theory.pick_all_label import label_threshold

PER_SET = (10, 3)
DECAYS = {"lambda_w": 1e-2, "lambda_h": 1e-2}


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("loss", ["pick_all_label", "bce"])
def test_the_fit_is_the_loss_that_networks_train(loss, average):
    problem = label_sets(5, PER_SET, **DECAYS, loss=loss, average_labels=average)
    labels = sets_of(5, PER_SET)
    assert labels.sum(1).tolist() == [1] * 5 + [2] * 10
    logits = np.random.default_rng(0).normal(size=labels.shape)
    function = losses.LOSSES[loss]
    wanted = function(jnp.asarray(logits), jnp.asarray(labels), average_labels=average)
    np.testing.assert_allclose(problem.fit.losses(logits), wanted, rtol=1e-5)
    np.testing.assert_allclose(problem.weights, [10 / 80] * 5 + [3 / 80] * 10)
    rows = np.array([7, 2])
    taken = problem.fit.take(rows).losses(logits[rows])
    np.testing.assert_allclose(taken, wanted[rows], rtol=1e-5)


@pytest.mark.parametrize("lambda_b", [0.0, pytest.param(None, marks=pytest.mark.slow)])
def test_binary_losses_make_sums_too_about_a_mean_of_each_size(lambda_b):
    problem = label_sets(5, PER_SET, **DECAYS, loss="bce", lambda_b=lambda_b)
    solution = ufm.solve(problem, 0)
    assert ufm.certify(problem, solution.params).bounds.gap <= 1e-9
    labels, features = sets_of(5, PER_SET), np.asarray(solution.params["H"])
    sizes = labels.sum(1)
    one, two = features[sizes == 1], features[sizes == 2]
    apart = np.linalg.norm(one.mean(0) - two.mean(0))
    assert apart > 0.05  # so what is centred must be centred by the number of labels
    one, two = one - one.mean(0), two - two.mean(0)
    sums = labels[sizes == 2] @ one
    scale = np.sum(two * sums) / np.sum(sums**2)
    np.testing.assert_allclose(two, scale * sums, atol=1e-8)
    gram = one @ one.T
    simplex = gram[0, 0] * (np.eye(5) - 0.2) / 0.8
    np.testing.assert_allclose(gram, simplex, atol=1e-8)


@pytest.mark.parametrize("factor", [0.95, 1.05])
def test_binary_losses_have_the_threshold_of_pick_all_label(factor):
    mu = factor * label_threshold(5, PER_SET)
    problem = label_sets(5, PER_SET, lambda_w=mu, lambda_h=mu, loss="bce", lambda_b=0.0)
    solution = ufm.solve(problem, 0)
    labels = sets_of(5, PER_SET)
    logits = np.asarray(solution.params["H"] @ solution.params["W"].T)
    spread = max(np.ptp(z[own]) for z, own in zip(logits, labels))
    inside = np.mean(logits[labels]) - np.mean(logits[~labels])
    assert spread < 1e-6
    assert (abs(inside) < 1e-6) == (factor > 1)


def test_bad_input_is_refused():
    with pytest.raises(
        ValueError, match=r"Unknown loss of sets 'mse'\. Available: pick"
    ):
        label_sets(5, PER_SET, **DECAYS, loss="mse")
    with pytest.raises(ValueError, match="lambda_w must be finite"):
        label_sets(5, PER_SET, lambda_w=0, lambda_h=1)
    with pytest.raises(ValueError, match="Unknown loss 'bce'"):
        ufm.Problem.create("bce", num_classes=3, **DECAYS)
