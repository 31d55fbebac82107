"""The verdict on ordered levels, by hand."""

import numpy as np

from ncjax.report.verdict import verdict
from ncjax.runs.history import History


def test_each_word():
    row = {"epoch": 9, "train/loss": 0.1, "nc/onc1": 1e-3, "nc/onc2": 2e-3}
    row |= {"train/error": 0.0, "nc/onc3": 0.1, "nc/order": 1.0}

    def state(**change):
        named = {k.replace("_", "/", 1): v for k, v in change.items()}
        return verdict(History([row | named])).state

    assert state() == "collapsed"
    assert state(nc_onc2=0.05) == "partly collapsed"
    assert state(nc_order=0.9) == state(train_error=0.1) == "not collapsed"
    assert state(train_loss=np.inf) == "diverged"
    assert state(nc_onc1=np.nan) == "no verdict"
