"""A run whose data were changed since its begin is refused, before it is compiled."""

import numpy as np
import pytest

import ncjax
from ncjax import WorkdirError
from ncjax.training.experiment import Experiment


def config_of(path):
    config = ncjax.default()
    config.data.name = "arrays"
    config.data.path = str(path)
    config.model.widths = (8,)
    config.num_epochs, config.batch_size = 1, 24
    config.hierarchy.name = "none"
    return config


@pytest.fixture
def files(tmp_path):
    """An .npz file, and what changes one label in it."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = (labels[:, None] + rng.normal(size=(60, 4))).astype(np.float32)
    path = tmp_path / "toy.npz"
    np.savez(path, train_images=images, train_labels=labels, **held_out(images, labels))

    def change():
        other = np.where(np.arange(60) == 7, 2, labels)
        assert (other != labels).sum() == 1
        test = held_out(images, labels)
        np.savez(path, train_images=images, train_labels=other, **test)

    return path, change


def held_out(images, labels):
    return {"test_images": images[:9], "test_labels": labels[:9]}


def snapshot(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def swept(config, workdir):
    ncjax.sweep(config, {"optimizer.learning_rate": "0.1,0.2"}, workdir, progress=False)


def trained(config, workdir):
    ncjax.train(config, workdir, progress=False)


@pytest.mark.slow  # the default tests of Record refuse other data too
@pytest.mark.parametrize(("run", "seeds"), [(trained, 1), (trained, 2), (swept, 1)])
def test_other_labels_are_refused(files, tmp_path, monkeypatch, run, seeds):
    path, change = files
    config = config_of(path)
    config.num_seeds = seeds
    folder = tmp_path / "run"
    run(config, folder)
    before = snapshot(folder)
    change()
    monkeypatch.setattr(Experiment, "compile", None)
    with pytest.raises(WorkdirError, match="the training labels of the data set toy"):
        run(config, folder)
    assert snapshot(folder) == before
