"""The picture of a measurement."""

import dataclasses

import jax
import numpy as np
import pytest

from ncjax.measurement.figure import figure
from ncjax.moments import class_moments
from ncjax.style import render
from tests.measurement.features import (
    K,
    clusters,
    simplex,
)


@pytest.mark.parametrize("k", [3, 40, 250])
def test_figures(k, plain):
    x, y, _, _ = clusters(n=4 * k, k=k, d=24)
    moments = jax.jit(class_moments, static_argnums=2)(x, y, k)
    names = tuple(f"class {i}" for i in range(k))
    changed = dataclasses.replace(plain, moments=moments, class_names=names)
    drawn = changed.plot()
    titles = [axis.get_title(loc="left") for axis in drawn.axes[:3]]
    assert [title.split()[0] for title in titles] == ["Spectrum", "Cosines", "Spread"]
    spectrum = drawn.axes[0].lines[1].get_ydata()
    assert len(spectrum) == min(k - 1, 24)
    assert np.mean(spectrum**2) == pytest.approx(1)
    cosines, spread = drawn.axes[1], drawn.axes[2]
    if k <= 200:
        shown = cosines.images[0].get_array()
        means = np.stack([x[y == c].astype(float).mean(0) for c in range(k)])
        unit = means - means.mean(0)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        np.testing.assert_allclose(shown[0, 1:], (unit @ unit.T)[0, 1:], atol=1e-5)
    else:
        assert not cosines.images
    if k < 250:  # else some have one sample, and no spread
        assert spread.get_yscale() == "linear"
        assert spread.get_ylim()[0] == 0
    assert "rounding" in spread.get_title(loc="left")
    assert spread.get_legend() is None
    named = [t.get_text() for t in spread.get_xticklabels()] == [
        f"class {i}" for i in range(k)
    ]
    assert named == (k <= 30)
    assert render(drawn, ".png").startswith(b"\x89PNG")


@pytest.mark.slow
def test_figures_of_degenerate_features():
    def drawn_of(x):
        moments = jax.jit(class_moments, static_argnums=2)(x, y, K)
        return figure(moments, "A title")

    x, y, _ = simplex()
    exact = drawn_of(x)
    assert "0 in every class" in exact.axes[2].texts[0].get_text()
    constant = drawn_of(np.ones_like(x))
    assert "undefined" in constant.axes[2].texts[0].get_text()
    x[0] += 0.1  # spread in class 0 only: four hollow points on the lower edge
    partly = drawn_of(x)
    assert len(partly.axes[2].lines[1].get_xdata()) == K - 1
    for drawn in (exact, constant, partly):
        assert render(drawn, ".png").startswith(b"\x89PNG")
