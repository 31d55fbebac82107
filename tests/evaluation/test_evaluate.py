"""Measurement of a network against NumPy in float64, by every path."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh

from ncjax.evaluation.evaluate import Evaluate
from ncjax.evaluation.mistakes import Mistakes
from ncjax.evaluation.passes import LAST, Passes
from ncjax.hierarchy import Hierarchy
from ncjax.losses import cross_entropy
from tests.collapse.definitions import Definitions, references
from tests.thin import thin

K, D, INPUTS = 4, 6, 5


def forward(variables, images):
    """A fixed nonlinear 'network' with two layers."""
    params = variables["params"]
    first = jnp.tanh(images.reshape(len(images), -1) @ params["first"])
    features = first @ params["second"] + 3.0
    return features @ params["W"].T + params["b"], {LAST: features, "01_first": first}


def network(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"first": (INPUTS, 7), "second": (7, D), "W": (K, D), "b": (K,)}
    draw = {k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()}
    return {"params": draw}


def dataset(n, std, seed):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(K, INPUTS))
    labels = rng.integers(0, K, n).astype(np.int32)
    images = centres[labels] + std * rng.normal(size=(n, INPUTS))
    return images.reshape(n, 1, INPUTS, 1).astype(np.float32), labels


def reference(features, logits, labels, train_features, train_labels):
    """NC1, NC4 and accuracies in float64, with loops and pinv."""
    means = np.stack([train_features[train_labels == k].mean(0) for k in range(K)])
    centred = means - means.mean(0)
    residual = features - means[labels]
    within = residual.T @ residual / len(features)
    between = centred.T @ centred / K
    values, vectors = np.linalg.eigh(between)
    keep = np.argsort(values)[-(K - 1) :]
    inverse = vectors[:, keep] @ np.diag(1 / values[keep]) @ vectors[:, keep].T
    nearest = ((features[:, None] - means) ** 2).sum(2).argmin(1)
    return {
        "nc1": np.trace(within @ inverse) / K,
        "nc4": np.mean(nearest != logits.argmax(1)),
        "ncc_accuracy": np.mean(nearest == labels),
        "error": np.mean(logits.argmax(1) != labels),
    }


def jensen_gap(logits, labels):
    """Mean cross-entropy minus that of the class means of the logits."""
    means = np.stack([logits[labels == k].mean(0) for k in range(K)])[labels]
    losses = (
        np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), labels] for z in (logits, means)
    )
    return np.subtract(*losses).mean()


def evaluator(devices, batch_size, buffer=True, forward=forward, **options):
    """`Evaluate` of the network above on some of the virtual devices."""
    mesh = Mesh(
        np.array(jax.devices()[:devices]), ("data",), axis_types=(AxisType.Auto,)
    )
    passes = Passes(
        forward,
        lambda variables: (variables["params"]["W"], variables["params"]["b"]),
        lambda variables, outputs, labels, weights: cross_entropy(outputs, labels),
        K,
        risk=True,
        **options,
    )
    return Evaluate(passes, mesh, batch_size=batch_size, buffer=buffer)


@pytest.mark.parametrize(
    ("devices", "batch", "buffer"),
    thin(
        [(1, 50, True), (1, 32, False), (8, 50, True), (8, 64, False), (1, 1000, True)],
        keep={3},
    ),
)
def test_matches_two_pass_float64(devices, batch, buffer):
    evaluate = evaluator(
        devices,
        batch_size=batch,
        buffer=buffer,
        scatter=not buffer,
    )
    for std in (0.3, 1e-4):
        train, test = dataset(203, std, 1), dataset(61, std, 2)
        found = assert_matches(evaluate, network(), train, test)
        assert ("nc/vci" in found) == (not buffer)


def assert_matches(evaluate, variables, train, test):
    """What is found is what `reference` says; returns it."""
    found = {k: float(v) for k, v in evaluate(variables, train, test).items()}
    logits, layers = jax.device_get(forward(variables, train[0]))
    test_logits, test_layers = jax.device_get(forward(variables, test[0]))
    for layer, prefix in ((LAST, ""), ("01_first", "layers/01_first/")):
        own = layers[layer].astype(np.float64)
        held_out = test_layers[layer].astype(np.float64)
        want = reference(own, logits, train[1], own, train[1])
        assert found[f"{prefix}nc/nc1"] == pytest.approx(want["nc1"], rel=1e-4)
        assert found[f"{prefix}nc/nc4"] == pytest.approx(want["nc4"], abs=1e-6)
        wanted_test = reference(held_out, test_logits, test[1], own, train[1])
        assert found[f"{prefix}test/nc1"] == pytest.approx(wanted_test["nc1"], rel=1e-4)
        for name in ("nc4", "ncc_accuracy"):
            assert found[f"{prefix}test/{name}"] == pytest.approx(
                wanted_test[name], abs=1e-6
            )
    assert found["train/error"] == pytest.approx(want["error"], abs=1e-6)
    assert found["test/error"] == pytest.approx(wanted_test["error"], abs=1e-6)
    losses = cross_entropy(jnp.asarray(logits), jnp.asarray(train[1]))
    assert found["train/loss"] == pytest.approx(float(losses.mean()), rel=1e-5)
    for place, said, labels in (
        ("train", logits, train[1]),
        ("test", test_logits, test[1]),
    ):
        gap = jensen_gap(said.astype(np.float64), labels)
        near = pytest.approx(gap, rel=1e-3, abs=1e-6 * found[f"{place}/loss"])
        assert found[f"{place}/jensen_gap"] == near
    return found


@pytest.mark.slow
def test_memory_held_between_calls_changes_nothing():
    evaluate = evaluator(8, batch_size=50)
    small, large = dataset(61, 0.3, 2), dataset(203, 0.3, 1)
    first = evaluate(network(), large, small)
    evaluate(network(1), large, small)
    evaluate(network(), small, large)  # a training set of another size
    again = evaluate(network(), large, small)
    jax.tree.map(np.testing.assert_array_equal, first, again)


def test_nc4_uses_the_bias():
    train, test = dataset(203, 0.3, 1), dataset(61, 0.3, 2)
    variables = network()
    evaluate = evaluator(1, batch_size=50)
    plain = float(evaluate(variables, train, test)["nc/nc4"])
    variables["params"]["b"] = np.array([1e6, 0, 0, 0], np.float32)
    biased = float(evaluate(variables, train, test)["nc/nc4"])
    # Now the network always says class 0: all others disagree with it.
    nearest_is_0 = 1 - biased
    assert 0 < nearest_is_0 < 0.6
    assert biased != plain


@pytest.mark.parametrize(("devices", "buffer"), thin([(1, True), (8, False)], keep={1}))
@pytest.mark.slow
def test_superclasses_are_those_of_pooled_labels(devices, buffer):
    tree = Hierarchy(["root", "x", *"abcd"], [-1, 0, 1, 1, 0, 0])
    groups = tree.superclasses(1)[0]
    variables, train, test = network(), dataset(203, 0.3, 1), dataset(61, 0.3, 2)
    geometry = np.eye(K) - 1 / K
    found = evaluator(
        devices,
        batch_size=40,
        buffer=buffer,
        mistakes=Mistakes(tree, crm=True, confusion=True),
        geometry=geometry,
    )(variables, train, test)
    logits, layers = forward(variables, jnp.asarray(train[0]))
    features = np.asarray(layers[LAST], np.float64)
    labels = groups[train[1]]
    means = np.stack([features[labels == g].mean(0) for g in range(3)])
    centred = means - means.mean(0)
    within = np.cov((features - means[labels]).T, bias=True)
    between = centred.T @ centred / 3
    want = np.trace(within @ np.linalg.pinv(between, rcond=1e-9)) / 3
    np.testing.assert_allclose(found["tree/level1/nc1"], want, rtol=1e-4)
    nearest = ((features[:, None] - means) ** 2).sum(2).argmin(1)
    decided = groups[np.asarray(logits).argmax(1)]
    np.testing.assert_allclose(
        found["tree/level1/nc4"], np.mean(nearest != decided), atol=1e-6
    )
    gram = centred @ centred.T
    simplex = (np.eye(3) - 1 / 3) / np.sqrt(2)
    want = np.linalg.norm(gram / np.linalg.norm(gram) - simplex)
    np.testing.assert_allclose(found["tree/level1/nc2"], want, rtol=1e-4)
    np.testing.assert_allclose(found["nc/gram_to_limit"], found["nc/nc2"], rtol=1e-4)
    # Mistakes on the test set, and the two that are kept for the training set.
    logits = np.asarray(forward(variables, jnp.asarray(test[0]))[0])
    wrong = logits.argmax(1) != test[1]
    heights = tree.lca_heights()[test[1], logits.argmax(1)]
    np.testing.assert_allclose(
        found["test/mistake_severity"], heights[wrong].mean(), rtol=1e-5
    )
    assert {"test/crm_error", "test/ece", "train/mistake_severity"} <= set(found)
    assert "train/ece" not in found
    table = np.zeros((K, K))
    np.add.at(table, (test[1], logits.argmax(1)), 1 / len(wrong))
    np.testing.assert_allclose(found["test/confusion"], table, rtol=1e-6)
    assert "train/confusion" not in found


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "buffer"), [(8, True), (1, False)])
def test_generalized_collapse_of_two_features(devices, buffer):
    """Four classes in the plane, from buffered features or by another forward pass."""

    def narrow(variables, images):
        params = variables["params"]
        _, layers = forward({"params": params | {"W": jnp.zeros((K, D))}}, images)
        features = layers[LAST][:, :2]
        return features @ params["W"].T, {LAST: features}

    variables = network()
    variables["params"]["W"] = variables["params"]["W"][:, :2]
    train, test = dataset(203, 1.0, 1), dataset(40, 1.0, 2)
    found = evaluator(devices, 50, buffer, narrow)(variables, train, test)
    _, layers = narrow(variables, train[0])
    rows = variables["params"]["W"]
    problem = Definitions(layers[LAST], train[1], rows, None)
    for name in ("gnc1", "gnc3", "one_vs_rest_w", "nc2_excess", "max_cosine"):
        want = references()[name](problem)
        np.testing.assert_allclose(found[f"nc/{name}"], want, rtol=1e-4, err_msg=name)
