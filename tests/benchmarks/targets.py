"""Both passes of a measurement, of every target beside classes, at equal n and d.

    python -m tests.benchmarks.targets [--rounds=5]

Features [20000, 512] lie in memory, in batches: 10 classes, levels or labels, 1, 3 and
10 targets of regression, two tasks of 10 classes.  All keep the pooled scatter that
`ncjax.class_moments` does by default, or more.  Features follow the labels, so that
there are principal directions; of pure noise they take as long as all 512
eigenvectors.  `ratio` is the time over that of classes, the median of rounds in which
all take turns.
"""

from __future__ import annotations

import argparse
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.collapse import Convention
from ncjax.targets import Target, get_target
from tests.benchmarks.harness import interleave, ratio, report

N, D, BATCH, K = 20_000, 512, 2_000, 10


def made(name: str, outputs: int, rng: np.random.Generator):
    """Labels and what the network says [batches, BATCH, ...], and W [M, d]."""
    shape = (N // BATCH, BATCH)
    if name == "vector":
        labels = rng.normal(size=(*shape, outputs)).astype(np.float32)
        signal = labels
    elif name == "set":
        two = np.argsort(rng.random((*shape, K)), axis=2)[..., :2]
        two[..., 1] = np.where(rng.random(shape) < 0.5, two[..., 0], two[..., 1])
        labels = np.eye(K, dtype=bool)[two].any(2)
        signal = labels.astype(np.float32)
    elif name == "tasks":
        labels = rng.integers(0, K, (*shape, outputs // K)).astype(np.int32)
        signal = np.concatenate(np.moveaxis(np.eye(K)[labels], 2, 0), axis=-1)
    else:
        labels = rng.integers(0, K, shape).astype(np.int32)
        signal = np.eye(K)[labels]
    weights = rng.normal(size=(signal.shape[-1], D)).astype(np.float32)
    noise = rng.normal(size=(*shape, D))
    features = (signal @ weights + 0.5 * noise).astype(np.float32)
    return jnp.asarray(features), jnp.asarray(labels), jnp.asarray(weights)


@partial(jax.jit, static_argnames=("target", "count"))
def both(features, labels, weights, *, target: Target, count: int):
    """The moments and the second pass, over all features."""
    empty = target.moments(count, D, scatter="pooled", largest_norm=True)
    moments, _ = jax.lax.scan(
        lambda m, batch: (m.update(*batch), None), empty, (features, labels)
    )
    start = target.second(
        moments,
        classifier=weights,
        hierarchy=None,
        convention=Convention(),
        training=True,
    )

    def step(state, batch):
        rows, own = batch
        decided = target.decide(rows @ weights.T)
        return state.update(rows, own, decided, jnp.ones(len(rows))), None

    state, _ = jax.lax.scan(step, start, (features, labels))
    return moments, state


def main() -> None:
    """Prints the table and writes results/targets.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    rng, runs = np.random.default_rng(0), {}
    cases = [("class", K), ("ordinal", K), ("set", K), ("tasks", 2 * K)]
    cases += [("vector", outputs) for outputs in (1, 3, 10)]
    for name, outputs in cases:
        sizes = (K,) * (outputs // K) if name == "tasks" else ()
        given = {"target": get_target(name, sizes), "count": outputs}
        title = f"{name}, {outputs} outputs"
        runs[title] = partial(both, *made(name, outputs, rng), **given)
    seconds = interleave(runs, rounds)
    base = next(iter(runs))
    rows = [
        {
            "labels": title,
            "milliseconds": 1e3 * float(np.median(times)),
            "ratio": ratio(seconds, title, base),
        }
        for title, times in seconds.items()
    ]
    report("targets", rows)


if __name__ == "__main__":
    main()
