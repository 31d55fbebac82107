"""The correlation of class means with the tree: literal, at its edges, in a run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from ncjax import ConfigError
from ncjax.config import default, validate
from ncjax.config.binding import bind_objective
from ncjax.config.fields import choice
from ncjax.hierarchy import balanced
from ncjax.losses import cpcc, cross_entropy
from ncjax.losses.regularisers import Batch
from ncjax.models.mlp import mlp
from ncjax.optimizers import sgd
from ncjax.training.step import init_state, make_train_step
from tests.losses.depths import CHAIN, NAMES, TREES

quick = jax.jit(cpcc, static_argnames="hierarchy")  # labels are not checked


def draw(tree, n=60, d=7):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, tree.num_classes, n).astype(np.int32)
    means = rng.normal(size=(tree.num_classes, d))
    return means[labels] + 0.1 * rng.normal(size=(n, d)), labels


def edges(tree, a, b):
    """Edges from leaf to leaf, by walking up from both."""

    def up(node):
        path = [node]
        while tree.parents[path[-1]] >= 0:
            path.append(tree.parents[path[-1]])
        return path

    return len(set(up(tree.leaves[a])) ^ set(up(tree.leaves[b])))


@pytest.mark.parametrize("name", NAMES)
def test_a_literal_version(name):
    tree = TREES[name]
    features, labels = draw(tree)
    found = np.unique(labels)
    means = [features[labels == k].mean(0) for k in found]
    pairs = [(i, j) for i in range(len(found)) for j in range(i)]
    x = [np.linalg.norm(means[i] - means[j]) for i, j in pairs]
    y = [edges(tree, found[i], found[j]) for i, j in pairs]
    x32 = jnp.asarray(features, jnp.float32)
    got = quick(x32, jnp.asarray(labels), hierarchy=tree)
    np.testing.assert_allclose(got, 1 - np.corrcoef(x, y)[0, 1], rtol=1e-5)


def test_by_hand():
    """Means on a line: a and b at 0 and 1, c at 4 and d at -8, two examples of a."""
    features = jnp.array([[-1.0], [1.0], [1.0], [4.0], [-8.0]])
    labels = jnp.array([0, 0, 1, 2, 3])
    x, y = [1, 4, 8, 3, 9, 12], [2, 3, 4, 3, 4, 3]
    got = quick(features, labels, hierarchy=CHAIN)
    np.testing.assert_allclose(got, 1 - np.corrcoef(x, y)[0, 1], rtol=1e-6)


def test_means_at_the_distances_of_the_tree():
    """Squared distances of indicators of the nodes are numbers of edges."""
    tree = balanced([2, 3])
    gram = tree.ancestors().astype(np.float64)
    squares = ((gram[:, None] - gram[None]) ** 2).sum(2)
    # Vectors with these very distances: a root of -P D P / 2.
    centre = np.eye(6) - 1 / 6
    values, vectors = np.linalg.eigh(-centre @ squares**2 @ centre / 2)
    means = vectors * np.sqrt(np.maximum(values, 0))
    got = quick(jnp.asarray(means, jnp.float32), jnp.arange(6), hierarchy=tree)
    np.testing.assert_allclose(got, 0, atol=1e-6)


def test_gradients():
    features, labels = draw(CHAIN, n=12, d=3)
    with jax.enable_x64(True):
        check_grads(
            jax.jit(lambda x: cpcc(x, jnp.asarray(labels), hierarchy=CHAIN)),
            (jnp.asarray(features),),
            order=1,
        )


@pytest.mark.parametrize(
    ("features", "labels", "value"),
    [
        ("same", [0, 0, 0, 0], 0),  # a single class
        ("other", [0, 0, 1, 1], 0),  # a single pair
        ("same", [0, 1, 2, 3], 0),  # all means coincide
        ("two", [0, 1, 2, 3], None),  # two means coincide
        ("huge", [0, 1, 2, 3], None),
    ],
)
def test_at_its_edges_it_is_finite(features, labels, value):
    rows = np.random.default_rng(0).normal(size=(4, 3))
    rows = {
        "same": np.ones((4, 3)),
        "other": rows,
        "two": np.concatenate([rows[:1], rows[:3]]),
        "huge": 1e6 * rows,
    }[features]
    found, grad = jax.value_and_grad(
        lambda x: quick(x, jnp.array(labels), hierarchy=CHAIN)
    )(jnp.asarray(rows, jnp.float32))
    assert np.isfinite(grad).all()
    if value is None:
        assert 0 < found < 2
        assert np.abs(grad).max() > 0
    else:
        assert found == value
        np.testing.assert_array_equal(grad, 0)


def test_classes_at_one_distance_have_no_correlation():
    features, labels = draw(balanced([6]))
    got = quick(jnp.asarray(features), jnp.asarray(labels), hierarchy=balanced([6]))
    assert got == 0


def test_labels_out_of_range():
    features = jnp.ones((3, 2))
    with pytest.raises(ValueError, match="row 2 has 4, and"):
        cpcc(features, jnp.array([0, 1, 4]), hierarchy=CHAIN)
    inside = jax.jit(lambda y: cpcc(features, y, hierarchy=CHAIN))
    assert np.isnan(inside(jnp.array([0, 1, 4])))


def bind(weight, tree=None, **changes):
    config = default()
    config.loss.cpcc = weight
    config.update(changes)
    parts = choice(config, "loss"), choice(config, "classifier")
    classes = tree.num_classes if tree else 10
    return validate(config), bind_objective(*parts, tree, classes)


def batch_of(features, labels):
    """A batch of a step that nothing else is asked of."""
    key = jax.random.key(0)
    return Batch(features, labels, jnp.zeros((len(labels), 1, 1, 1)), abs, key)


def test_what_a_configuration_binds():
    _, objective = bind(0.0, CHAIN)
    assert objective.regulariser({}) is None
    assert objective.geometry is not None
    _, objective = bind(2.0, CHAIN)
    assert objective.geometry is None  # theory knows the loss alone
    features, labels = map(jnp.asarray, draw(CHAIN))
    want = cpcc(features, labels, hierarchy=CHAIN)
    for hyper, weight in (({}, 2), ({"loss.cpcc": 0.5}, 0.5)):
        got = objective.regulariser(hyper)(batch_of(features, labels))
        np.testing.assert_allclose(got, weight * want, rtol=1e-6)
    assert objective.regulariser({"loss.cpcc": 0.0}) is None


def test_bad_configurations():
    with pytest.raises(
        ConfigError, match=r"cpcc must be at least 0 and finite, got -1"
    ):
        bind(-1.0, CHAIN)
    with pytest.raises(ConfigError, match=r"loss\.cpcc = 1\.0 needs a class tree, and"):
        bind(1.0)
    for size in (1, 2):
        with pytest.raises(ConfigError, match=rf"batch_size = {size} holds fewer"):
            bind(1.0, CHAIN, batch_size=size)
    with pytest.raises(ConfigError, match=r"all pairs of the 5 classes .* 2 edges\. T"):
        bind(1.0, balanced([5]))
    with pytest.raises(ConfigError, match=r"pairs of the 2 classes are equally far"):
        bind(1.0, balanced([2]))
    bind(0.0, balanced([5]))


def test_a_step_descends_it():
    """The step of the sum of both; the loss is reported with it, and 0 is today's."""
    model, tree = mlp(4, widths=(8,)), CHAIN
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.normal(size=(16, 2, 2, 1)), jnp.float32)
    labels = jnp.arange(16) % 4
    tx = sgd(1.0, momentum=0.0)
    state = init_state(model, tx, jax.random.key(0), (2, 2, 1))

    def regulariser(batch):
        return 3 * cpcc(batch.features, batch.labels, hierarchy=tree)

    def whole(params):
        (outputs, features), _ = model.apply(
            {"params": params, "batch_stats": state.batch_stats},
            images,
            train=True,
            mutable=["batch_stats"],
        )
        seen = batch_of(features, labels)
        return cross_entropy(outputs, labels).mean() + regulariser(seen)

    step = make_train_step(model, cross_entropy, tx, regulariser=regulariser)
    after, metrics = jax.jit(step)(state, images, labels)
    value, grads = jax.jit(jax.value_and_grad(whole))(state.params)
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-6)
    jax.tree.map(
        lambda new, old, g: np.testing.assert_allclose(new, old - g, atol=2e-6),
        after.params,
        state.params,
        grads,
    )
    plain, none = (
        jax.jit(make_train_step(model, cross_entropy, tx, **given)).lower(
            state, images, labels
        )
        for given in ({}, {"regulariser": None})
    )
    assert plain.as_text() == none.as_text()
