"""Regression on the digits: five moments of the intensities of each image.

Mean place, variances and covariance of the ink, MSE, an MLP without BatchNorm; other
targets are `--config.data.view=coordinates` and `angle`.  Theory:
`ufm_digits_regression`, with the spectrum of these targets.  20 s on 2 cores.

    python -m ncjax.main --config=configs/digits_regression.py
"""

from ml_collections import ConfigDict

from ncjax.config import recipes


def get_config(preset: str = "") -> ConfigDict:
    """Presets: "" (400 epochs), "smoke" (20 epochs)."""
    config = recipes.regression_mlp("digits_regression")
    config.data.view = "moments"  # or "coordinates", "angle"
    return recipes.smoke_epochs(config, preset)
