"""The ordinal classifier: thresholds that stay in order, its scores and its rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.classifiers import LAYER, OF_DATA
from ncjax.classifiers.ordinal import OrdinalLayer, ordinal
from ncjax.losses import OUTPUTS
from ncjax.ordinal import of_rows
from tests.losses.trees import CIFAR

FEATURES = jnp.asarray(np.random.default_rng(0).normal(size=(6, 5)), jnp.float32)


def made(**options):
    classifier = ordinal(4, **options)
    layer = classifier.layer(name=LAYER)
    outputs, variables = layer.init_with_output(jax.random.key(0), FEATURES)
    return classifier, outputs, {"params": {LAYER: variables.get("params", {})}}


@pytest.mark.parametrize("learned", [False, True])
def test_outputs_are_z_and_the_thresholds(learned):
    given = (-2.0, 1.0, 1.5)
    options, wanted = ({"thresholds": given}, given) if learned else ({}, (-4, 0, 4))
    classifier, outputs, variables = made(learn_thresholds=learned, **options)
    kernel = variables["params"][LAYER]["kernel"]
    np.testing.assert_allclose(outputs[:, 0], FEATURES @ kernel[:, 0], rtol=1e-5)
    np.testing.assert_allclose(outputs[:, 1:], np.tile(wanted, (6, 1)), rtol=1e-5)
    direction, cuts = of_rows(*classifier.weights(variables))
    np.testing.assert_allclose(direction, kernel[:, 0], rtol=1e-5)
    np.testing.assert_allclose(cuts, wanted, rtol=1e-5)
    assert jax.eval_shape(classifier.scores, outputs).shape == (6, 4)
    names = {"kernel", "first", "gaps"} if learned else {"kernel"}
    assert variables["params"][LAYER].keys() == names


def test_learned_thresholds_are_in_order_whatever_is_learned():
    layer = OrdinalLayer((-4.0, 0.0, 4.0, 8.0), learn=True)
    for gaps in (-300.0, -5.0, 0.0, 20.0):
        params = {"kernel": jnp.ones((5, 1)), "first": jnp.array([7.0])}
        params["gaps"] = jnp.full(3, gaps)
        outputs = layer.apply({"params": params}, FEATURES)
        assert (np.diff(outputs[0, 1:]) > 9e-4).all(), gaps


def test_thresholds_learn_and_half_precision_keeps_them():
    layer = OrdinalLayer((-4.03, 0.0, 4.03), learn=True, dtype=jnp.bfloat16)
    variables = layer.init(jax.random.key(0), FEATURES)
    outputs = layer.apply(variables, FEATURES)
    assert outputs.dtype == jnp.float32
    np.testing.assert_allclose(outputs[0, 1:], [-4.03, 0, 4.03], atol=1e-5)
    grad = jax.grad(lambda v: layer.apply(v, FEATURES)[:, 1:].sum())(variables)
    assert all(np.all(grad["params"][name] != 0) for name in ("first", "gaps"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thresholds": (2.0, 1.0, 3.0)}, r"increase, got \(2\.0, 1\.0, 3\.0\)"),
        ({"thresholds": (1.0,)}, "must be 3 numbers for 4 levels, got 1"),
        ({"gap": 0.0}, "gap must be more than 0 and finite"),
        ({"gap": 1e-4, "learn_thresholds": True}, r"gap must be more than 0\.001"),
        ({"outputs": OUTPUTS["cascade"](CIFAR)}, "other outputs than a latent number"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ordinal(4, **options)
    assert "ordinal" in OF_DATA
