"""Sets of labels: the training loss alone predicts lengths, angles and sums."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.collapse import centred_means
from ncjax.comparison.overlays.both import Both
from ncjax.losses import pick_all_label
from ncjax.multilabel import SetMoments, pair_labels
from ncjax.multilabel.sums import Pairs, pairs_of
from ncjax.training.loaded import LoadedRun
from ncjax.ufm.match import OptimumError
from ncjax.ufm.theory.pick_all_label import optimum_of_loss

NOTE = (
    "set: the optimum with the pick-all-label loss whose mean loss is that of the "
    "network on its training set, as if all sets of one size were equally frequent. "
    "Logits of a set of m labels are s_m higher on its labels; sets of two labels are "
    "s_2/s_1 times the sums. Cosines are those of centred means: of two labels; of a "
    "set and a label in it, and one not in it; of two sets that share a label, and "
    "that share none."
)


def values(network: LoadedRun) -> dict[str, Both]:
    """Lengths of the logits, the scale of sets, and cosines between all of them.

    Raises:
        OptimumError: for a loss without a closed form, and for a mean loss that no
            optimum has.
    """
    loss = network.config.loss
    if loss.name != "pick_all_label":
        raise OptimumError(
            f"the optimum of {loss.name} with sets of labels has no closed form; "
            "`ncjax.ufm.label_sets` solves it."
        )
    moments = network.moments
    k = moments.num_classes
    counts = np.asarray(moments.sizes.count, np.float64)[1:]
    counts = counts[: np.flatnonzero(counts)[-1] + 1]
    per_set = [n / math.comb(k, m) for m, n in enumerate(counts.tolist(), 1)]
    value, scales = _of_outputs(network, len(per_set))
    average = loss.average_labels
    try:
        theory = optimum_of_loss(k, per_set, value, average_labels=average)
    except ValueError as error:
        raise OptimumError(f"{error}") from error
    there = np.isfinite(scales) & np.isfinite(theory.scales)
    found = {"lengths s_m of the logits": Both.of(scales[there], theory.scales[there])}
    if k > 2 and there[:2].all() and len(there) > 1:
        single, pairs = _means(moments)
        scale = np.sum(pairs.means * pairs.sums) / np.sum(pairs.sums**2)
        found["sets in units of their sums"] = Both.of(scale, theory.sum_scales[1])
        found["cosines"] = Both.of(_cosines(single, pairs), _of_simplex(k))
    return found


def _of_outputs(network: LoadedRun, most: int) -> tuple[float, np.ndarray]:
    """Mean loss over the training set, and how much higher own logits of sets are."""
    train, size = network.dataset.train, network.config.eval.batch_size
    outputs = np.concatenate(
        [
            np.asarray(jax.device_get(network(train.images[i : i + size])[0]))
            for i in range(0, len(train), size)
        ]
    ).astype(np.float64)
    labels = np.asarray(train.labels)
    average = network.config.loss.average_labels
    each = pick_all_label(
        jnp.asarray(outputs, jnp.float32), jnp.asarray(labels), average_labels=average
    )
    sizes, scales = labels.sum(1), np.full(most, np.nan)
    for m in np.unique(sizes[sizes < labels.shape[1]]).tolist():
        z, own = outputs[sizes == m], labels[sizes == m]
        scales[m - 1] = z[own].mean() - z[~own].mean()
    return float(np.mean(np.asarray(each, np.float64))), scales


@jax.jit
def _centred(moments: SetMoments) -> tuple[jax.Array, Pairs]:
    """Centred means of the labels [K, d], and of sets and sums that occur."""
    pairs = pairs_of(moments)
    sums = jnp.where(pairs.present[:, None], pairs.sums, 0)
    return centred_means(moments.single), pairs._replace(sums=sums)


def _means(moments: SetMoments) -> tuple[np.ndarray, Pairs]:
    """The same as float64 of NumPy."""
    single, pairs = jax.device_get(_centred(moments))
    means, sums = (np.asarray(x, np.float64) for x in (pairs.means, pairs.sums))
    return np.asarray(single, np.float64), pairs._replace(means=means, sums=sums)


def _cosines(single: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Mean cosines of the means of labels and sets, in the order of `NOTE` [5]."""
    there, sets, k = pairs.present, pairs.means, len(single)
    hot = np.zeros((len(there), k), bool)
    for column in pair_labels(k):
        hot[np.arange(len(there)), column] = True
    hot, sets = hot[there], sets[there]
    rows = np.concatenate([single, sets])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    labels = np.concatenate([np.eye(k, dtype=bool), hot]).astype(int)
    cosines, shared, sizes = rows @ rows.T, labels @ labels.T, labels.sum(1)
    apart = ~np.eye(len(rows), dtype=bool)
    kinds = [(1, 1, 0), (1, 2, 1), (1, 2, 0), (2, 2, 1), (2, 2, 0)]
    masks = [
        (sizes[:, None] == a) & (sizes[None] == b) & (shared == c) & apart
        for a, b, c in kinds
    ]
    return np.array([cosines[m].mean() if m.any() else np.nan for m in masks])


def _of_simplex(k: int) -> np.ndarray:
    """The same of a simplex and the sums of two of its vectors."""
    one, two = 1 - 1 / k, 2 - 4 / k
    products = [-1 / k, 1 - 2 / k, -2 / k, 1 - 4 / k, -4 / k]
    lengths = [one, *[math.sqrt(one * two)] * 2, two, two]
    return np.divide(products, lengths)
