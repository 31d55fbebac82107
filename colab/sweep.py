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
# # When does collapse happen?
#
# Every paper on neural collapse has its sweep: networks over learning rates, weight
# decays, losses.  Here one call trains a network for every combination, all in one
# program, and draws the phase diagram.  It takes less than three minutes on a CPU.

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
import ncjax

# %% [markdown]
# ## One program, 24 networks
#
# Six learning rates by equal factors, four weight decays.  These are numbers, so all
# networks are members of one program; fields such as widths or the name of the loss
# would make programs that follow one another.

# %%
config = ncjax.default()
config.num_epochs = 60
config.eval.num_points = 15

found = ncjax.sweep(
    config,
    {
        "optimizer.learning_rate": "3e-3..1:6",
        "optimizer.weight_decay": "0,1e-3,1e-2,5e-2",
    },
)
print(found)

# %% [markdown]
# ## The phase diagram
#
# Collapse takes both: a rate that reaches error 0, and decay that keeps pulling after
# it.  Without decay NC1 hardly falls; with too much of it at a large rate the network
# does not fit the digits any more.

# %%
found.plot()

# %% [markdown]
# Every column is an array, with a value for each run.

# %%
best = found["nc/nc1"].argmin()
print("smallest NC1:", {name: found[name][best] for name in found.fields})
print("NC1", found["nc/nc1"][best], " test error", found["test/error"][best])

# %% [markdown]
# ## A question of your own
#
# Lists of words work too, and fields that change together.  With three seeds: does
# label smoothing bring the means nearer to the simplex, and the classifier to them?

# %%
config.num_epochs = 40
config.num_seeds = 3
smooth = ncjax.sweep(config, {"loss.label_smoothing": [0.0, 0.05, 0.1, 0.2]})
for setting, nc3 in smooth.means("nc/nc3"):
    print(f"{setting}: NC3 {nc3.centre:.3f} [{nc3.low:.3f}, {nc3.high:.3f}]")
smooth.plot()

# %% [markdown]
# On the command line this is
#
# ```bash
# ncjax train --config=configs/digits.py --config.num_seeds=3 \
#     --sweep.loss.label_smoothing=0,0.05,0.1,0.2
# ```
