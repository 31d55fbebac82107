"""Made-up frames of a simplex."""

import numpy as np

from ncjax.runs.frames import Frame

PER_CLASS = 6


def simplex(count):
    """Unit vectors in R^C with equal angles [C, C]."""
    return (np.eye(count) - 1 / count) * np.sqrt(count / (count - 1))


def rotation(dim, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))[0]


def frame(count=3, at=1.0, spread=0.1, seed=0, turn=None, scale=5.0, names=()):
    """Means of a simplex of a size, in a basis that is turned."""
    basis = rotation(count, seed) if turn is None else turn
    place = np.repeat(np.arange(count), PER_CLASS)
    noise = np.random.default_rng(1).normal(size=(len(place), count))
    noise -= noise.mean(1, keepdims=True)  # within the span of the means
    return Frame(
        at=float(at),
        nc1=spread**2,
        names=tuple(names) or tuple("abcdefghijklmnop"[:count]),
        place=place,
        means=scale * simplex(count) @ basis,
        deviations=scale * spread * noise @ basis,
        weights=2.0 * simplex(count) @ basis,
        weight_norm=2.0,
    )


def shrinking(count=3, steps=3, **more):
    """Frames of epochs 1, 2, 4, ... that collapse."""
    return [
        frame(count, at=2.0**i, spread=0.3 / 4**i, seed=i, scale=1.0 + i, **more)
        for i in range(steps)
    ]
