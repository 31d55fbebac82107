"""A metric that is only registered is measured, trained with, drawn and compared."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ncjax
from ncjax import collapse
from ncjax.collapse.registry import COLLAPSE, Metric
from ncjax.comparison import compare
from ncjax.measurement import measure
from ncjax.runs import plots
from ncjax.runs.metrics import describe


def widest(inputs):
    """The longest centred class mean."""
    return jnp.max(jnp.linalg.norm(inputs.means[0], axis=1))


WIDEST = Metric(
    "widest",
    "widest mean",
    "length of the longest centred class mean",
    function=widest,
    limit=lambda num_classes, feature_dim: 7.0,
    part=COLLAPSE,
    smaller_is_better=False,
    log=True,
    compared=("nc",),
    curve="log",
    panel="Longest mean",
)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(collapse.METRICS, "widest", WIDEST)


def test_it_is_measured(registered):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = (rng.normal(size=(3, 4))[labels]).astype(np.float32)
    features += 0.1 * rng.normal(size=features.shape).astype(np.float32)
    result = measure(features, labels)
    means = np.stack([features[labels == k].mean(0) for k in range(3)])
    want = np.linalg.norm(means - means.mean(0), axis=1).max()
    assert result["widest"] == pytest.approx(want, rel=1e-5)
    row = next(x for x in str(result).splitlines() if x.split()[:1] == ["widest"])
    assert row.split()[1:3] == [f"{want:.4g}", "7"]
    assert row.endswith("length of the longest centred class mean")
    assert result.to_dict()["widest"] == result["widest"]


@pytest.mark.slow
def test_it_is_trained_with_and_compared(registered, tmp_path):
    runs = []
    for seed in (0, 1):
        config = ncjax.default()
        config.num_epochs, config.seed, config.batch_size = 2, seed, 64
        config.model.widths = (8,)
        config.data.examples_per_class = 10
        config.data.test_examples_per_class = 5
        config.hierarchy.name = "none"
        runs.append(tmp_path / f"run{seed}")
        history = ncjax.train(
            config, runs[-1], devices=jax.devices()[:1], progress=False
        )
    rows = [json.loads(x) for x in (runs[1] / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["nc/widest"] == history["nc/widest"][-1] > 0
    assert "widest mean" in history.table()
    titles = [axis.get_title(loc="left") for axis in plots.collapse(history).axes]
    assert "Longest mean" in titles
    events = b"".join(p.read_bytes() for p in runs[1].glob("events.out.tfevents.*"))
    assert b"nc/widest" in events

    comparison = compare(runs)
    assert "widest mean ↑" in comparison.table()
    assert "nc/widest" in comparison.to_dict()["metrics"]
    titles = [axis.get_title(loc="left") for axis in comparison.figure().axes]
    assert "widest mean" in titles


def test_a_key_says_where_the_value_stands(registered):
    assert describe("nc/widest").title == "widest mean"
    assert describe("test/widest").title == "test widest mean"
    deep = describe("layers/01_stem/nc/widest")
    assert deep.title == "widest mean (layers/01_stem/nc)"
    assert deep.log
    assert describe("nc/nc1").curve == "log"
    assert describe("test/nc1").curve is None
    assert (describe("train/loss").log, describe("test/loss").log) == (True, False)
    assert describe("probe/x/nc1").title == "probe/x/nc1"  # it may be anything
    unknown = describe("tree/level1_x")
    assert (unknown.key, unknown.title, unknown.log) == (
        *("tree/level1_x", "tree/level1_x"),
        False,
    )


def test_a_key_is_registered_once():
    with pytest.raises(ValueError, match="Two metrics have the key 'widest'"):
        collapse.registry.collect((WIDEST,), (WIDEST,))
