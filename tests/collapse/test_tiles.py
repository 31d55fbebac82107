"""Sums over pairs of classes, tile by tile."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import collapse
from ncjax.collapse import tiles
from tests.collapse.definitions import Definitions, references
from tests.collapse.problems import clusters, moments_of


@pytest.mark.parametrize("d", [4, 20])
def test_tiles_equal_one_block(d, x64, monkeypatch):
    """K = 11 by blocks of 4; d = 4 has the K > 2d identities, d = 20 has not."""
    features, labels, classifier, bias = clusters(11, d)
    names = "cdnv snr nc2_means equiangularity max_angle_w uniformity uniformity_var "
    names = [*names.split(), "uniformity_riesz", "nc3_etf"]
    problem = Definitions(features, labels, classifier, bias)
    want = {name: references()[name](problem) for name in names}
    monkeypatch.setattr(tiles, "BLOCK", 4)
    monkeypatch.setattr(tiles, "DIFFERENCES", 1)
    # A new function: what `measure` has compiled holds the old constants.
    tiled = jax.jit(lambda *args: collapse.measure(*args, only=names))
    moments, rows = moments_of(features, labels), jnp.asarray(classifier)
    assert "while" in tiled.lower(moments, rows).as_text()
    got = tiled(moments, rows)
    for name in names:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-9, err_msg=name)
