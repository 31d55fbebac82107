"""Multi-label classification: a simplex, and the sums of its vectors, in closed form.

Every set of m of K labels has n_m samples, N in all, and one free feature h_S:

    f = (1/N) sum_S n_m l(W h_S, S) + (lW/2)|W|^2 + (lH/2) sum_S n_m |h_S|^2

References:
    Li et al., Neural Collapse in Multi-label Learning with Pick-all-label Loss, ICML
    2024: the structure.  The sizes and the threshold were derived for this project.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from ncjax.ufm.theory.ranges import (
    check_at_least,
    check_positive,
    find_root,
    geometric_mean,
)

# Number of samples of each set of 1, 2, ... labels.
PerSet = Sequence[float | int] | np.ndarray


@dataclasses.dataclass(frozen=True)
class SetOptimum:
    """Global optimum of the UFM of sets of labels.

    Attributes:
        regime: which case of the formula this is, in words.
        objective: least value of f.
        loss: mean loss, the objective less weight decay.
        scales: s_m [M]: logits of a set of m labels are s_m (1_S - m/K); NaN for
            numbers of labels that no set has.
        classifier_gram: Gram matrix W W' [K, K] of the classifier.
        feature_ratio: factor r of the features h_S = r s_m sum of the w_k in S.
    """

    regime: str
    objective: float
    loss: float
    scales: np.ndarray
    classifier_gram: np.ndarray
    feature_ratio: float

    def logits(self, labels: np.ndarray) -> np.ndarray:
        """Logits [n, K] of sets of labels [n, K]; zeros where a set has all labels."""
        sizes = labels.sum(1)
        centred = labels - sizes[:, None] / labels.shape[1]
        return self.scales[sizes - 1][:, None] * centred

    @property
    def sum_scales(self) -> np.ndarray:
        """s_m/s_1 [M], the mean of a set in units of the sum of its single means."""
        return self.scales / self.scales[0]


def pick_all_label_optimum(
    num_classes: int,
    per_set: PerSet,
    lambda_w: float,
    lambda_h: float,
    *,
    average_labels: bool = False,
) -> SetOptimum:
    """Global optimum of the UFM with the pick-all-label loss, with or without a bias.

    With mu = sqrt(lW lH), A_m = n_m C(K-2, m-1), and v_m = 1, or 1/m for losses that
    are divided by m, logits of a set are s_m (1_S - m/K), where s_m > 0 solves

        s_m (m e^{s_m} + K - m) = t v_m,   t = K sigma/(N mu),

    with one t for all m, fixed by sigma^2 = sum_m A_m s_m^2.  So the features of a set
    are those of its labels alone, summed, times s_m/s_1, which without the division is
    at most 1: W W' = sqrt(lH/lW) sigma P, P = I - 11'/K, and
    h_S = sqrt(lW/lH) (s_m/sigma) sum_{k in S} w_k.  If N mu >= sqrt(sum_m A_m v_m^2)
    all logits are 0: the sets of one size never vanish alone.

    Args:
        num_classes: number K >= 2 of labels.
        per_set: number n_m >= 0 of samples of each set of m = 1, 2, ... labels, at most
            up to m = K; the sets of K labels have the logits 0.
        lambda_w: weight decay lW > 0, the coefficient of |W|^2/2.
        lambda_h: weight decay lH > 0, the coefficient of |H|^2/2.
        average_labels: whether the loss of an example is divided by its number of
            labels.

    Returns:
        The optimum; its `regime` says whether it is trivial.

    Raises:
        ValueError: for input outside these ranges.
    """
    counts = check_per_set(num_classes, per_set)
    check_positive(lambda_w=lambda_w, lambda_h=lambda_h)
    k, sizes = num_classes, np.arange(1, len(counts) + 1)
    total = float(sum(n * math.comb(k, m) for n, m in zip(counts, sizes.tolist())))
    weights = spectral_weights(k, counts)
    shares = 1 / sizes if average_labels else np.ones(len(sizes))
    price = total * geometric_mean(lambda_w, lambda_h)
    most = math.sqrt(np.sum(weights * shares**2))
    trivial = price >= most
    if trivial:
        scales, sigma = np.zeros(len(sizes)), 0.0
        regime = f"trivial: N mu = {price:.4g} >= {most:.4g}, all logits are 0"
    else:
        regime = "simplex ETF and its sums"

        def excess(log_t):
            found = _scales(k, sizes, math.exp(log_t) * shares)
            sigma = math.sqrt(np.sum(weights * found**2))
            return sigma - math.exp(log_t) * price / k

        # sigma/t falls in t, from most/K at 0.
        low, high = -30.0, 1.0
        while excess(high) > 0:
            high *= 2
        # So near the threshold that rounding hides it, logits are of 1e-13.
        log_t = find_root(excess, low, high) if excess(low) > 0 else low
        scales = _scales(k, sizes, math.exp(log_t) * shares)
        sigma = math.sqrt(np.sum(weights * scales**2))
    loss = sizes * (np.logaddexp(np.log(sizes) + scales, _log(k - sizes)) - scales)
    share = counts * np.array([math.comb(k, m) for m in sizes.tolist()]) / total
    mean_loss = float(share @ (shares * loss))
    ratio = math.sqrt(lambda_h / lambda_w)
    return SetOptimum(
        regime=regime,
        objective=mean_loss + price / total * (k - 1) * sigma,
        loss=mean_loss,
        scales=np.where(counts > 0, scales, np.nan),
        classifier_gram=ratio * sigma * (np.eye(k) - 1 / k),
        feature_ratio=0.0 if trivial else 1 / (ratio * sigma),
    )


def optimum_of_loss(
    num_classes: int,
    per_set: PerSet,
    loss: float,
    *,
    average_labels: bool = False,
) -> SetOptimum:
    """The optimum whose mean loss is a given one, with lW = lH; the two are one to one.

    It tells from the loss of a network how strong its weight decay acts, and with that
    all else of its geometry.

    Args:
        num_classes: number K >= 2 of labels.
        per_set: number n_m of samples of each set of m = 1, 2, ... labels.
        loss: mean loss, between what no logits can fall below and that of logits 0.
        average_labels: whether the loss of an example is divided by its number of
            labels.

    Raises:
        ValueError: for a loss that no optimum has.
    """
    options = {"average_labels": average_labels}
    high = math.log(label_threshold(num_classes, per_set, **options))

    def at(log_mu):
        mu = math.exp(log_mu)
        return pick_all_label_optimum(num_classes, per_set, mu, mu, **options)

    low = high - 60.0
    least, most = at(low).loss, at(high + 1e-9).loss
    if not least < loss < most:
        raise ValueError(
            f"No optimum has the mean loss {loss:.6g}: it must lie between "
            f"{least:.6g}, that of infinite logits, and {most:.6g}, that of logits 0."
        )
    return at(find_root(lambda x: at(x).loss - loss, low, high))


def label_threshold(
    num_classes: int, per_set: PerSet, *, average_labels: bool = False
) -> float:
    """The mu = sqrt(lW lH) from which on features say nothing of the labels.

    mu = sqrt(sum_m n_m C(K-2, m-1) v_m^2)/N with v_m = 1: for the pick-all-label loss,
    and for binary cross-entropy too, whose features may then still tell the number of
    labels.  With `average_labels` v_m = 1/m for the first; binary cross-entropy then
    has 1/K of the threshold without.

    Args:
        num_classes: number K >= 2 of labels.
        per_set: number n_m of samples of each set of m = 1, 2, ... labels.
        average_labels: whether the pick-all-label loss is divided by m.
    """
    counts = check_per_set(num_classes, per_set)
    sizes = np.arange(1, len(counts) + 1)
    total = sum(n * math.comb(num_classes, m) for n, m in zip(counts, sizes.tolist()))
    weights = spectral_weights(num_classes, counts)
    shares = 1 / sizes if average_labels else np.ones(len(sizes))
    return float(math.sqrt(np.sum(weights * shares**2)) / total)


def check_per_set(num_classes: int, per_set: PerSet) -> np.ndarray:
    """The numbers n_m in float64 [M], M >= 1.

    Raises:
        ValueError: unless there are 1 to K of them, at least 0, and that of single
            labels or of another size below K is more.
    """
    check_at_least(2, num_classes=num_classes)
    counts = np.asarray(per_set, np.float64)
    if counts.ndim != 1 or not 1 <= len(counts) <= num_classes:
        raise ValueError(
            f"per_set must have 1 to {num_classes} numbers, of the sets of 1, 2, ... "
            f"labels, got {list(per_set)}."
        )
    if not np.all((counts >= 0) & np.isfinite(counts)):
        raise ValueError(f"per_set must be finite and at least 0, got {list(per_set)}.")
    if not np.any(counts[: num_classes - 1] > 0):
        raise ValueError(
            f"per_set = {list(per_set)} has no sets but that of all labels, which says "
            "nothing. Give sets of fewer."
        )
    return counts


def spectral_weights(num_classes: int, counts: np.ndarray) -> np.ndarray:
    """A_m = n_m C(K-2, m-1) [M]: sum_S n_m P 1_S 1_S' P = sum_m A_m P."""
    sizes = range(1, len(counts) + 1)
    ways = [math.comb(num_classes - 2, m - 1) for m in sizes]
    return np.array(ways, np.float64) * counts


def _scales(k: int, sizes: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The s > 0 with s (m e^s + K - m) = r, for each m and r."""

    def solve(m, r):
        high = min(r / k, max(1.0, math.log1p(r / m)))
        return find_root(
            lambda s: s * (m * math.exp(s) + k - m) - r, 0.0, high * (1 + 1e-12)
        )

    return np.array([solve(m, r) for m, r in zip(sizes.tolist(), right.tolist())])


def _log(x: np.ndarray) -> np.ndarray:
    """The logarithm, and minus infinity for 0."""
    with np.errstate(divide="ignore"):
        return np.log(x)
