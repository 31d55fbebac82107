# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
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
# shows the curves, and computes the same numbers on arrays of your own.
# It takes about a minute on a CPU.

# %%
# Installs ncjax where it is missing (Colab); does nothing in a clone or once installed.
import importlib.util
import pathlib
import subprocess
import sys

clone = next((p for p in (".", "..") if pathlib.Path(p, "ncjax").is_dir()), None)
if clone is not None:
    sys.path.insert(0, clone)
elif importlib.util.find_spec("ncjax") is None:
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "ncjax"], check=True)

# %%
# %matplotlib inline
import jax
import jax.numpy as jnp
import numpy as np

import ncjax
from ncjax import collapse, plots
from ncjax.config import default

jax.devices()

# %% [markdown]
# ## Train into the terminal phase
#
# A configuration has every field with its default; a run is one function call.  With
# a second argument, a folder, the run is also written there and can be continued.

# %%
config = default()
config.num_epochs = 300
config.model.widths = (128, 128, 64)
config.optimizer.schedule = "cosine"
config.optimizer.weight_decay = 1e-2
config.eval.layers = "all"

history = ncjax.train(config)
print(history)

# %% [markdown]
# The training error reaches 0 early; collapse is what happens after that, in the
# shaded terminal phase.

# %%
plots.collapse(history)

# %% [markdown]
# Measured at every layer, collapse deepens with depth:

# %%
plots.layers(history)

# %% [markdown]
# ## The same metrics on your own features
#
# `class_moments` reads features and labels once; every metric is a function of the
# moments and, for duality, of the classifier.  Here: 10 classes around the vertices
# of a simplex in 64 dimensions, with less and less noise.

# %%
K, d, n = 10, 64, 200
rng = np.random.default_rng(0)
rotation, _ = np.linalg.qr(rng.normal(size=(d, K)))
simplex = (np.eye(K) - 1 / K) @ rotation.T  # centred, equal norms, equal angles
labels = np.repeat(np.arange(K), n)

for noise in (1.0, 1e-1, 1e-2, 1e-4):
    features = simplex[labels] + noise * rng.normal(size=(K * n, d))
    features = jnp.asarray(features, jnp.float32)
    moments = ncjax.class_moments(features, jnp.asarray(labels), K)
    nc = collapse.measure(moments, classifier=jnp.asarray(simplex, jnp.float32))
    print(
        f"noise {noise:6g}:  NC1 {nc['nc1']:.2e} (rounding alone {nc['nc1_floor']:.0e})"
        f"  NC2 {nc['nc2']:.4f}  NC3 {nc['nc3']:.4f}  CDNV {nc['cdnv']:.2e}"
    )

# %% [markdown]
# Moments of parts can be merged, in any order, on any number of devices:

# %%
halves = [
    ncjax.class_moments(features[i::2], jnp.asarray(labels)[i::2], K) for i in (0, 1)
]
merged = halves[0].merge(halves[1])
print(collapse.nc1(moments), collapse.nc1(merged))

# %% [markdown]
# Papers disagree on conventions (a factor 1/K here, a square there); each is a named
# preset:

# %%
for name in collapse.PRESETS:
    nc = collapse.measure(
        moments, classifier=jnp.asarray(simplex, jnp.float32), convention=name
    )
    print(f"{name:15} NC1 {nc['nc1']:.3e}   NC2 {nc['nc2']:.3e}   NC3 {nc['nc3']:.3e}")
