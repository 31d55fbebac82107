"""Experiments on unconstrained-features models: `ncjax ufm`."""

from ncjax.ufm.run.experiments import EXPERIMENTS as EXPERIMENTS
from ncjax.ufm.run.fields import default as default
from ncjax.ufm.run.fields import describe as describe
from ncjax.ufm.run.fields import validate as validate
from ncjax.ufm.run.sweep import sweep as sweep
