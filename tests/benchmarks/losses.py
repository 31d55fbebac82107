"""What a loss that knows a tree adds to a training step of the same network.

    python -m tests.benchmarks.losses

Steps of the MLP 784-512-512-K with batch 128, with cross-entropy and with each loss of
a tree: CIFAR-10's for K = 10, and a balanced one of 10 x 10 x 10 for K = 1,000.  Where
the outputs are not K (multi_level, cascade) the last layer is larger too.
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
from ncjax.losses import LOSSES
from ncjax.models import MODELS
from ncjax.training.step import init_state, make_train_step
from tests.benchmarks import harness

STEPS = 20  # in one compiled scan, so that dispatch does not count
BATCH = 128


def make_steps(name: str, tree, images, labels):
    """`STEPS` steps as one compiled call, from the same state each time."""
    config = default()
    config.loss.name = name
    objective = bind_objective(
        choice(config, "loss"), choice(config, "classifier"), tree, tree.num_classes
    )
    loss, classifier = objective.loss({}), objective.classifier
    model = MODELS["mlp"](classifier, widths=(512, 512))
    optimizer = optax.sgd(0.01, momentum=0.9)
    step = make_train_step(model, loss, optimizer, scores=classifier.scores)
    state = init_state(model, optimizer, jax.random.key(0), images.shape[2:])
    run = jax.jit(lambda s: jax.lax.scan(lambda s, b: step(s, *b), s, (images, labels)))
    return lambda: run(state)


def main() -> None:
    """Times all losses in turns, for both trees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = []
    for tree in (BUILTIN["cifar10"](), balanced((10, 10, 10))):
        images = jnp.asarray(rng.normal(size=(STEPS, BATCH, 28, 28, 1)), jnp.float32)
        labels = jnp.asarray(rng.integers(0, tree.num_classes, (STEPS, BATCH)))
        seconds = harness.interleave(
            {name: make_steps(name, tree, images, labels) for name in LOSSES},
            args.rounds,
        )
        for name in LOSSES:
            rows.append(
                {
                    "K": tree.num_classes,
                    "loss": name,
                    "ms / step": 1e3 * float(np.median(seconds[name])) / STEPS,
                    "over cross-entropy": harness.ratio(seconds, name, "cross_entropy"),
                }
            )
    harness.report("losses", rows)


if __name__ == "__main__":
    main()
