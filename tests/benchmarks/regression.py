"""Both passes of a measurement: regression beside classification, at equal n and d.

    python -m tests.benchmarks.regression

Features [50000, 512] lie in memory, in batches.  The passes of classes take the pooled
scatter, as `ncjax.class_moments` does by default; those of regression always have one.
Features follow the targets, so that there are principal directions; of pure noise they
take as long as all 512 eigenvectors.  Times are medians of rounds in which the two take
turns.
"""

from __future__ import annotations

import statistics
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.collapse import SecondPass
from ncjax.moments import ClassMoments
from ncjax.regression import RegressionMoments, RegressionPass

N, D, BATCH, ROUNDS = 50_000, 512, 5_000, 5


@partial(jax.jit, static_argnames="count")
def classes(features, labels, decisions, *, count):
    """Moments and second pass of K classes."""
    empty = ClassMoments.empty(count, D, scatter="pooled", largest_norm=True)
    moments, _ = jax.lax.scan(
        lambda m, batch: (m.update(*batch), None), empty, (features, labels)
    )
    state, _ = jax.lax.scan(
        lambda s, batch: (s.update(*batch), None),
        SecondPass.empty(moments),
        (features, labels, decisions),
    )
    return moments, state.compute()


@jax.jit
def vectors(features, targets, outputs, classifier):
    """Moments and second pass of t targets."""
    moments, _ = jax.lax.scan(
        lambda m, batch: (m.update(*batch), None),
        RegressionMoments.empty(targets.shape[-1], D),
        (features, targets),
    )
    state, _ = jax.lax.scan(
        lambda s, batch: (s.update(*batch), None),
        RegressionPass.empty(moments, classifier),
        (features, targets, outputs),
    )
    return moments, state.compute()


def main() -> None:
    """Prints the times and their ratio for 10 classes and 1, 3 and 10 targets."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(N // BATCH, BATCH, D))
    labels = jnp.asarray(rng.integers(0, 10, (N // BATCH, BATCH)), jnp.int32)
    for count in (1, 3, 10):
        y = rng.normal(size=(N // BATCH, BATCH, count))
        targets = jnp.asarray(y, jnp.float32)
        signal = y @ rng.normal(size=(count, D))  # as of a network that has learned
        features = jnp.asarray(signal + 0.5 * noise, jnp.float32)
        classifier = jnp.asarray(rng.normal(size=(count, D)), jnp.float32)
        runs = {
            "classes": partial(classes, features, labels, labels, count=10),
            "vectors": partial(vectors, features, targets, targets, classifier),
        }
        times: dict[str, list[float]] = {name: [] for name in runs}
        for run in runs.values():
            jax.block_until_ready(run())
        for _ in range(ROUNDS):
            for name, run in runs.items():
                start = time.perf_counter()
                jax.block_until_ready(run())
                times[name].append(time.perf_counter() - start)
        pairs = zip(times["vectors"], times["classes"], strict=True)
        ratio = statistics.median(b / a for b, a in pairs)
        middle = {name: statistics.median(x) for name, x in times.items()}
        print(
            f"10 classes {middle['classes']:.3f} s, {count} targets "
            f"{middle['vectors']:.3f} s, ratio {ratio:.2f}"
        )


if __name__ == "__main__":
    main()
