"""Batches: their sizes, the programs they share, and who squares them."""

import jax
import numpy as np
import pytest

import ncjax
from ncjax.measurement import passes
from ncjax.measurement.data import _shared
from tests.measurement.features import FEATURES, LABELS, B, W


@pytest.mark.parametrize("batch_size", [None, 100])
@pytest.mark.parametrize("scale", [1.0, 1e25])
def test_the_scatter_of_numpy_is_that_of_xla(monkeypatch, batch_size, scale):
    features = FEATURES * np.float32(scale)
    features[:100] *= np.float32(1e-20)  # its unit is another than that of the rest
    on_cpu, found = passes._on_cpu, []
    for host in (True, False):
        monkeypatch.setattr(passes, "_on_cpu", lambda host=host: host)
        found.append(ncjax.measure(features, LABELS, batch_size=batch_size).moments)
    assert on_cpu()
    one, other = found
    assert one.describe() == other.describe()
    largest = np.abs(other.scatter).max()
    np.testing.assert_allclose(
        one.scatter / largest, other.scatter / largest, atol=2e-6
    )
    for name in ("count", "pivot", "offset", "spread", "unit"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_sizes_of_batches_are_few_and_near():
    for rows in (1, 2, 7, 8, 9, 100, 1000, 1025, 2**16):
        assert rows <= _shared(rows) <= 1.15 * rows
    assert len({_shared(rows) for rows in range(2**12, 2**13 + 1)}) == 9


def compiled(caplog):
    return [m for m in caplog.messages if "Finished XLA compilation" in m]


def test_as_many_rows_or_a_few_more_compile_nothing(caplog):
    inputs = {"classifier": W, "bias": B}
    ncjax.measure(FEATURES, LABELS, **inputs)
    with jax.log_compiles(), caplog.at_level("WARNING"):
        for rows in (600, 599, 580):
            ncjax.measure(FEATURES[:rows] * 2, LABELS[:rows], **inputs)
        assert compiled(caplog) == []
        ncjax.measure(FEATURES[:300], LABELS[:300], **inputs)
    assert len(compiled(caplog)) == 2  # both passes


def test_features_of_0_have_no_neco_score():
    outliers = np.ones((4, FEATURES.shape[1]), np.float32)
    plain = ncjax.measure(FEATURES, LABELS, ood_features=outliers)
    more = np.concatenate([outliers, 0 * outliers[:3]])
    found = ncjax.measure(FEATURES, LABELS, ood_features=more)
    for name in ("neco_in", "neco_ood", "neco_auroc"):
        assert found[name] == pytest.approx(plain[name], rel=1e-6)
    assert any(w.startswith("3 features are 0, have no NECO") for w in found.warnings)
    nothing = ncjax.measure(FEATURES, LABELS, ood_features=0 * outliers)
    assert np.isnan(nothing["neco_ood"])
    assert np.isnan(nothing["neco_auroc"])
