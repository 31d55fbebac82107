"""Regression on a teacher of three targets, which collapses by weight decay.

Targets with the covariance eigenvalues 4, 1, 1/4, MSE, an MLP without BatchNorm: NRC1
falls to about 0.04, and without decay it stays at 0.7.  Theory: `ufm_regression`, the
same spectrum.  15 s on 2 cores.

    python -m ncjax.main --config=configs/synthetic_regression.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (400 epochs), "smoke" (20 epochs)."""
    config = recipes.regression_mlp("synthetic_regression")
    config.data.spectrum = (4.0, 1.0, 0.25)  # eigenvalues of the target covariance
    return recipes.smoke_epochs(config, preset)
