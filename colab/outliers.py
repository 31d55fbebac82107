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
# # Outliers, few shots, and what collapse is good for
#
# A network is trained on seven of the ten digits.  Three stay away: they are the
# outliers that it should tell, and the new classes that it should learn from a few
# examples.  Eleven scores of outliers and the errors of few-shot classifiers are
# measured at every epoch beside neural collapse, so that one sees when they get better,
# and when worse.  It takes one to two minutes on a CPU.

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
from ncjax import ood, transfer
from ncjax.runs.outliers_plot import outliers

# %% [markdown]
# ## Measured in training
#
# `config.eval.probes` names what is measured beside collapse: `ood`, with data sets or
# noise as outliers, and `few_shot`, on other data sets or on the classes that
# `config.data.classes` leaves out (`"held_out"`).

# %%
config = ncjax.default()
config.data.classes = tuple("0123456")
config.num_epochs = 200
config.eval.num_points = 14
config.eval.probes = ("ood", "few_shot")
config.eval.ood = ("noise", "gaussian")
config.eval.few_shot = ("held_out",)
config.eval.few_shot_shots = (1, 5)
config.eval.few_shot_examples = 60
folder = tempfile.mkdtemp()
history = ncjax.train(config, folder, progress=False)
history

# %% [markdown]
# Noise is easy: all scores tell it, but not at all epochs.

# %%
outliers(history)

# %% [markdown]
# ## Other digits as outliers
#
# 7, 8 and 9 are harder.  `ncjax.load` gives the trained network as a function of
# images; `ncjax.measure` takes features from anywhere, and with test features and
# outliers it has the table of all scores.

# %%
run = ncjax.load(folder)
whole = ncjax.data.load("digits")
away = np.isin(whole.test.labels, (7, 8, 9))
known = run.dataset
_, train = run(known.train.images)
_, test = run(known.test.images)
_, foreign = run(whole.test.images[away])
weights, bias = run.classifier
found = ncjax.measure(
    train,
    known.train.labels,
    classifier=weights,
    bias=bias,
    test_features=test,
    test_labels=known.test.labels,
    ood_features=foreign,
)
{score: round(numbers["auroc"], 3) for score, numbers in found.detection.items()}

# %% [markdown]
# The same by hand: `fit` finds in one pass what all scores need, a score is a function
# of features, and `auroc` is exact, also where scores are equal.

# %%
moments = run.class_moments()
fitted = ood.fit(moments, weights, bias, train)
score = ood.SCORES["neco"]
float(ood.auroc(score(fitted, test), score(fitted, foreign)))

# %% [markdown]
# ## New classes from a few examples
#
# Errors on the three held-out digits, of the nearest mean of one or five examples of
# each, over the epochs.  The bounds hold for these classes whatever their distribution:
# they are computed from moments of the features, with no unknown constant.

# %%
figure = Figure(figsize=(8, 3.4), layout="constrained")
axes = figure.subplots(1, 2, sharey=True)
learners = {"nearest_mean": "nearest mean", "linear": "linear probe", "ridge": "ridge"}
for axis, shots in zip(axes, (1, 5), strict=True):
    for key, name in learners.items():
        values = history[f"probe/few_shot/held_out/{key}_{shots}"]
        axis.semilogx(history["epoch"], values, "o-", ms=3, label=name)
    bound = history[f"probe/few_shot/held_out/bound_{shots}"]
    axis.semilogx(history["epoch"], bound, "k--", lw=1, label="bound, nearest mean")
    axis.set_title(f"{shots} example{'s' if shots > 1 else ''} of each class")
    axis.set_xlabel("epoch")
axes[0].set_ylabel("error on new digits")
axes[0].legend(frameon=False)
figure

# %% [markdown]
# The variance along the line between two classes, over its squared length, is the
# **directional CDNV**.  Its bound on the error with known means, the mean of sums of
# 4V/(1 + 4V), needs no more than that.

# %%
_, features = run(whole.test.images[away])
labels = whole.test.labels[away] - 7
of = transfer.classes(features, labels, 3)
np.round(transfer.directional_cdnv(of), 3), float(transfer.known_means_bound(of))
