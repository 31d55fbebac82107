"""The experiments by name.

To add one: write its `Experiment` in a file of its own, and add a line here.
"""

from __future__ import annotations

from ncjax.ufm.run.bias_phase import BIAS_PHASE
from ncjax.ufm.run.experiment import Experiment
from ncjax.ufm.run.fixed_classifier import FIXED_CLASSIFIER
from ncjax.ufm.run.hadamard_flow import HADAMARD_FLOW
from ncjax.ufm.run.label_sets import LABEL_SETS
from ncjax.ufm.run.low_rank import LOW_RANK
from ncjax.ufm.run.minority_collapse import MINORITY
from ncjax.ufm.run.muon import MUON
from ncjax.ufm.run.nc0_map import NC0_MAP
from ncjax.ufm.run.optimum import OPTIMUM
from ncjax.ufm.run.ordinal_collapse import ORDINAL
from ncjax.ufm.run.regression_collapse import REGRESSION
from ncjax.ufm.run.row_sum import ROW_SUM
from ncjax.ufm.run.signed_descent import SIGNED_DESCENT
from ncjax.ufm.run.task_frames import TASK_FRAMES
from ncjax.ufm.run.tree_frames import TREE_FRAMES

EXPERIMENTS: dict[str, Experiment] = {
    "optimum": OPTIMUM,
    "flow_hadamard": HADAMARD_FLOW,
    "bias_phase": BIAS_PHASE,
    "minority": MINORITY,
    "deep": LOW_RANK,
    "regression": REGRESSION,
    "ordinal": ORDINAL,
    "label_sets": LABEL_SETS,
    "fixed_etf": FIXED_CLASSIFIER,
    "nc0_map": NC0_MAP,
    "row_sum": ROW_SUM,
    "signed_descent": SIGNED_DESCENT,
    "muon": MUON,
    "hierarchy": TREE_FRAMES,
    "tasks": TASK_FRAMES,
}
