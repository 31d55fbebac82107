"""Classifiers that follow the batches: on devices, in several seeds, continued."""

import jax
import numpy as np
import pytest

import ncjax
from ncjax.runs.workdir import Workdir
from tests.training.test_train import run, small

KEYS = ("train/loss", "nc/nc1", "nc/nc2", "nc/nc3", "nc/gnc1", "nc/gnc3", "test/loss")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["class_means", "nearest"])
def test_vectors_that_move_with_the_batches(name, tmp_path, monkeypatch):
    """One run, the same on eight devices, beside another seed, and in two parts."""
    config = small()
    config.classifier.name = name
    # Of dead units the frame would be that of rounding.
    config.classifier.project = 9 if name == "nearest" else 5
    # NC1 of the first epochs, 66, is that of the weakest direction of the means, which
    # a frame that follows them turns by rounding: 1 % between one and eight devices.
    keys = [key for key in KEYS if name == "class_means" or "nc1" not in key]
    keys = [key for key in keys if name == "class_means" or "gnc" not in key]
    whole = run(config, tmp_path / "whole")
    eight = ncjax.train(config, devices=jax.devices(), progress=False)
    for key in keys:
        np.testing.assert_allclose(eight[key], whole[key], rtol=2e-3, err_msg=key)
    write = Workdir.write

    def interrupted(self, row):
        if row["epoch"] == 3:
            raise KeyboardInterrupt
        write(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(Workdir, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "cut")
    assert run(config, tmp_path / "cut").rows == whole.rows
    config.num_seeds = 2
    both = run(config)
    for key in keys:
        alone = both.seeds[0][key]
        np.testing.assert_allclose(alone, whole[key], rtol=2e-3, err_msg=key)
        assert not np.allclose(both.seeds[1][key], whole[key], rtol=1e-2), key
