"""The Jensen gap against NumPy, by hand, at collapse, and which losses it is for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ncjax
from ncjax import ufm
from ncjax.classifiers import Setting
from ncjax.config import validate
from ncjax.config.binding import bind_objective
from ncjax.config.fields import choice
from ncjax.data import synthetic
from ncjax.evaluation import risk
from ncjax.evaluation.risk import Risk
from ncjax.losses import cross_entropy, losses_for, mse
from ncjax.training import experiment
from ncjax.training.network import Network
from tests.losses.trees import UNEVEN

CONVEX = {
    *("cross_entropy", "mse", "normface", "hardmax", "soft_labels", "hxe"),
    *("multi_level", "cascade"),
}
OTHERS = {"hace", "hier_cos", "label_embedding", "haframe", "dot_regression"}


take = jax.jit(Risk.update)


def seen(outputs, labels, loss, weights=None, num_classes=3):
    weights = jnp.ones(len(labels)) if weights is None else weights
    state = Risk.empty(num_classes, outputs.shape[1])
    return take(state, outputs, loss(outputs, labels), labels, weights)


def reference(outputs, labels, loss, num_classes):
    """The gap in float64, class by class."""
    each, total = np.full(num_classes, np.nan), 0.0
    for k in range(num_classes):
        own = outputs[labels == k].astype(np.float64)
        if len(own):
            each[k] = np.mean([loss(z, k) for z in own]) - loss(own.mean(0), k)
            total += len(own) * each[k]
    return total / len(labels), each


def test_squares_by_hand():
    """Of (1/2)|z - y|^2 it is half the variance within classes."""
    outputs, labels = jnp.array([[1.0, 0], [3, 0], [5, 5]]), jnp.array([0, 0, 2])
    gap = seen(outputs, labels, lambda z, y: mse(jnp.pad(z, ((0, 0), (0, 1))), y))
    gap = gap.gap(lambda z, y: mse(jnp.pad(z, ((0, 0), (0, 1))), y))
    assert gap.mean == pytest.approx((2 * 0.5 + 0) / 3)
    np.testing.assert_allclose(gap.each, [0.5, np.nan, 0], atol=1e-6)


def test_any_batches_any_order_and_padding():
    rng = np.random.default_rng(0)
    outputs = jnp.asarray(rng.normal(size=(40, 3)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, 2, 40))  # no example of class 2
    whole = seen(outputs, labels, cross_entropy)
    parts = [
        seen(outputs[s], labels[s], cross_entropy) for s in np.split(np.arange(40), 4)
    ]
    merged = parts[3].merge(parts[0]).merge(parts[2].merge(parts[1]))
    more = jnp.concatenate([outputs, 100 + outputs[:5]])
    weights = jnp.concatenate([jnp.ones(40), jnp.zeros(5)])
    padded = seen(more, jnp.concatenate([labels, labels[:5]]), cross_entropy, weights)

    def loss(z, k):
        return np.log(np.exp(z).sum()) - z[k]

    mean, each = reference(np.asarray(outputs), np.asarray(labels), loss, 3)
    for state in (whole, merged, padded):
        gap = state.gap(cross_entropy)
        np.testing.assert_allclose(gap.mean, mean, rtol=1e-4)
        np.testing.assert_allclose(gap.each, each, rtol=1e-4)
    assert np.isnan(Risk.empty(3, 3).gap(cross_entropy).mean)


def test_it_is_zero_where_theory_says_that_networks_end():
    """At a certified optimum of the unconstrained features nothing is to be gained.

    Whatever is added within classes with mean 0 makes the loss larger by the gap.
    """
    problem = ufm.Problem.create(num_classes=4, lambda_w=5e-3, lambda_h=5e-3)
    params = ufm.solve(problem, 0).params
    assert float(ufm.certify(problem, params).bounds.gap) < 1e-9
    best = np.asarray((params["W"] @ params["H"]).T, np.float32)
    noise = np.random.default_rng(0).normal(size=(4, 25, 4)).astype(np.float32)
    noise -= noise.mean(1, keepdims=True)
    labels = jnp.repeat(jnp.arange(4), 25)
    at_best = float(cross_entropy(jnp.asarray(best), jnp.arange(4)).mean())
    for scale in (0.0, 0.5):
        outputs = jnp.asarray(best[:, None] + scale * noise).reshape(100, 4)
        gap = seen(outputs, labels, cross_entropy, num_classes=4).gap(cross_entropy)
        more = float(cross_entropy(outputs, labels).mean()) - at_best
        assert float(gap.mean) == pytest.approx(more, abs=1e-6)
        assert (more > 0.01) == (scale > 0)


def bound(name, **options):
    config = ncjax.default()
    config.loss.update({"name": name, **options})
    parts = choice(config, "loss"), choice(config, "classifier")
    objective = bind_objective(*parts, UNEVEN, 6, Setting(lambda: 16))
    layer = objective.classifier.layer()
    outputs, _ = layer.init_with_output(jax.random.key(0), jnp.zeros((1, 16)))
    return objective.loss({}), outputs.shape[1]


@pytest.mark.parametrize("name", losses_for("class"))
def test_the_docstring_knows_which_losses_are_convex(name):
    if choice_of(name).takes("present"):
        assert f"`{name}`" in risk.__doc__.partition("compare")[2]
        return
    assert (name in CONVEX) != (name in OTHERS)
    assert least_gap(*bound(name)) > -1e-4 if name in CONVEX else True
    if name in OTHERS:
        assert least_gap(*bound(name)) < -0.01
    convex, _, rest = risk.__doc__.partition("It is not for")
    assert f"`{name}`" in (convex if name in CONVEX else rest)


def test_depth_weights_are_not_convex():
    assert least_gap(*bound("hxe", weighting="depth", alpha=1.0)) < -0.01


def choice_of(name):
    config = ncjax.default()
    config.loss.name = name
    return choice(config, "loss")


def least_gap(loss, size):
    """Least gap of two examples of a class, in units of their loss."""
    rng = np.random.default_rng(0)
    scales = np.repeat([0.1, 1, 5], 2000)[:, None]
    a, b = jnp.asarray(scales * rng.normal(size=(2, 6000, size)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, 6, 6000))
    first, second, middle = map(jax.jit(loss), (a, b, (a + b) / 2), [labels] * 3)
    gap = np.asarray(first + second) / 2 - middle
    return (gap / (1e-3 + np.abs(first))).min()


def test_too_many_classes_are_left_out(monkeypatch, capsys):
    assert Risk.empty(5000, 5000) is None
    assert Risk.empty(4096, 4096) is not None
    config = ncjax.default()
    config.hierarchy.name = "none"
    data = synthetic(num_classes=1100, dim=2, branching=1100, train_size_per_class=1)
    network = Network(validate(config), data)
    experiment._say_gap(network)
    assert not capsys.readouterr().err
    monkeypatch.setattr(experiment, "MOST", 10**6)
    experiment._say_gap(network)
    assert "1100 outputs for 1100 classes are more than" in capsys.readouterr().err


def test_losses_that_compare_have_none():
    config = ncjax.default()
    data = ncjax.data.load("digits")
    for name in ("cross_entropy", "ntce"):
        config.loss.name = name
        passes = Network(validate(config), data).passes(config.eval)
        assert passes.risk == (name == "cross_entropy")
