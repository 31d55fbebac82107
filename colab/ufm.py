# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The geometry that theory predicts, certified
#
# The unconstrained-features model keeps the last layer of a network and lets its
# features move freely.  Its optimum can be solved, **proven** to be the global one, and
# reached by gradient flow.  This notebook does all three for soft labels on a class
# tree, where the simplex is *not* the answer.  It takes about two minutes on a CPU.

# %%
# Does nothing in a clone, or where ncjax is installed.  Elsewhere, as in Colab, write
# here what pip shall install: "git+" and the address of the repository from which you
# have this notebook, or the path of a folder or an archive of it.
SOURCE = ""

import importlib.util
import pathlib
import subprocess
import sys

clone = next((p for p in (".", "..") if pathlib.Path(p, "ncjax").is_dir()), None)
if clone is not None:
    sys.path.insert(0, clone)
elif importlib.util.find_spec("ncjax") is None:
    assert SOURCE, "ncjax is not installed: give SOURCE, above, and run this again."
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", SOURCE], check=True)

# %%
import numpy as np

from ncjax import hierarchy, ufm
from ncjax.hierarchy.soft_labels import soft_label_optimum
from ncjax.ufm.run import default, figures, sweep
from ncjax.ufm.run.sweep import parse_sweep

# %% [markdown]
# ## A certified optimum
#
# Eight classes, the leaves of a binary tree.  The gap is a bound from duality: no point
# at all can be better than this one by more.

# %%
tree = hierarchy.balanced(2, 3)
problem = ufm.Problem.create(
    "soft_labels", hierarchy=tree, beta=4.0, lambda_w=1e-3, lambda_h=1e-3
)
solution = ufm.solve(problem)
print(ufm.certify(problem, solution.params).verdict)

theory = soft_label_optimum(tree, beta=4.0, c=1e-3)
shape = ufm.geometry(solution.params)
print(f"f    {float(solution.objective):.12f}  theory {theory.objective:.12f}")
print(f"NC2  {float(shape.nc2):.12f}  theory {theory.nc2:.12f}  (simplex: 0)")

# %% [markdown]
# ## Gradient flow gets there
#
# From a small random start, until the duality gap is below 1e-8.  Coarse contrasts are
# learned first: large singular values belong to the top of the tree.

# %%
path = ufm.flow(problem, 0, t_max=1e6, stop_gap=1e-8)
print(f"stopped at t = {path.times[-1]:.0f} after {path.steps} steps")
figures.optimum(
    path,
    float(solution.objective),
    np.asarray(shape.gram),
    theory.gram,
    tree,
    "theory",
)

# %% [markdown]
# ## A phase diagram
#
# The same for 400 pairs of weight decay and sharpness at once.  The lines are where the
# theorem lets levels of the tree merge, K c = an eigenvalue of the soft labels.

# %%
config = default()
config.model.loss, config.model.tree = "soft_labels", "2x2x2"
swept = {"model.c": "1e-3..1e-1:20", "model.beta": "1..30:20"}
axes = parse_sweep(swept, (), config)
report = sweep(config, axes, lambda stage, **values: None)
report

# %%
report.plot()
