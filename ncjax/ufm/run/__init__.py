"""Experiments on unconstrained-features models: `ncjax ufm`."""

from ncjax.ufm.run.experiments import EXPERIMENTS
from ncjax.ufm.run.report import Report, Statement
from ncjax.ufm.run.settings import default, validate
from ncjax.ufm.run.sweep import sweep

__all__ = ["EXPERIMENTS", "Report", "Statement", "default", "sweep", "validate"]
