"""The verdict on regression, by hand."""

import numpy as np

from ncjax.report.verdict import verdict
from ncjax.runs.history import History


def test_each_word():
    row = {"epoch": 9, "train/loss": 0.1, "nc/nrc1": 1e-3, "nc/nrc2": 2e-3}
    row |= {"train/r2": 0.99, "nc/nrc3": 0.1}

    def state(**change):
        named = {k.replace("_", "/", 1): v for k, v in change.items()}
        return verdict(History([row | named])).state

    assert state() == "collapsed"
    assert state(nc_nrc2=0.05) == state(train_r2=0.7) == "partly collapsed"
    assert state(train_r2=0.1) == state(nc_nrc1=0.5) == "not collapsed"
    assert state(train_loss=np.inf) == "diverged"
    assert state(nc_nrc1=np.nan) == "no verdict"
