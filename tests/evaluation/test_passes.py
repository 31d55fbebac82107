"""Batches from any source into the states of a measurement: split, merge, metrics."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.averages import Averages
from ncjax.evaluation.mistakes import Mistakes
from ncjax.evaluation.passes import LAST, Passes, SetPass, update_moments
from ncjax.evaluation.risk import Risk
from ncjax.moments import ClassMoments
from tests.evaluation.test_evaluate import D, K, dataset, evaluator, forward, network

MISTAKES = Mistakes(confusion=True)


def head(variables):
    return variables["params"]["W"], variables["params"]["b"]


def loss(variables, scores, labels, weights):
    return -jax.nn.log_softmax(scores)[jnp.arange(len(labels)), labels]


# A recorder of another framework takes what the network said in place of images.
PASSES = Passes(
    lambda variables, said: said, head, loss, K, mistakes=MISTAKES, risk=True
)


def test_probabilities_are_those_of_the_temperature():
    """Calibration is of softmax(scores / T), the probabilities of the loss."""
    scores = 3 * jax.random.normal(jax.random.key(0), (40, K))
    labels, features = jnp.arange(40) % K, {LAST: jnp.ones((40, D))}
    asked = Mistakes()
    warm = dataclasses.replace(PASSES, temperature=lambda variables: variables["T"])
    variables = network() | {"T": jnp.float32(2.5)}
    seen = jax.jit(warm.batch, static_argnums=0)(
        asked, variables, (scores, features), labels, jnp.ones(40)
    )
    found = asked.summary(seen.averages.compute())
    want = Averages.of(asked.values(scores / 2.5, labels), jnp.ones(40)).compute()
    want = asked.summary(want)
    assert found["ece"] == pytest.approx(float(want["ece"]), rel=1e-5)
    plain = Averages.of(asked.values(scores, labels), jnp.ones(40)).compute()
    assert abs(found["ece"] - asked.summary(plain)["ece"]) > 0.05


@jax.jit
def batch_of(features, scores, labels):
    said = scores, {LAST: features}
    return PASSES.batch(MISTAKES, network(), said, labels, jnp.ones(len(labels)))


def split(set_, cuts):
    """Batches of a set, from what the network says of it."""
    scores, layers = forward(network(), jnp.asarray(set_[0]))
    for rows in np.split(np.arange(len(set_[1])), cuts):
        yield batch_of(layers[LAST][rows], scores[rows], jnp.asarray(set_[1])[rows])


@pytest.mark.slow
def test_any_batches_give_what_the_evaluation_gives():
    train, test = dataset(203, 0.3, 1), dataset(61, 0.3, 2)
    found = evaluator(1, batch_size=50, mistakes=MISTAKES)(network(), train, test)
    moments = {LAST: ClassMoments.empty(K, D, scatter="none")}
    take, update = jax.jit(update_moments), jax.jit(SetPass.update)
    for batch in split(train, [70, 140]):
        moments = take(moments, batch)
    passes = []
    for set_, cuts in ((train, [70, 140]), (test, [31])):
        batches = list(split(set_, cuts))
        empty = jax.jit(SetPass.empty)(moments, batches[0].averages)
        empty = dataclasses.replace(empty, risk=Risk.empty(K, K))
        one, two = empty, empty
        for batch in batches[:-1]:
            one = update(one, batch)
        passes.append(two.merge(update(two, batches[-1])).merge(one))
    names = "nc/nc1 nc/nc4 test/nc1 test/nc4 train/ncc_accuracy test/error test/ece"
    metrics = jax.jit(PASSES.compute)(network(), moments, *passes)
    losses = "train/loss test/loss train/jensen_gap test/jensen_gap test/jensen_gaps"
    for name in (*names.split(), *losses.split(), "test/confusion"):
        np.testing.assert_allclose(
            metrics[name], found[name], rtol=1e-4, atol=1e-7, err_msg=name
        )


@pytest.mark.parametrize("scale", [1e20, 1e-20, 1e-30])
def test_a_network_that_shrinks_its_features_is_measured_alike(scale):
    """Strong decay shrinks features; their squares leave float32, the metrics stay."""
    images, labels = dataset(203, 0.3, 1)
    scores, layers = forward(network(), jnp.asarray(images))

    @jax.jit
    def measured(features):
        batch = batch_of(features, scores, jnp.asarray(labels))
        start = ClassMoments.empty(K, D, scatter="none")
        moments = update_moments({LAST: start}, batch)
        seen = SetPass.empty(moments, batch.averages).update(batch)
        variables = jax.tree.map(jnp.asarray, network())
        return PASSES.compute(variables, moments, seen, seen)

    want, got = measured(layers[LAST]), measured(layers[LAST] * scale)
    for name in want.keys() - {"nc/bias_collapse", "nc/nc1_floor"}:
        np.testing.assert_allclose(got[name], want[name], 1e-4, 1e-6, err_msg=name)
