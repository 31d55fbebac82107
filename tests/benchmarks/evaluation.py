"""What measuring collapse adds to an evaluation forward pass of the same network.

    python -m tests.benchmarks.evaluation

The bare pass computes loss and error over the training and test sets; the measured
pass adds every metric of collapse.  MLP 784-512-512-10 on 60,000 + 10,000 images, where
a forward pass costs least, and ResNet-18 of 1/4 width on 2,000 + 1,000.
"""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.config import default
from ncjax.config.fields import choice
from ncjax.data import Dataset, Split
from ncjax.losses import cross_entropy
from ncjax.training.experiment import Experiment
from tests.benchmarks import harness


def random_images(train: int, test: int, shape: tuple[int, ...]) -> Dataset:
    """Random contents: the time does not depend on them."""
    rng = np.random.default_rng(0)

    def split(n):
        images = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
        return Split(images, (np.arange(n) % 10).astype(np.int32))

    names = tuple(map(str, range(10)))
    return Dataset("random", split(train), split(test), names)


def compare(rounds: int) -> list[dict]:
    """Times the two passes in turns, for each network and path."""
    rows = []
    mnist = random_images(60_000, 10_000, (28, 28, 1))
    cifar = random_images(2_000, 1_000, (32, 32, 3))
    for name, dataset, changes in (
        ("mlp, buffered", mnist, {}),
        ("mlp, buffered, all layers", mnist, {"layers": "all"}),
        ("mlp, streamed", mnist, {"buffer_mb": 0}),
        ("resnet18, buffered", cifar, {}),
    ):
        config = default()
        config.model.widths = (512, 512)  # that of MNIST; the default is the digits
        config.eval.update(changes)
        if dataset is cifar:
            config.model.name, config.model.width = "resnet18", 0.25
        experiment = Experiment(config, dataset, jax.devices()[:1])
        state = experiment.init()
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        model, batch = choice(config, "model").bind()(10), config.eval.batch_size

        @jax.jit
        def bare(variables, images, labels, model=model, batch=batch):
            def body(_, rows):
                x = (images[rows].astype(jnp.float32) - 33.0) / 78.0
                logits, _ = model.apply(variables, x, train=False)
                wrong = logits.argmax(1) != labels[rows]
                return None, (cross_entropy(logits, labels[rows]).sum(), wrong.sum())

            steps = jnp.arange(len(labels)).reshape(-1, batch)
            return jax.lax.scan(body, None, steps)[1]

        sets = [
            (jnp.asarray(s.images), jnp.asarray(s.labels))
            for s in (dataset.train, dataset.test)
        ]
        seconds = harness.interleave(
            {
                "bare": lambda v=variables, s=sets, b=bare: [b(v, *part) for part in s],
                "measured": lambda e=experiment, s=state: e.evaluate(s),
            },
            rounds,
        )
        rows.append(
            {
                "network, path": name,
                "bare s": float(np.median(seconds["bare"])),
                "measured s": float(np.median(seconds["measured"])),
                "measured / bare": harness.ratio(seconds, "measured", "bare"),
            }
        )
    return rows


def main() -> None:
    """Prints and writes the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    harness.report("evaluation", compare(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
