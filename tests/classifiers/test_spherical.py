"""Classifiers on the sphere: lengths that do not count, temperatures, running means."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.classifiers import LAYER, class_means, fixed, nearest, spherical
from ncjax.models import mlp

FEATURES = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
LABELS = jnp.arange(12) % 3


def applied(classifier, features, variables=None, **options):
    """Logits, and all variables in the form of a network."""
    layer, features = classifier.layer(), jnp.asarray(features)
    if variables is None:
        variables = layer.init(jax.random.key(0), features)
    logits, new = layer.apply(variables, features, mutable=["batch_stats"], **options)
    held = {"params": {}, "batch_stats": {}} | variables | new
    return logits, {part: {LAYER: held[part]} for part in held}


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_only_directions_count():
    classifier = spherical(3, temperature=0.25)
    logits, variables = applied(classifier, FEATURES)
    rows = unit(variables["params"][LAYER]["kernel"].T)
    np.testing.assert_allclose(logits, 4 * unit(FEATURES) @ rows.T, atol=1e-5)
    longer = {"params": {"kernel": 7 * variables["params"][LAYER]["kernel"]}}
    again, _ = applied(classifier, 1e4 * FEATURES, longer)
    np.testing.assert_allclose(again, logits, atol=1e-5)
    weights, bias = classifier.weights(variables)
    np.testing.assert_allclose(weights, 4 * rows, atol=1e-5)
    assert not bias.any()
    # A feature of 0 has no direction, and a gradient that is finite.
    slope = jax.grad(lambda x: applied(classifier, x, longer)[0].sum())
    assert np.isfinite(slope(jnp.zeros((2, 5)))).all()


def test_a_scale_is_one_over_the_temperature():
    by_scale, _ = applied(spherical(3, scale=5.0), FEATURES)
    by_temperature, _ = applied(spherical(3, temperature=0.2), FEATURES)
    np.testing.assert_array_equal(by_scale, by_temperature)


def test_a_learned_temperature():
    classifier = spherical(3, temperature=0.5, learn_temperature=True)
    logits, variables = applied(classifier, FEATURES)
    fixed, _ = applied(spherical(3, temperature=0.5), FEATURES)
    np.testing.assert_allclose(logits, fixed, rtol=1e-6)
    layer = variables["params"][LAYER] | {"log_temperature": jnp.log(4.0)}
    colder, _ = applied(classifier, FEATURES, {"params": layer})
    np.testing.assert_allclose(colder, logits / 4, rtol=1e-5)
    weights, _ = classifier.weights({"params": {LAYER: layer}})
    np.testing.assert_allclose(weights @ unit(FEATURES).T, colder.T, atol=1e-5)
    slope = jax.grad(
        lambda layer: (applied(classifier, FEATURES, {"params": layer})[0] ** 2).sum()
    )(layer)
    assert slope["log_temperature"] < 0  # warmer logits are smaller


def test_means_of_a_batch_without_a_gradient():
    classifier = class_means(3, momentum=0.5, temperature=1.0)
    _, before = applied(classifier, FEATURES)
    held = {"batch_stats": before["batch_stats"][LAYER]}
    logits, after = applied(classifier, FEATURES, held, train=True, labels=LABELS)
    old = np.asarray(before["batch_stats"][LAYER]["means"])
    np.testing.assert_allclose(np.linalg.norm(old, axis=1), 1, rtol=1e-5)
    sums = np.stack([unit(FEATURES)[k == LABELS].sum(0) for k in range(3)])
    want = unit(0.5 * old + 0.5 * sums)
    np.testing.assert_allclose(classifier.weights(after)[0], want, atol=1e-5)
    np.testing.assert_allclose(logits, unit(FEATURES) @ want.T, atol=1e-5)
    # Evaluation changes nothing, nor does a class of which the batch has no example.
    _, same = applied(classifier, FEATURES, held)
    jax.tree.map(np.testing.assert_array_equal, same, before)
    _, part = applied(classifier, FEATURES[:1], held, train=True, labels=LABELS[:1])
    found = part["batch_stats"][LAYER]["means"]
    np.testing.assert_allclose(found[1:], old[1:], atol=1e-6)

    def value(x, means):
        layer = classifier.layer()
        options = {"train": True, "labels": LABELS, "mutable": ["batch_stats"]}
        return (
            layer.apply({"batch_stats": {"means": means}}, x, **options)[0][0]
        ).sum()

    got = jax.grad(value)(jnp.asarray(FEATURES), old)
    assert not got[1:].any()  # other examples have moved the means, not by a gradient


def test_batches_of_several_devices_are_one():
    classifier = class_means(3, temperature=1.0)
    _, before = applied(classifier, FEATURES)
    held = {"batch_stats": before["batch_stats"][LAYER]}
    layer = classifier.layer(axis_name="data")

    def step(x, y):
        options = {"train": True, "labels": y, "mutable": ["batch_stats"]}
        return layer.apply(held, x, **options)[1]["batch_stats"]["means"]

    parts = jnp.asarray(FEATURES).reshape(4, 3, 5), LABELS.reshape(4, 3)
    found = jax.vmap(step, axis_name="data")(*parts)
    _, want = applied(classifier, FEATURES, held, train=True, labels=LABELS)
    for means in found:
        np.testing.assert_allclose(
            means, want["batch_stats"][LAYER]["means"], atol=1e-6
        )


def test_bad_options():
    for make, options, message in (
        (spherical, {"temperature": 0.0}, "temperature must be positive and finite"),
        (spherical, {"temperature": float("nan")}, "temperature must be positive"),
        (spherical, {"scale": -1.0}, "scale must be at least 0 and finite, got -1"),
        (spherical, {"temperature": 0.2, "scale": 7.0}, "are both given, but scale"),
        (class_means, {"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1"),
        (class_means, {"temperature": -1.0}, "temperature must be positive"),
    ):
        with pytest.raises(ValueError, match=message):
            make(3, **options)


def test_a_projection_makes_the_features():
    """Without a ReLU behind it: features of both signs, of its width."""
    images = jax.random.normal(jax.random.key(0), (6, 4, 4, 1))
    for make in (spherical, class_means, nearest, fixed):
        model = mlp(make(3, project=5), widths=(12,), batch_norm=False)
        variables = model.init(jax.random.key(1), images, train=False)
        assert variables["params"]["projection"]["kernel"].shape == (12, 5)
        _, features = model.apply(variables, images, train=False)
        assert features.shape == (6, 5)
        assert features.min() < 0 < features.max()
        with pytest.raises(ValueError, match=r"project must be in 0\.\.10\^6, got -1"):
            make(3, project=-1)
