"""Runs side by side: a table over seeds, paired tests between groups, curves.

comparison = compare(["runs/ce", "runs/soft"])  # folders of runs, one run for each seed
ncjax compare runs/ce runs/soft --out=comparison
"""

from ncjax.comparison.core import compare as compare
from ncjax.comparison.result import Comparison as Comparison
from ncjax.comparison.runs import CompareError as CompareError
