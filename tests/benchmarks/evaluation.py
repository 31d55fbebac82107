"""What measuring collapse adds to an evaluation forward pass of the same network.

    python -m tests.benchmarks.evaluation

The bare pass computes loss and error over the training and test sets; the measured
pass adds every metric of collapse.  MLP 784-512-512-10, 60,000 + 10,000 images.
"""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.config import default
from ncjax.data import Dataset, Split
from ncjax.losses import cross_entropy
from ncjax.models import mlp
from ncjax.train import build
from tests.benchmarks import harness


def random_images() -> Dataset:
    """Shapes of MNIST, contents random: time does not depend on them."""
    rng = np.random.default_rng(0)

    def split(n):
        images = rng.integers(0, 256, (n, 28, 28, 1), dtype=np.uint8)
        return Split(images, (np.arange(n) % 10).astype(np.int32))

    names = tuple(map(str, range(10)))
    return Dataset("random", split(60_000), split(10_000), names)


def main() -> None:
    """Times the two passes in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    dataset = random_images()
    rows = []
    for name, changes in (
        ("buffered", {}),
        ("buffered, all layers", {"layers": "all"}),
        ("streamed", {"buffer_mb": 0}),
    ):
        config = default()
        config.eval.update(changes)
        experiment = build(config, dataset, jax.devices()[:1])
        state = experiment.init()
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        model, batch = mlp(10), config.eval.batch_size

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
            args.rounds,
        )
        rows.append(
            {
                "path": name,
                "bare s": float(np.median(seconds["bare"])),
                "measured s": float(np.median(seconds["measured"])),
                "measured / bare": harness.ratio(seconds, "measured", "bare"),
            }
        )
    harness.report("evaluation", rows)


if __name__ == "__main__":
    main()
