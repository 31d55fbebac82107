"""`measure_labelled`: the numbers of each target, whatever the batches; the command."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import multilabel, ordinal, regression, tasks
from ncjax.measurement.labelled import measure_labelled
from ncjax.measurement.sources import MeasureError
from ncjax.moments import class_moments
from tests.measurement.command import run

rng = np.random.default_rng(0)
N, D = 120, 8
WEIGHTS = np.float32(rng.normal(size=(5, D)))
BIAS = np.float32(rng.normal(size=5))
VECTORS = np.float32(rng.normal(size=(N, 2)))
LEVELS = np.arange(N) % 5
SETS = (np.eye(5)[LEVELS] + np.eye(5)[rng.integers(0, 5, N)]) > 0
TASKS = np.stack([LEVELS % 2, LEVELS // 2], 1)


def near(rows):
    return np.float32(rows + 0.1 * rng.normal(size=(N, D)))


def equal(found, expected, prefix="nc/"):
    assert len(expected) > 3
    for key, value in expected.items():
        if np.isfinite(value):
            got = found[prefix + key]
            np.testing.assert_allclose(got, value, rtol=2e-3, atol=2e-6, err_msg=key)


def test_vectors():
    features, given = near(VECTORS @ WEIGHTS[:2]), {"classifier": WEIGHTS[:2]}
    given |= {"bias": BIAS[:2], "target": "vector"}
    found = measure_labelled(features, VECTORS, batch_size=50, **given)
    expected = regression.measure_features(features, VECTORS, WEIGHTS[:2], BIAS[:2])
    assert found["train/r2"] == pytest.approx(float(expected.pop("r2")), rel=1e-4)
    equal(found, expected)


@pytest.mark.slow
def test_a_test_set_a_preset_and_no_classifier():
    features, given = near(VECTORS @ WEIGHTS[:2]), {"classifier": WEIGHTS[:2]}
    given |= {"bias": BIAS[:2], "target": "vector"}
    found = measure_labelled(features, VECTORS, **given)
    other = {"test_features": features[:60], "test_labels": VECTORS[:60]}
    both = measure_labelled(
        features, VECTORS, preset="andriopoulos2024", **given, **other
    )
    outputs = features[:60] @ WEIGHTS[:2].T + BIAS[:2]
    error = ((outputs - VECTORS[:60]) ** 2).sum(1).mean()
    assert both["test/squared_error"] == pytest.approx(error, rel=1e-4)
    assert both["nc/nrc1"] == pytest.approx(found["nc/nrc1_unit"], rel=1e-3)
    bare = measure_labelled(features, VECTORS, target="vector")
    assert bare["nc/nrc1"] == pytest.approx(found["nc/nrc1"], rel=1e-3)
    assert not {"nc/nrc2", "train/r2"} & set(bare.values)
    assert "Without a classifier" in str(bare)
    with pytest.raises(KeyError, match="nc/nrc1"):
        bare["nc/nrc"]


@pytest.mark.slow
def test_levels_by_a_line_and_by_its_rows():
    features = near(np.outer(LEVELS, WEIGHTS[0]))
    line, cuts = 0.2 * WEIGHTS[:1], np.sort(BIAS[:4])
    found = measure_labelled(
        features, LEVELS, target="ordinal", classifier=line, bias=cuts
    )
    moments = class_moments(features, LEVELS, 5, scatter="pooled")
    equal(found, ordinal.measure(moments, jnp.asarray(line[0]), jnp.asarray(cuts)))
    decided = (features @ line[0][:, None] > cuts).sum(1)
    assert found["train/mae"] == pytest.approx(abs(decided - LEVELS).mean(), abs=1e-6)


@pytest.mark.slow
def test_sets():
    features = near(SETS @ WEIGHTS)
    found = measure_labelled(
        features, SETS * 1, target="set", classifier=WEIGHTS, batch_size=32
    )
    equal(found, multilabel.measure_features(features, SETS, WEIGHTS))


@pytest.mark.slow
def test_tasks():
    features = near(np.eye(2, D)[TASKS[:, 0]] + np.eye(3, D, 2)[TASKS[:, 1]])
    found = measure_labelled(
        features, TASKS, target="tasks", classifier=WEIGHTS, batch_size=64
    )
    expected = tasks.measure_features(features, TASKS, (2, 3), WEIGHTS)
    expected.pop("nc4")
    equal(found, expected)
    assert found.measured["outputs"] == 5


def test_the_command(tmp_path, capsys):
    path, out = tmp_path / "all.npz", tmp_path / "out.json"
    features = near(VECTORS @ WEIGHTS[:2])
    np.savez(path, features=features, y=VECTORS, classifier=WEIGHTS[:2])
    status, said, _ = run([path, "--target=vector", "--json", out], capsys)
    assert status == 0
    assert "features beside their first t principal directions" in said
    written = json.loads(out.read_text())
    found = measure_labelled(features, VECTORS, target="vector", classifier=WEIGHTS[:2])
    assert written["nc/nrc1"] == pytest.approx(found["nc/nrc1"], rel=1e-6)
    assert written["measured"]["target"] == "vector"
    for flag, why in (("--pool=mean", "for classes"), ("--preset=papyan", "Unknown")):
        status, _, error = run([path, "--target=vector", flag], capsys)
        assert (status, why in error) == (2, True)
    assert "--target" in run([path], capsys)[2]


def test_rows_that_are_not_finite():
    features = near(VECTORS @ WEIGHTS[:2])
    features[70, 1] = np.nan
    with pytest.raises(MeasureError, match="the first is row 70"):
        measure_labelled(features, VECTORS, target="vector", batch_size=50)
