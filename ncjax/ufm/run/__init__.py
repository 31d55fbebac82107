"""Experiments on unconstrained-features models: `ncjax ufm`."""

from ncjax.ufm.run.experiments import EXPERIMENTS as EXPERIMENTS
from ncjax.ufm.run.fields import (
    default as default,
    describe as describe,
    validate as validate,
)
from ncjax.ufm.run.sweep import sweep as sweep
