"""Networks: sizes, features, the classifier, blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.models import MODELS, classifier, layer_outputs, mlp, resnet18
from ncjax.models.resnet import ResNet


def count(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


def shapes(model, shape):
    return jax.eval_shape(
        lambda key: model.init(key, jnp.zeros((1, *shape)), train=False),
        jax.random.key(0),
    )


def test_resnet18_has_the_published_number_of_parameters():
    assert count(shapes(resnet18(10), (32, 32, 3))["params"]) == 11_173_962


def test_resnet18_width_and_input():
    assert count(shapes(resnet18(10), (28, 28, 1))["params"]) == 11_173_962 - 2 * 576
    variables = shapes(resnet18(10, width=0.25), (32, 32, 3))
    assert variables["params"]["classifier"]["kernel"].shape == (128, 10)


def test_mlp_sizes():
    variables = shapes(mlp(10, widths=(7, 5)), (4, 4, 1))
    assert count(variables["params"]) == 17 * 7 + 14 + 8 * 5 + 10 + 6 * 10
    bare = shapes(mlp(10, widths=(7, 5), batch_norm=False), (4, 4, 1))
    assert "batch_stats" not in bare
    assert count(bare["params"]) == 17 * 7 + 8 * 5 + 6 * 10


@pytest.mark.parametrize(
    ("name", "train"), [*((name, False) for name in MODELS), ("mlp", True)]
)
def test_logits_are_the_classifier_of_the_features(name, train):
    small = {"mlp": {"widths": (16, 8)}, "resnet18": {"width": 1 / 16}}
    model = MODELS[name](3, **small[name])
    init, apply = (
        jax.jit(model.init, static_argnums=2),
        jax.jit(model.apply, static_argnames=("train", "mutable")),
    )
    images = jax.random.normal(jax.random.key(0), (4, 8, 8, 2))
    variables = init(jax.random.key(1), images, False)
    (logits, features), _ = apply(
        variables, images, train=train, mutable=("batch_stats",)
    )
    weight, bias = classifier(variables["params"])
    assert weight.shape == (3, features.shape[1])
    assert bias.shape == (3,)
    np.testing.assert_allclose(logits, features @ weight.T + bias, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_computes_with_float32_parameters(name):
    model = MODELS[name](3, dtype=jnp.bfloat16)
    variables = shapes(model, (8, 8, 1))
    assert {x.dtype for x in jax.tree.leaves(variables["params"])} == {
        jnp.dtype(jnp.float32)
    }
    assert {x.dtype for x in jax.tree.leaves(variables["batch_stats"])} == {
        jnp.dtype(jnp.float32)
    }
    logits, features = jax.eval_shape(
        lambda v, x: model.apply(v, x, train=False), variables, jnp.zeros((2, 8, 8, 1))
    )
    assert logits.dtype == features.dtype == jnp.bfloat16


def test_layer_outputs():
    model = ResNet(3, blocks=(1, 1), width=4)
    images = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
    variables = jax.jit(model.init, static_argnums=2)(jax.random.key(1), images, False)
    logits, features, blocks = layer_outputs(model, variables, images)
    assert [*blocks][:2] == ["01_stem", "02_stage1_block1"]
    assert sorted(blocks) == [*blocks]
    assert len(blocks) == 3
    np.testing.assert_array_equal(features, blocks["03_stage2_block1"])
    np.testing.assert_array_equal(logits, model.apply(variables, images, False)[0])
    flat = layer_outputs(model, variables, images, "flatten")[2]
    assert flat["01_stem"].shape == (2, 8 * 8 * 4)
    np.testing.assert_allclose(
        flat["01_stem"].reshape(2, 64, 4).mean(1), blocks["01_stem"], atol=1e-6
    )


def test_bad_sizes():
    with pytest.raises(ValueError, match="at least one width"):
        mlp(3, widths=())
    with pytest.raises(ValueError, match=r"at least 1, got \(4, 0\)"):
        mlp(3, widths=(4, 0))
    with pytest.raises(ValueError, match=r"leave at least 1, got 0\.001"):
        resnet18(3, width=0.001)
