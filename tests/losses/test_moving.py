"""The alpha of HXE that follows the run or is learned: values, weights, theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from ncjax.hierarchy import balanced
from ncjax.hierarchy.hxe import hxe_optimum
from ncjax.losses import hxe
from ncjax.losses.moving import hxe_alpha
from tests.losses.trees import CIFAR, TREES, draw


def learned(tree, weighting, logits, labels):
    """The mean loss that a learned alpha is trained on, by alpha."""
    moving = hxe_alpha(tree, weighting=weighting, learn_alpha=True)

    def value(alpha):
        each = hxe(logits, labels, hierarchy=tree, alpha=alpha, weighting=weighting)
        return moving.factor(alpha) * each.mean()

    return value


def by_edge(tree, weighting, logits, labels):
    """Level and mean loss of each edge of the path of each example, literally."""
    order = tree.heights if weighting == "height" else tree.depths
    p, below = np.exp(logits), tree.ancestors()
    levels, losses = [], []
    for row, label in zip(p, labels, strict=True):
        node = tree.leaves[label]
        while (parent := tree.parents[node]) >= 0:
            levels.append(order[node])
            losses.append(
                -np.log(row[below[:, node]].sum() / row[below[:, parent]].sum())
            )
            node = parent
    return np.array(levels), np.array(losses)


def test_a_schedule_goes_from_the_start_to_the_end():
    linear = hxe_alpha(alpha=0.7, alpha_end=0.1, alpha_schedule="linear")
    cosine = hxe_alpha(alpha=0.7, alpha_end=0.1, alpha_schedule="cosine")
    shares = (0.0, 0.25, 0.5, 1.0)
    np.testing.assert_allclose([linear.at(t) for t in shares], [0.7, 0.55, 0.4, 0.1])
    half = 0.7 - 0.6 * (1 - np.sqrt(0.5)) / 2
    want = [0.7, half, 0.4, 0.1]
    np.testing.assert_allclose([cosine.at(t) for t in shares], want, rtol=1e-6)
    assert cosine.at(jnp.float32(1)) == np.float32(0.1)
    assert linear.option == "alpha"
    assert linear.factor is None
    assert hxe_alpha(alpha=0.7) is None


@pytest.mark.parametrize("weighting", ["height", "depth"])
@pytest.mark.parametrize("name", TREES)
def test_the_weights_of_all_edges_have_a_geometric_mean_of_1(name, weighting):
    tree = TREES[name]
    labels = np.arange(tree.num_classes)
    logits = np.zeros((len(labels), tree.num_classes))
    levels, losses = by_edge(tree, weighting, logits, labels)
    for alpha in (-0.4, 0.0, 1.5):
        weights = np.exp(-alpha * (levels - levels.mean()))
        np.testing.assert_allclose(np.log(weights).mean(), 0, atol=1e-12)
        want = (weights * losses).sum() / len(labels)
        value = learned(tree, weighting, jnp.zeros(logits.shape), jnp.asarray(labels))
        np.testing.assert_allclose(value(alpha), want, rtol=1e-5)
        np.testing.assert_allclose(jax.jit(value)(alpha), want, rtol=1e-5)


def test_it_is_the_weighting_by_uncertainty_without_its_common_factor():
    """Kendall's log-variances s = b + alpha level, with b and alpha free."""
    tree = CIFAR
    logits, _ = draw(tree, 60)
    labels = np.arange(60) % 10  # each class as often: the mean level is the tree's
    levels, losses = by_edge(tree, "height", logits, labels)

    def kendall(free):
        s = free[0] + free[1] * levels
        return np.mean(np.exp(-s) * losses + s / 2)

    best = optimize.minimize(kendall, np.zeros(2), tol=1e-12).x
    value = learned(tree, "height", jnp.float32(logits), jnp.asarray(labels))
    slope = jax.jit(jax.grad(value))
    assert slope(best[1] - 0.01) < 0 < slope(best[1] + 0.01)
    assert abs(slope(best[1])) < 1e-4
    # Convex: the slope rises from end to end.
    assert np.all(np.diff([slope(a) for a in np.linspace(-4, 4, 17).tolist()]) > 0)


@pytest.mark.parametrize(
    ("weighting", "shape"),
    [("height", [2, 2, 2]), ("height", [3, 5]), ("depth", [2, 2, 2])],
)
def test_in_the_unconstrained_model_alpha_has_no_rest_at_vanishing_decay(
    weighting, shape
):
    tree, height, c = balanced(shape), len(shape), 1e-5
    level = np.arange(height) if weighting == "height" else height - np.arange(height)
    mean = level.mean()

    def least(alpha):  # factor (HXE + c/factor |Z|_*)
        factor = np.exp(alpha * mean)
        return factor * hxe_optimum(tree, alpha, c / factor, weighting).objective

    found = (least(0.5 + 1e-3) - least(0.5 - 1e-3)) / 2e-3
    meet = np.diff([1, *np.cumprod(shape[::-1])])  # classes that meet at each level
    want = -c * ((level - mean) * meet).sum()
    np.testing.assert_allclose(found, want, rtol=1e-3)
    assert np.sign(want) == (-1 if weighting == "height" else 1)


def test_the_best_alpha_of_the_unconstrained_model_gives_the_coarsest_level_up():
    tree, c = balanced([2, 2, 2]), 1e-4

    def optimum(alpha):
        return hxe_optimum(tree, alpha, c / np.exp(alpha))

    values = [np.exp(a) * optimum(a).objective for a in np.arange(0, 6.5, 0.5)]
    best = int(np.argmin(values)) / 2
    assert 2 <= best <= 4
    assert optimum(0.0).rank == 7
    assert optimum(best).rank == 6  # the two halves have merged


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha_schedule": "step"}, "'step'. Available: constant, linear, cosine"),
        ({"alpha_end": 1.0}, "alpha_end must be 0 unless .* 'linear' or 'cosine', got"),
        (
            {"alpha_schedule": "linear", "alpha_end": float("inf")},
            "alpha_end must be finite, got inf",
        ),
        ({"learn_alpha": True, "alpha": float("nan")}, "alpha must be finite, got nan"),
        ({"learn_alpha": True, "normalise": True}, "excludes loss.normalise = True"),
        (
            {"learn_alpha": True, "alpha_schedule": "linear"},
            "excludes loss.alpha_schedule = 'linear'.* Leave one of the two",
        ),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        hxe_alpha(CIFAR, **options)
