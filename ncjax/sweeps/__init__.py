"""Sweeps: many runs that differ in fields of the configuration, in few programs."""

from ncjax.sweeps.run import sweep as sweep
from ncjax.sweeps.table import Sweep as Sweep
