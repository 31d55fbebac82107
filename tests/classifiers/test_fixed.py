"""Fixed vectors on the features themselves: what is saved, seen and decided."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ncjax
from ncjax.classifiers import LAYER, fixed
from ncjax.config import ConfigError, default, validate
from ncjax.data import Dataset
from ncjax.data.dataset import Split
from ncjax.losses import label_embedding
from ncjax.training.network import Network
from ncjax.training.parameters import saved_parameters

RNG = np.random.default_rng(0)


def test_the_features_are_the_outputs():
    classifier = fixed(4, norm=3.0)
    features = jnp.asarray(RNG.normal(size=(6, 7)), jnp.float32)
    layer = classifier.layer()
    variables = layer.init(jax.random.key(0), features)
    assert set(variables) == {"batch_stats"}  # nothing is learned
    outputs = layer.apply(variables, features)
    np.testing.assert_array_equal(outputs, features)
    held = {"batch_stats": {LAYER: variables["batch_stats"]}}
    weights, bias = classifier.weights(held)
    np.testing.assert_allclose(
        classifier.scores(outputs), features @ weights.T, atol=1e-5
    )
    assert not bias.any()
    gram = 9 * 4 / 3 * (np.eye(4) - 1 / 4)
    np.testing.assert_allclose(weights @ weights.T, gram, atol=1e-5)
    np.testing.assert_allclose(classifier.vectors.gram, gram, atol=1e-12)
    other = fixed(4, norm=3.0, rotation=1).vectors.at(7)
    assert not np.allclose(other, classifier.vectors.at(7))


def test_losses_see_all_of_a_feature():
    """The cosine is that of the whole feature, not of its part along the frame."""
    vectors = fixed(3).vectors
    rows = vectors.at(5)
    features, labels = RNG.normal(size=(6, 5)), np.arange(6) % 3
    cosine = np.sum(features * rows[labels], 1) / np.linalg.norm(features, axis=1)
    got = label_embedding(
        jnp.asarray(features, jnp.float32), jnp.asarray(labels), vectors=vectors
    )
    np.testing.assert_allclose(got, 1 - cosine, atol=1e-6)


def small(**options):
    config = default()
    config.num_epochs = 2
    config.model.widths = (16, 10)
    config.data.examples_per_class = 20
    config.data.test_examples_per_class = 5
    config.batch_size = 50
    config.eval.num_points = 2
    config.classifier.name = "fixed"
    config.classifier.update(options)
    return config


def run(config):
    return ncjax.train(config, None, devices=jax.devices()[:1], progress=False)


def test_bad_input_is_refused_before_anything_compiles(tmp_path):
    np.save(tmp_path / "nine.npy", np.eye(9))
    cases = [
        ({"target": "cube"}, r"config\.classifier: Unknown target 'cube'"),
        ({"target": "vectors", "file": str(tmp_path / "nine.npy")}, "has 9 vectors"),
        ({"norm": -1.0}, "norm must be positive and finite"),
    ]
    for options, message in cases:
        with pytest.raises(ConfigError, match=message):
            run(small(**options))
    narrow = small(target="orthogonal")
    narrow.model.widths = (16, 9)
    with pytest.raises(
        ConfigError, match="span 10 dimensions, and the features have 9"
    ):
        run(narrow)
    tree = small(target="tree")
    tree.hierarchy.name = "none"
    with pytest.raises(ConfigError, match="'tree' needs a class tree"):
        run(tree)
    bare = small()
    bare.hierarchy.name = "none"
    validate(bare)  # a simplex needs none


@pytest.mark.slow
def test_cross_entropy_on_a_fixed_simplex():
    """Features turn to the frame: NC3 falls, though no weight learns; what is saved."""
    config = small()
    config.num_epochs = 30
    rows = run(config).rows
    assert rows[-1]["nc/nc3"] < 0.5 * rows[0]["nc/nc3"]
    assert rows[-1]["nc/gram_to_limit"] < rows[0]["nc/gram_to_limit"]
    np.testing.assert_allclose(rows[-1]["nc/nc2_w"], 0, atol=1e-6)


@pytest.mark.slow
def test_parameters_that_are_saved():
    """ResNet-18 with as many features as classes: 20.7 % fewer than usually."""
    images = np.zeros((20, 32, 32, 3), np.uint8)
    split = Split(images, np.arange(20, dtype=np.int32) % 10)
    dataset = Dataset("ten", train=split, test=split, class_names=tuple("abcdefghij"))
    config = default()
    config.batch_size = 20
    config.hierarchy.name = "none"
    config.model.name, config.model.feature_dim = "resnet18", 10
    config.classifier.name = "fixed"
    number, usual = saved_parameters(Network(validate(config), dataset))
    assert usual == 11_173_962
    assert 1 - number / usual == pytest.approx(0.2070, abs=1e-3)
    config.classifier.name = "spherical"
    assert saved_parameters(Network(validate(config), dataset)) is None
