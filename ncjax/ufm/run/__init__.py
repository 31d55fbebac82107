"""Experiments on unconstrained-features models: `ncjax ufm`."""

from ncjax.ufm.run.experiments import EXPERIMENTS
from ncjax.ufm.run.fields import default, describe, validate
from ncjax.ufm.run.report import Findings, Report, Statement
from ncjax.ufm.run.sweep import sweep

__all__ = [
    "EXPERIMENTS",
    "Findings",
    "Report",
    "Statement",
    "default",
    "describe",
    "sweep",
    "validate",
]
