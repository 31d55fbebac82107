"""A run is read back: its network, classifier, class means, history; bad input."""

import json
import shutil
from functools import partial

import jax
import numpy as np
import pytest

import ncjax
from ncjax import WorkdirError
from ncjax.training.stored import measure_again
from tests.training.test_train import ONE, rows_of, run, small


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of four epochs with checkpoints of epochs 2 and 4."""
    path = tmp_path_factory.mktemp("loaded") / "run"
    run(small(), path)
    return path


@pytest.fixture(scope="module", params=[2, 4])
def loaded(request, folder):
    return ncjax.load(folder, request.param)


def logged(folder, epoch):
    return next(row for row in rows_of(folder) if row["epoch"] == epoch)


@pytest.mark.parametrize("epoch", [2, 4])
def test_a_checkpoint_gives_the_numbers_logged_then(folder, epoch):
    found = measure_again(folder, epoch, devices=ONE)
    then = logged(folder, epoch)
    assert found.keys() == then.keys() - {"running/loss", "running/error"}
    assert "nc/nc1" in found
    null = {name for name, x in then.items() if x is None}
    assert all(not np.isfinite(found[name]) for name in null)
    assert {k: found[k] for k in found.keys() - null} == {
        k: then[k] for k in found.keys() - null
    }


def test_the_network_is_that_of_the_epoch(folder, loaded):
    then, data = logged(folder, loaded.epoch), loaded.dataset
    for split, part in (("train", data.train), ("test", data.test)):
        logits, features = loaded(part.images)
        error = np.mean(np.asarray(logits).argmax(1) != part.labels)
        assert error == pytest.approx(then[f"{split}/error"], abs=1e-7)
    weights, bias = loaded.classifier
    assert (weights.shape, bias.shape) == ((10, 8), (10,))
    assert features.shape == (len(data.test), 8)
    np.testing.assert_allclose(features @ weights.T + bias, logits, atol=1e-5)


def test_the_class_means_of_a_run_with_all_layers(loaded, monkeypatch):
    """They are those of the last layer."""
    monkeypatch.setattr(type(loaded.network), "feature_dims", lambda _: [16, 8])
    means = loaded.class_moments(scatter="none").means
    np.testing.assert_allclose(means, loaded.class_means, rtol=1e-5)


def test_its_class_means_are_those_that_were_measured(folder, loaded):
    then, train = logged(folder, loaded.epoch), loaded.dataset.train
    _, features = loaded(train.images)
    for k in range(10):
        own = np.asarray(features)[train.labels == k].astype(np.float64).mean(0)
        np.testing.assert_allclose(loaded.class_means[k], own, rtol=1e-4, atol=1e-6)
    names = ("nc1", "nc2", "nc3", "cdnv")
    compute = jax.jit(partial(ncjax.collapse.measure, only=names))
    found = compute(loaded.moments, *loaded.classifier)
    for name in names:
        assert float(found[name]) == pytest.approx(then[f"nc/{name}"], rel=1e-4)


def test_history_config_and_the_newest_by_default(folder):
    loaded = ncjax.load(str(folder))
    assert (loaded.epoch, loaded.kept, loaded.path) == (4, (2, 4), folder)
    assert loaded.config.model.widths == (16, 8)
    assert loaded.history["epoch"].tolist() == [1, 2, 3, 4]
    then = [row["nc/nc1"] for row in rows_of(folder)]
    assert loaded.history["nc/nc1"].tolist() == then
    assert repr(loaded) == (
        f"LoadedRun({str(folder)!r}, epoch 4 of 4; digits, mlp, cross_entropy)"
    )


def test_batches_and_gradients(loaded):
    """More images than one batch; and a network is a function of images."""
    images = np.tile(loaded.dataset.test.images, (12, 1, 1, 1))
    assert len(images) > loaded.config.eval.batch_size
    whole, _ = loaded(images)
    np.testing.assert_allclose(whole[:100], loaded(images[:100])[0], rtol=1e-5)
    slope = jax.grad(lambda x: loaded(x)[0][0].sum())(images[:2].astype(np.float32))
    assert np.abs(slope[0]).sum() > 0
    assert np.abs(slope[1]).sum() == 0
    with pytest.raises(ValueError, match=r"shape \(8, 8, 1\); .* \[n, 8, 8, 1\]"):
        loaded(images[0])


def test_nothing_is_written(folder):
    before = [(p, p.stat().st_mtime_ns) for p in sorted(folder.rglob("*"))]
    ncjax.load(folder, 2)
    assert [(p, p.stat().st_mtime_ns) for p in sorted(folder.rglob("*"))] == before


@pytest.fixture
def changed(folder, tmp_path):
    """A copy of the run whose config.json can be changed."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)

    def change(**fields):
        path = copy / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))
        return copy

    return change


def test_what_cannot_be_loaded(folder, changed, tmp_path):
    with pytest.raises(WorkdirError, match=r"no checkpoint of epoch 3\. .* 2, 4 \("):
        ncjax.load(folder, 3)
    with pytest.raises(WorkdirError, match=r"seeds 0 alone, and seed=7 was asked"):
        ncjax.load(folder, seed=7)
    with pytest.raises(WorkdirError, match="is not the folder of a run"):
        ncjax.load(tmp_path)
    with pytest.raises(WorkdirError, match=r"cannot be read by this .* = 'mlp'"):
        ncjax.load(changed(model="mlp"))
    new = {"name": "mlp", "depth_of_later_versions": 3}
    with pytest.raises(WorkdirError, match=r"config\.model\.depth_of.* ncjax 9\.0: "):
        ncjax.load(changed(model=new, about={"ncjax": "9.0"}))
    shutil.rmtree(changed(model={"name": "mlp", "widths": [16, 8]}) / "checkpoints")
    with pytest.raises(WorkdirError, match="no whole checkpoint: it did not come to"):
        ncjax.load(tmp_path / "copy")
    with pytest.raises(WorkdirError, match=r"seeds 0 to 2, and none was chosen"):
        ncjax.load(changed(num_seeds=3))
