"""What a loss that knows a tree adds to a training step of the same network.

    python -m tests.benchmarks.losses

Steps of the MLP 784-512-d-K with batch 128, with cross-entropy and with each loss of a
tree: CIFAR-10's for K = 10, d = 512, and a balanced one of 10 x 10 x 10 for K = 1,000,
d = 1,110, as `hier_cos` needs.  Where the outputs are not K (multi_level, haf, cascade,
hier_cos) the last layer is larger too.  Then the hardest case: a step of a linear layer
alone on 64 features, where the loss is much of the work.
"""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ncjax.config import default
from ncjax.config.binding import bind_objective
from ncjax.config.fields import choice
from ncjax.hierarchy import BUILTIN, balanced
from ncjax.losses import CLASSIFIER_OF, LOSSES, OUTPUTS
from ncjax.models import MODELS
from ncjax.training.step import init_state, make_train_step
from tests.benchmarks import harness

STEPS = 20  # in one compiled scan, so that dispatch does not count
BATCH = 128
FEATURES = 64  # of the linear layer alone


def bind(name: str, tree):
    """A loss with its tree, and its classifier."""
    config = default()
    config.loss.name = name
    objective = bind_objective(
        choice(config, "loss"), choice(config, "classifier"), tree, tree.num_classes
    )
    return objective.loss({}), objective.classifier


def make_steps(name: str, tree, width: int, images, labels):
    """`STEPS` steps as one compiled call, from the same state each time."""
    loss, classifier = bind(name, tree)
    model = MODELS["mlp"](classifier, widths=(512, width))
    optimizer = optax.sgd(0.01, momentum=0.9)
    step = make_train_step(model, loss, optimizer, scores=classifier.scores)
    state = init_state(model, optimizer, jax.random.key(0), images.shape[2:])
    run = jax.jit(lambda s: jax.lax.scan(lambda s, b: step(s, *b), s, (images, labels)))
    return lambda: run(state)


def make_linear(name: str, tree, features, labels):
    """The same of a linear layer without a network."""
    loss, _ = bind(name, tree)
    size = OUTPUTS[name](tree).size if name in OUTPUTS else tree.num_classes
    weights = 0.1 * jax.random.normal(jax.random.key(0), (FEATURES, size))

    def step(weights, batch):
        x, y = batch
        value, grad = jax.value_and_grad(lambda w: loss(x @ w, y).mean())(weights)
        return weights - 0.01 * grad, value

    run = jax.jit(lambda w: jax.lax.scan(step, w, (features, labels)))
    return lambda: run(weights)


def main() -> None:
    """Times all losses in turns, for all trees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = []

    def measure(layers: str, tree, make) -> None:
        labels = jnp.asarray(rng.integers(0, tree.num_classes, (STEPS, BATCH)))
        names = [name for name in LOSSES if name not in CLASSIFIER_OF or make is mlp]
        runs = {name: make(name, tree, labels) for name in names}
        seconds = harness.interleave(runs, args.rounds)
        for name in names:
            rows.append(
                {
                    "layers": layers,
                    "K": tree.num_classes,
                    "height": tree.height,
                    "loss": name,
                    "ms / step": 1e3 * float(np.median(seconds[name])) / STEPS,
                    "over cross-entropy": harness.ratio(seconds, name, "cross_entropy"),
                }
            )

    images = jnp.asarray(rng.normal(size=(STEPS, BATCH, 28, 28, 1)), jnp.float32)
    features = jnp.asarray(rng.normal(size=(STEPS, BATCH, FEATURES)), jnp.float32)

    def mlp(name, tree, labels):
        width = max(512, tree.num_nodes - 1)
        return make_steps(name, tree, width, images, labels)

    def linear(name, tree, labels):
        return make_linear(name, tree, features, labels)

    for tree in (BUILTIN["cifar10"](), balanced((10, 10, 10))):
        measure("mlp", tree, mlp)
    for tree in (
        BUILTIN["cifar100"](),
        BUILTIN["cifar100_5"](),
        balanced((10, 10, 10)),
    ):
        measure("linear", tree, linear)
    harness.report("losses", rows)


if __name__ == "__main__":
    main()
