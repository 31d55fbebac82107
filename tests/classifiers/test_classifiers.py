"""Classifiers by name: with every loss, and one that is made up, from its registry."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

import ncjax
from ncjax.classifiers import CLASSIFIERS, LAYER, Classifier
from ncjax.classifiers.spherical import unit_rows
from ncjax.config import ConfigError, default, resolved, validate
from ncjax.losses import cross_entropy
from ncjax.models import mlp
from ncjax.options import takes
from ncjax.ordinal import median_level
from ncjax.training.step import init_state, make_train_step
from tests.losses.trees import CIFAR

EMBEDDED = ("label_embedding", "haframe")
FOLLOWING = ("class_means", "nearest")  # their vectors move with each batch


def make(name, **options):
    given = {"hierarchy": CIFAR} if takes(CLASSIFIERS[name], "hierarchy") else {}
    return CLASSIFIERS[name](10, **given, **options)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_outputs_scores_and_weights_belong_together(name):
    classifier = make(name)
    model = mlp(classifier, widths=(12,), batch_norm=False)
    images = jax.random.normal(jax.random.key(0), (6, 4, 4, 1))
    variables = model.init(jax.random.key(1), images, train=False)
    del variables["layers"]
    outputs, features = model.apply(variables, images, train=False)
    (labelled, _), _ = model.apply(
        variables, images, train=True, labels=jnp.arange(6), mutable=["batch_stats"]
    )
    assert np.array_equal(labelled, outputs) == (name not in FOLLOWING)
    weights, bias = classifier.weights(variables)
    measured = {
        "features": features,
        "directions": unit_rows(features),
        "outputs": outputs,
    }[classifier.measured]
    assert weights.shape == (10, measured.shape[1])
    assert bias.shape == (10,)
    scores = classifier.scores(outputs)
    assert scores.shape == (6, 10)
    decided = measured @ weights.T + bias
    # The rows of an ordinal classifier decide for the median, not the mode.
    level = median_level(scores) if name == "ordinal" else scores.argmax(1)
    np.testing.assert_array_equal(level, decided.argmax(1))
    if name not in ("label_embedding", "ordinal"):  # whose scores are no products
        np.testing.assert_allclose(scores, decided, atol=1e-5)


@pytest.mark.parametrize("name", EMBEDDED)
def test_vectors_have_their_gram_matrix(name):
    for options in ({}, {"distance": "depth"}):
        vectors = make(name, **options).vectors
        rows = vectors.rows
        np.testing.assert_allclose(rows @ rows.T, vectors.gram, atol=1e-12)
        np.testing.assert_allclose(np.diag(vectors.gram), 1, atol=1e-12)
        outputs = jax.random.normal(jax.random.key(0), (3, 10))
        np.testing.assert_allclose(vectors.apply(outputs), outputs @ rows.T, atol=1e-5)


def small(loss, classifier="auto"):
    config = default()
    config.num_epochs = 3
    config.model.widths = (32, 24)
    config.data.examples_per_class = 30
    config.data.test_examples_per_class = 10
    config.batch_size = 60
    config.loss.name = loss
    config.classifier.name = classifier
    config.eval.num_points = 2
    return config


def run(config, workdir=None):
    return ncjax.train(config, workdir, devices=jax.devices()[:1], progress=False)


@pytest.mark.slow
def test_cross_entropy_on_a_fixed_frame():
    """A loss on class logits takes every classifier, which decides the geometry."""
    config = small("cross_entropy", "haframe")
    config.num_epochs = 10
    last = run(config).rows[-1]
    assert last["train/error"] < 0.3
    assert np.isfinite(last["nc/nc1"])
    assert "nc/gram_to_limit" in last


@pytest.mark.slow
def test_auto_is_the_classifier_that_the_loss_is_meant_for():
    pairs = {"haframe": "haframe", "label_embedding": "label_embedding"}
    for loss in ("haframe", "label_embedding"):
        named = run(small(loss, pairs[loss])).rows
        np.testing.assert_equal(run(small(loss)).rows, named)


@pytest.mark.parametrize(
    ("loss", "classifier", "message"),
    [
        ("haframe", "linear", "needs fixed class vectors, and .* 'linear' has none"),
        ("multi_level", "haframe", "takes other outputs than one score for each class"),
        ("mse", "nearest_frame", "classifier.name 'nearest_frame'. Available: auto, l"),
    ],
)
def test_what_does_not_fit(loss, classifier, message):
    with pytest.raises(ConfigError, match=message):
        run(small(loss, classifier))


def test_a_fixed_frame_needs_a_tree():
    config = small("cross_entropy", "haframe")
    config.hierarchy.name = "none"
    with pytest.raises(ConfigError, match="'haframe' needs a class tree"):
        run(config)


def test_an_option_of_another_classifier_is_refused():
    config = small("cross_entropy", "haframe")
    config.classifier.frame_gamma = 2.0
    validate(config)
    config.classifier.name = "linear"
    with pytest.raises(ConfigError, match=r"frame_gamma = 2\.0 has no effect"):
        validate(config)


class MeansLayer(nn.Module):
    """Logits h . m_k, with m_k means of the classes that follow the batches."""

    num_classes: int
    keep: float
    dtype: object = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, features, train=False, labels=None):
        shape = (self.num_classes, features.shape[-1])
        means = self.variable("batch_stats", "means", jnp.zeros, shape)
        if train and labels is not None:
            member = jax.nn.one_hot(labels, self.num_classes)
            count = jnp.maximum(member.sum(0)[:, None], 1)
            new = jax.lax.stop_gradient(member.T @ features / count)
            means.value = self.keep * means.value + (1 - self.keep) * new
        return features @ means.value.T


def means(num_classes, *, keep: float = 0.9):
    def weights(variables):
        rows = variables["batch_stats"][LAYER]["means"]
        return rows, jnp.zeros(len(rows))

    return Classifier(
        partial(MeansLayer, num_classes, keep), lambda outputs: outputs, weights
    )


@pytest.mark.slow
def test_a_classifier_of_class_means_needs_only_its_line(monkeypatch):
    """Without a gradient of its own: labels reach the layer, its means are measured."""
    monkeypatch.setitem(CLASSIFIERS, "means", means)
    config = small("cross_entropy", "means")
    config.num_epochs = 20
    config.classifier.keep = 0.5
    assert resolved(config)["classifier"] == {"name": "means", "keep": 0.5}
    last = run(config).rows[-1]
    assert last["train/error"] < 0.3
    for key in ("nc/nc1", "nc/nc3", "nc/nc4"):
        assert np.isfinite(last[key]), key
    assert last["nc/nc3"] < 0.8  # the weights are the means, though not centred


def test_the_means_of_a_step_are_those_of_its_batch():
    model = mlp(means(3, keep=0.0), widths=(8,))
    optimizer = optax.sgd(0.0)
    state = init_state(model, optimizer, jax.random.key(0), (4, 4, 1))
    images = jax.random.normal(jax.random.key(1), (30, 4, 4, 1))
    labels = jnp.arange(30) % 3
    step = make_train_step(model, cross_entropy, optimizer)
    state, _ = step(state, images, labels)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    (_, features), _ = model.apply(
        variables, images, train=True, labels=labels, mutable=["batch_stats"]
    )
    want = [np.mean(features[labels == k], axis=0) for k in range(3)]
    np.testing.assert_allclose(means(3).weights(variables)[0], want, atol=1e-6)
    assert LAYER not in state.params
