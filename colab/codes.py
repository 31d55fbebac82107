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
# # More classes than dimensions
#
# Ten classes have a simplex in nine dimensions or more.  With fewer, what takes its
# place is a **softmax code**: the unit vectors with the greatest margin, the least
# distance of a vector from the hull of the others.  This notebook finds such codes,
# sees how good they can be at all, fixes one as the classifier of a network, and asks
# which class should get which of its vectors.
# It takes two to three minutes on a CPU.

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
# %matplotlib inline
import tempfile

import numpy as np
from matplotlib.figure import Figure

import ncjax
from ncjax.codes import assign_similar, assignments, best_margin
from ncjax.hierarchy import BUILTIN
from ncjax.ufm.sphere import sphere_optimum

# %% [markdown]
# ## Codes
#
# `ncjax.codes.solve` finds the code of any number of classes in any dimension, and says
# how near it is to what is proved or known.

# %%
code = ncjax.codes.solve(12, 3, starts=8)
code

# %% [markdown]
# Twelve vectors in three dimensions are an icosahedron.  Lines join nearest neighbours.

# %%
figure = Figure(figsize=(4, 4), layout="constrained")
axes = figure.add_subplot(projection="3d")
near = code.vectors @ code.vectors.T > np.cos(np.radians(code.angle)) - 1e-3
for i, j in zip(*np.nonzero(np.triu(near, 1)), strict=True):
    axes.plot(*code.vectors[[i, j]].T, color="0.6", lw=1)
axes.scatter(*code.vectors.T, s=40, depthshade=False)
axes.set_box_aspect((1, 1, 1))
axes.set_axis_off()
axes.set_title("12 vectors in 3 dimensions")
figure

# %% [markdown]
# How much margin is lost with each dimension?  For ten classes the best is known for
# every d; for a hundred there are bounds that no code exceeds.

# %%
figure = Figure(figsize=(6, 3.5), layout="constrained")
axes = figure.subplots()
dims = np.arange(2, 12)
ten = [best_margin(10, int(d))[0] for d in dims]
hundred = [best_margin(100, int(d))[0] for d in dims]
axes.plot(dims, ten, "o-", label="10 classes, best known")
axes.plot(dims, hundred, "s--", label="100 classes, best known or upper bound")
axes.set_xlabel("dimensions of the features")
axes.set_ylabel("margin")
axes.set_ylim(bottom=0)
axes.legend(frameon=False)
figure

# %%
for dim in (2, 4, 5, 9):
    print(best_margin(10, dim)[1])
print(best_margin(100, 10)[1])

# %% [markdown]
# ## Where they come from
#
# Cross-entropy of cosines over a temperature, on unit features and unit classifiers
# that are free: as the temperature falls, the optimum becomes the code.

# %%
temperatures = (1.0, 0.5, 0.3, 0.2, 0.1, 0.05)
best = ncjax.codes.known_margin(7, 3)
margins = [
    ncjax.codes.describe(sphere_optimum(7, 3, t, starts=3).classifier).margin
    for t in temperatures
]
figure = Figure(figsize=(6, 3), layout="constrained")
axes = figure.subplots()
axes.semilogx(temperatures, margins, "o-", label="optimum of the free features")
axes.axhline(best, color="0.5", ls="--", label="best margin known")
axes.invert_xaxis()
axes.set_xlabel("temperature")
axes.set_ylabel("margin, 7 classes in 3 dimensions")
axes.legend(frameon=False)
figure

# %% [markdown]
# ## A network with a code as its classifier
#
# `config.classifier.target = "code"` solves the code in as many dimensions as the
# features have and never changes it.  `project` puts a linear layer of that width
# before it, as what comes out of a ReLU has no negative entries.


# %%
def train(dim, assign="none"):
    config = ncjax.default()
    config.num_epochs = 40
    config.classifier.name = "fixed"
    config.classifier.target = "code"
    config.classifier.project = dim
    config.classifier.norm = 10.0  # the length of the vectors, an inverse temperature
    config.classifier.assign = assign
    config.optimizer.weight_decay = 1e-3
    config.eval.num_points = 4
    return ncjax.train(config, tempfile.mkdtemp(), progress=False)


# %%
runs = {dim: train(dim) for dim in (2, 3, 5)}
for dim, run in runs.items():
    last = run.rows[-1]
    print(
        f"d = {dim}: test error {100 * last['test/error']:.1f} %, "
        f"GNC1 {last['nc/gnc1']:.3f}, margin of the class means "
        f"{last['nc/one_vs_rest']:.3f}, of the code {last['nc/one_vs_rest_w']:.3f}"
    )

# %% [markdown]
# In two dimensions everything can be seen: the ten vectors of the code, and the
# features of the test images around them.

# %%
run = ncjax.load(runs[2].workdir)
images, labels = run.dataset.test.images, run.dataset.test.labels
_, features = run(images)
weights, _ = run.classifier
figure = Figure(figsize=(4.5, 4.5), layout="constrained")
axes = figure.subplots()
axes.scatter(*np.asarray(features).T, c=labels, cmap="tab10", s=6)
reach = np.linalg.norm(features, axis=1).max() / np.linalg.norm(weights[0])
for k, w in enumerate(np.asarray(weights) * reach):
    axes.plot([0, w[0]], [0, w[1]], color="0.7", lw=1, zorder=0)
    axes.annotate(str(k), 1.06 * w, ha="center", va="center")
axes.set_aspect("equal")
axes.set_axis_off()
axes.set_title("digits in two dimensions, and the vectors of their classes")
figure

# %% [markdown]
# ## Which class gets which vector?
#
# For a simplex every assignment is the same.  On a square there are three that differ.
# A class tree says which classes are alike: the best assignment puts these on
# neighbouring vectors, the worst apart.

# %%
square = ncjax.codes.solve(4, 2).vectors
print(len(list(assignments(square @ square.T))), "assignments of a square")
tree = BUILTIN["digits"]()
polygon = ncjax.codes.solve(10, 2).vectors
for worst in (False, True):
    found = assign_similar(-tree.distances(), polygon @ polygon.T, worst=worst)
    around = np.argsort(found.order)
    print("worst" if worst else "best ", "around the circle:", *around)

# %%
for assign in ("quadratic", "worst"):
    last = train(2, assign).rows[-1]
    print(f"{assign:9}: test error {100 * last['test/error']:.1f} %")

# %% [markdown]
# `assign = "linear"` gives each class the vector that is nearest to its mean, after
# some epochs.  `ncjax compare --theory` puts the optimum of the features for these
# vectors beside a trained network; `ncjax codes --classes=100 --dim=10 --out=code.npy`
# writes a code to a file.
