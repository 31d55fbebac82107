"""A measurement that many tests look at, and a quicker way to make others."""

import functools
import sys

import jax
import pytest

from ncjax import collapse
from ncjax.measurement import Measurement, measure
from tests.measurement.features import FEATURES, LABELS, B, W


@pytest.fixture(scope="module")
def plain() -> Measurement:
    return measure(FEATURES, LABELS, classifier=W, bias=B)


@pytest.fixture
def few(monkeypatch):
    """A few metrics only: each new K or d would compile all of them for seconds."""
    only = ("rank", "nc1", "nc1_floor", "trace_ratio", "nc2", "nc3")
    quick = jax.jit(
        functools.partial(collapse.measure, only=only), static_argnames="convention"
    )

    def measured(*args, only, **kwargs):
        return quick(*args, **kwargs)

    monkeypatch.setattr(sys.modules["ncjax.measurement.readings"], "_measure", measured)
