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
# # Watch a network collapse
#
# Late in training a classifier's features gather at their class means (**NC1**), the
# means form a simplex equiangular tight frame (**NC2**), the last layer lines up with
# them (**NC3**), and the network decides as the nearest class mean does (**NC4**).
# This notebook trains a small network on real handwritten digits until that happens,
# shows the curves, measures features of your own, and records a training of your own.
# It takes about a minute on a CPU.

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
import jax
import numpy as np

import ncjax

jax.devices()

# %% [markdown]
# ## Train into the terminal phase
#
# A configuration has every field with its default; a run is one function call.  With
# a second argument, a folder, the run is also written there and can be continued.

# %%
config = ncjax.default()
config.num_epochs = 300
config.model.widths = (128, 128, 64)
config.optimizer.schedule = "cosine"
config.optimizer.weight_decay = 1e-2
config.eval.layers = "all"

history = ncjax.train(config)
history

# %% [markdown]
# The training error reaches 0 early; collapse is what happens after that, in the
# shaded terminal phase.  `history["nc/nc1"]` is one of the curves, and
# `history.to_pandas()` has all of them.

# %%
history.plot()

# %% [markdown]
# Measured at every layer, collapse deepens with depth:

# %%
ncjax.plots.layers(history)

# %% [markdown]
# ## Measure your own features
#
# `ncjax.measure` takes the features and labels of any framework, as arrays or batch by
# batch, and the last layer if you have it.  Here: 10 classes around the vertices of a
# simplex in 64 dimensions.

# %%
K, d, n = 10, 64, 200
rng = np.random.default_rng(0)
rotation, _ = np.linalg.qr(rng.normal(size=(d, K)))
simplex = (np.eye(K) - 1 / K) @ rotation.T  # centred, equal norms, equal angles
labels = np.repeat(np.arange(K), n)
noise = rng.normal(size=(K * n, d)).astype("float32")

result = ncjax.measure(simplex[labels] + 0.1 * noise, labels, classifier=simplex)
result

# %%
result.plot()

# %% [markdown]
# The less noise, the more collapse; every number comes with the precision that the
# features allow.

# %%
for scale in (1.0, 1e-1, 1e-2, 1e-4):
    features = (simplex[labels] + scale * noise).astype("float32")
    nc = ncjax.measure(features, labels, classifier=simplex)
    print(
        f"noise {scale:6g}:  NC1 {nc['nc1']:.2e} (rounding alone {nc['nc1_floor']:.0e})"
        f"  NC2 {nc['nc2']:.4f}  NC3 {nc['nc3']:.4f}  CDNV {nc['cdnv']:.2e}"
    )

# %% [markdown]
# Papers disagree on conventions (a factor 1/K here, a square there); each is a named
# preset:

# %%
for name in ncjax.collapse.PRESETS:
    nc = ncjax.measure(features, labels, classifier=simplex, preset=name)
    print(f"{name:15} NC1 {nc['nc1']:.3e}   NC2 {nc['nc2']:.3e}   NC3 {nc['nc3']:.3e}")

# %% [markdown]
# Beneath it, `class_moments` reads features once, and every metric is a function of the
# moments.  Moments of parts can be merged, in any order, on any number of devices:

# %%
halves = [ncjax.class_moments(features[i::2], labels[i::2], K) for i in (0, 1)]
whole = ncjax.class_moments(features, labels, K)
print(ncjax.collapse.nc1(whole), ncjax.collapse.nc1(halves[0].merge(halves[1])))

# %% [markdown]
# ## Record your own training
#
# `ncjax.Recorder` takes features and labels from the training loop of any framework,
# batch by batch, and gives what `ncjax.train` gives: a history, and in a folder (in
# place of `None`) the files of a run, which `ncjax.compare` reads.  Here NumPy alone
# trains a network of one hidden layer on the digits.

# %%
from scipy.special import softmax
from sklearn.datasets import load_digits

images, digits = load_digits(return_X_y=True)
images, targets = images / 8 - 1, np.eye(10)[digits]
V, W = rng.normal(size=(64, 128)) / 8, rng.normal(size=(10, 128)) / 11

with ncjax.Recorder(None, num_classes=10) as recorder:
    for epoch in range(1, 61):
        for batch in np.array_split(rng.permutation(len(digits)), 14):
            hidden = np.maximum(images[batch] @ V, 0)
            error = (softmax(hidden @ W.T, axis=1) - targets[batch]) / len(batch)
            step = images[batch].T @ ((error @ W) * (hidden > 0))
            W -= 0.2 * (error.T @ hidden + 1e-3 * W)
            V -= 0.2 * (step + 1e-3 * V)
        if epoch in (1, 2, 4, 8, 15, 30, 60):
            recorder.add(epoch, np.maximum(images @ V, 0), digits)
            recorder.end(epoch, classifier=W)

recorder.history

# %%
recorder.history.plot()
