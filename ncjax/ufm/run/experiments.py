"""The experiments by name: configuration and progress -> report."""

from __future__ import annotations

from collections.abc import Callable

from ncjax.ufm.run.deep import deep
from ncjax.ufm.run.hadamard import hadamard
from ncjax.ufm.run.optimum import optimum
from ncjax.ufm.run.others import fixed_etf, regression
from ncjax.ufm.run.phases import bias_phase, minority
from ncjax.ufm.run.report import Report

EXPERIMENTS: dict[str, Callable[..., Report]] = {
    "optimum": optimum,
    "flow_hadamard": hadamard,
    "bias_phase": bias_phase,
    "minority": minority,
    "deep": deep,
    "regression": regression,
    "fixed_etf": fixed_etf,
}
