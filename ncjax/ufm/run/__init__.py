"""Experiments on unconstrained-features models: `ncjax ufm`."""

from ncjax.ufm.run.experiments import EXPERIMENTS
from ncjax.ufm.run.fields import default, describe, validate
from ncjax.ufm.run.sweep import sweep

__all__ = ["EXPERIMENTS", "default", "describe", "sweep", "validate"]
