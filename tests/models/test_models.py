"""Networks: sizes, features, the classifier, blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ncjax.classifiers import linear
from ncjax.losses import cross_entropy
from ncjax.models import MODELS, layer_outputs, mlp, resnet18
from ncjax.models.densenet import DenseNet
from ncjax.models.resnet import ResNet
from ncjax.models.vgg import VGG
from ncjax.training.step import init_state, make_train_step
from tests.thin import thin

CONVOLUTIONAL = [name for name in MODELS if name != "mlp"]
SMALL = {
    "basic": ResNet(3, blocks=(1, 1), width=4),
    "bottleneck": ResNet(3, blocks=(1, 1), width=4, bottleneck=8, groups=2),
    "vgg": VGG(3, stages=((4,), (6,))),
    "densenet": DenseNet(3, layers=(1, 1), growth=4),
}


def count(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


def shapes(model, shape):
    return jax.eval_shape(
        lambda key: model.init(key, jnp.zeros((1, *shape)), train=False),
        jax.random.key(0),
    )


# With 1000 outputs and the ImageNet stem: torchvision's table of pretrained models.
# With 10 outputs and the CIFAR stem: the same less its classifier and stem, as counted
# in CIFAR repositories.  VGG-13 there has no hidden fully connected layers.
@pytest.mark.parametrize(
    ("name", "cifar", "imagenet"),
    [
        ("resnet18", 11_173_962, 11_689_512),
        pytest.param("resnet34", 21_282_122, 21_797_672, marks=pytest.mark.slow),
        ("resnet50", 23_520_842, 25_557_032),
        ("resnext50", 22_992_714, 25_028_904),
        ("vgg13", 9_416_010, None),
        pytest.param("densenet121", 6_956_298, 7_978_856, marks=pytest.mark.slow),
    ],
)
def test_published_numbers_of_parameters(name, cifar, imagenet):
    assert count(shapes(MODELS[name](10), (32, 32, 3))["params"]) == cifar
    if imagenet is not None:
        model = MODELS[name](1000, stem="imagenet")
        assert count(shapes(model, (32, 32, 3))["params"]) == imagenet


def test_resnet18_with_as_many_features_as_classes_saves_what_was_published():
    """20.70 % with the 7x7 stem: Zhu et al., NeurIPS 2021, on a fixed classifier."""
    for stem, full, narrow, saved in (
        ("imagenet", 11_181_642, 8_867_542, 20.70),
        ("cifar", 11_173_962, 8_859_862, 20.71),
    ):
        assert round(100 * (1 - narrow / full), 2) == saved
        shape = (32, 32, 3)
        assert count(shapes(resnet18(10, stem=stem), shape)["params"]) == full
        model = resnet18(10, stem=stem, feature_dim=10)
        assert count(shapes(model, shape)["params"]) == narrow


def test_share_of_the_classifier_of_resnet50():
    params = shapes(MODELS["resnet50"](1000, stem="imagenet"), (32, 32, 3))["params"]
    assert round(100 * count(params["classifier"]) / count(params), 1) == 8.0


@pytest.mark.parametrize("name", thin(list(CONVOLUTIONAL), keep={0, 2}))
def test_feature_dim_changes_only_the_end(name):
    wide, narrow = (
        shapes(MODELS[name](5, width=0.25, feature_dim=d), (8, 8, 3))["params"]
        for d in (0, 7)
    )
    assert narrow["classifier"]["kernel"].shape == (7, 5)
    changed = {k for k in wide | narrow if wide.get(k) != narrow.get(k)}
    expected = {
        "vgg13": {"conv10", "norm10"},
        "densenet121": {"transition4_norm", "transition4_conv", "last_norm"},
    }
    last = "stage4_block2" if name == "resnet18" else "stage4_block3"
    assert changed == expected.get(name, {last}) | {"classifier"}


@pytest.mark.parametrize("shape", [(32, 32, 3), (28, 28, 1), (9, 5, 2), (1, 1, 1)])
@pytest.mark.parametrize("name", thin(list(CONVOLUTIONAL), keep={0}))
def test_images_of_any_size(name, shape):
    model = MODELS[name](3, width=0.25)
    logits, features = jax.eval_shape(
        lambda key: model.init_with_output(key, jnp.zeros((2, *shape)), train=True)[0],
        jax.random.key(0),
    )
    assert logits.shape == (2, 3)
    natural = {"resnet50": 512, "resnext50": 512, "densenet121": 256}.get(name, 128)
    assert features.shape == (2, natural)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_every_kind_of_block_trains(name):
    model, tx = SMALL[name], optax.sgd(0.1)
    labels = jnp.arange(12) % 3
    images = jax.random.normal(jax.random.key(0), (12, 8, 8, 1))
    images = images + 2 * labels[:, None, None, None]
    init = jax.jit(lambda: init_state(model, tx, jax.random.key(1), (8, 8, 1)))
    step = jax.jit(make_train_step(model, cross_entropy, tx))
    first = state = init()
    losses = []
    for _ in range(30):
        state, metrics = step(state, images, labels)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < 0.7 * losses[0]
    # Everything learns, except biases before a batch norm: they have no effect.
    moved = jax.tree.map(lambda a, b: abs(a - b).max(), first.params, state.params)
    for path, change in jax.tree_util.tree_leaves_with_path(moved):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        idle = name.endswith("bias") and "conv" in name
        assert (change < 1e-5) == idle, name


SMALLER = {
    "mlp": mlp(3, widths=(16, 8)),
    **{name: MODELS[name](3, width=1 / 16) for name in CONVOLUTIONAL},
    **SMALL,
}


@pytest.mark.parametrize(
    ("name", "train"),
    [
        ("mlp", True),
        ("mlp", False),
        ("resnet18", False),
        *((name, False) for name in SMALL),
        *(
            pytest.param(name, False, marks=pytest.mark.slow)  # compiled for seconds
            for name in CONVOLUTIONAL
            if name != "resnet18"
        ),
    ],
)
def test_logits_are_the_classifier_of_the_features(name, train):
    model = SMALLER[name]
    apply = jax.jit(model.apply, static_argnames=("train", "mutable"))
    images = jax.random.normal(jax.random.key(0), (4, 8, 8, 2))
    rng = np.random.default_rng(0)  # quicker than compiling `init`
    variables = jax.tree.map(
        lambda x: jnp.asarray(rng.uniform(0.1, 0.3, x.shape), jnp.float32),
        shapes(model, (8, 8, 2)),
    )
    del variables["layers"]
    (logits, features), _ = apply(
        variables, images, train=train, mutable=("batch_stats",)
    )
    weight, bias = linear(3).weights(variables)
    assert weight.shape == (3, features.shape[1])
    assert bias.shape == (3,)
    np.testing.assert_allclose(logits, features @ weight.T + bias, atol=1e-5)


@pytest.mark.parametrize("name", thin(list(MODELS), keep={0, 1}))
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

    @jax.jit
    def outputs(variables, images):
        return (
            layer_outputs(model, variables, images),
            layer_outputs(model, variables, images, "flatten"),
            model.apply(variables, images, False)[0],
        )

    (logits, features, blocks), (*_, flat), plain = outputs(variables, images)
    assert [*blocks] == ["01_stem", "02_stage1_block1", "03_stage2_block1"]
    np.testing.assert_array_equal(features, blocks["03_stage2_block1"])
    np.testing.assert_array_equal(logits, plain)
    assert flat["01_stem"].shape == (2, 8 * 8 * 4)
    np.testing.assert_allclose(
        flat["01_stem"].reshape(2, 64, 4).mean(1), blocks["01_stem"], atol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "first", "number"),
    thin(
        [
            ("resnet18", "01_stem", 9),
            ("resnet50", "01_stem", 17),
            ("vgg13", "01_conv1", 10),
            ("densenet121", "01_stem", 5),
        ],
        keep={2},
    ),
)
def test_blocks_are_numbered_and_the_last_is_the_features(name, first, number):
    model = MODELS[name](3, width=0.25, feature_dim=11)
    _, features, blocks = jax.eval_shape(
        lambda v, x: layer_outputs(model, v, x),
        shapes(model, (32, 32, 3)),
        jnp.zeros((2, 32, 32, 3)),
    )
    assert len(blocks) == number
    assert sorted(blocks) == [*blocks]
    assert next(iter(blocks)) == first
    assert [*blocks.values()][-1].shape == features.shape == (2, 11)


def test_bad_sizes():
    with pytest.raises(ValueError, match="at least one width"):
        mlp(3, widths=())
    with pytest.raises(ValueError, match=r"at most 10000000, got \(4, 0\)"):
        mlp(3, widths=(4, 0))
    with pytest.raises(ValueError, match=r"leave 1 to 10000000, got 0\.001"):
        resnet18(3, width=0.001)
    with pytest.raises(ValueError, match=r"leave 1 to 10000000, got nan"):
        resnet18(3, width=float("nan"))
    for name in CONVOLUTIONAL:
        with pytest.raises(
            ValueError, match="feature_dim must be at least 1, at most 10000000, or 0"
        ):
            MODELS[name](3, feature_dim=-1)
    with pytest.raises(ValueError, match="Available: cifar, imagenet"):
        MODELS["densenet121"](3, stem="mnist")
