"""What is searched once: found again in the run, in the cache, and on resume."""

import io
import sys

import jax
import numpy as np
import pytest

import ncjax
from ncjax import codes
from ncjax.classifiers import assigned
from ncjax.config import ConfigError, default
from ncjax.runs.workdir import WorkdirError
from ncjax.training.kept import FOLDER, Kept, Lines

ROWS = np.arange(6.0).reshape(3, 2)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ncjax" / FOLDER


def never(progress):
    raise AssertionError("it was searched again")


def test_an_array_is_made_once(tmp_path, cache, capsys):
    run = tmp_path / "run"
    run.mkdir()
    kept = Kept(run)
    assert kept("code-3x2", lambda progress: ROWS) is kept("code-3x2", never)
    said = capsys.readouterr().err
    assert "Solving the code of 3 vectors in 2 dimensions: seconds for few" in said
    assert "Solved in " in said
    assert not (run / FOLDER).exists()  # nothing is written before the run says so
    np.testing.assert_array_equal(Kept()("code-3x2", never), ROWS)  # of the cache
    kept.write()
    (cache / "code-3x2.npy").write_bytes(b"")
    for folder in (run, run / "seeds" / "1"):
        if folder != run:
            (run / "config.json").write_text('{"seed": 0, "num_seeds": 2}')
        np.testing.assert_array_equal(Kept(folder)("code-3x2", never), ROWS)
    # What the run has been trained with goes before what another search has found.
    Kept()("code-3x2", lambda progress: ROWS + 1)
    np.testing.assert_array_equal(Kept(run)("code-3x2", never), ROWS)
    kept.write()  # and stays
    np.testing.assert_array_equal(Kept(run)("code-3x2", never), ROWS)
    assert (
        capsys.readouterr().err.count("Solving") == 1
    )  # the damaged file was no error


def test_a_run_without_its_vectors_does_not_go_on(tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints" / "3").mkdir(parents=True)
    (run / "config.json").write_text("{}")
    with pytest.raises(WorkdirError, match=r"code-3x2\.npy is missing: .* from a copy"):
        Kept(run)("code-3x2", never)
    (run / FOLDER).mkdir()
    np.save(run / FOLDER / "code-4x2.npy", ROWS)  # the run is of another configuration
    np.testing.assert_array_equal(Kept(run)("code-3x2", lambda progress: ROWS), ROWS)
    (run / FOLDER / "code-3x2.npy").write_bytes(b"damaged")
    with pytest.raises(WorkdirError, match=r"cannot be read: .* from a copy"):
        Kept(run)("code-3x2", never)
    np.save(run / FOLDER / "code-3x2.npy", ROWS * np.nan)
    with pytest.raises(WorkdirError, match="it holds no finite numbers"):
        Kept(run)("code-3x2", never)


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    np.testing.assert_array_equal(Kept()("order-1", lambda progress: ROWS), ROWS)
    assert "cannot be written, so it is not kept" in capsys.readouterr().err


def test_lines_of_a_search(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with Lines() as lines:
        for done in range(3):
            lines.update("starts", done, 2, 0.5 if done else np.nan)
        lines.update("polish", 1, 1, 0.75)
    said = sys.stderr.getvalue()
    assert "start/s" in said or "s/start" in said
    assert "best 0.75" in said
    assert "2/2" in said


def small(**options):
    config = default()
    config.num_epochs = 3
    config.model.widths = (16,)
    config.data.classes = (0, 1, 2, 3, 4, 5)
    config.data.examples_per_class = 20
    config.data.test_examples_per_class = 5
    config.batch_size = 40
    config.eval.num_points = 3
    config.checkpoint.every_epochs, config.checkpoint.keep = 1, 3
    config.checkpoint.max_share = 1.0
    config.classifier.name = "fixed"
    config.classifier.target = "code"
    config.classifier.project = 2
    config.classifier.update(options)
    return config


def train(config, folder, **how):
    return ncjax.train(config, folder, devices=jax.devices()[:1], progress=False, **how)


@pytest.mark.slow
@pytest.mark.parametrize("assign", ["worst", "linear"])
def test_a_run_that_goes_on_has_the_same_vectors(tmp_path, monkeypatch, cache, assign):
    """Bit for bit, without the cache, and without another search."""
    config = small(assign=assign)
    if assign == "linear":
        config.classifier.assign_epochs = (1, 3)
    whole = train(config, tmp_path / "whole")
    answers = iter([False, True])
    with pytest.raises(ncjax.Stopped):
        train(config, tmp_path / "run", stop=lambda: next(answers, True))
    for file in cache.glob("*"):
        file.unlink()
    for module, name in ((codes.code, "search_code"), (assigned, "assign_similar")):
        monkeypatch.setattr(module, name, None)
    np.testing.assert_equal(train(config, tmp_path / "run").rows, whole.rows)
    loaded = ncjax.load(tmp_path / "run")
    logits, features = loaded(loaded.dataset.test.images)
    weights, _ = loaded.classifier
    np.testing.assert_allclose(logits, features @ weights.T, atol=1e-4)
    assert len(list((tmp_path / "run" / FOLDER).glob("*"))) == (assign == "worst")


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"config\.classifier: .* In 1 dimension"):
        train(small(project=1), None)
    learned = small(name="linear", target="simplex", project=0, assign="worst")
    with pytest.raises(ConfigError, match="assign = 'worst' has no effect: 'linear'"):
        train(learned, None)
    moving = small(assign="linear")
    moving.loss.name = "dot_regression"
    with pytest.raises(ConfigError, match="needs class vectors that stay, and with"):
        train(moving, None)
    bare = small(assign="worst")
    bare.hierarchy.name = "none"
    with pytest.raises(
        ConfigError, match="distances in a class tree, and there is none"
    ):
        train(bare, None)
    assert not list(tmp_path.glob("run*"))
