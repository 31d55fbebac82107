"""Ordinal neural collapse (ONC): the optimum of cumulative link models.

    f = (1/N) sum_i l_{y_i}(w . h_i) + (lW/2)|w|^2 + (lH/2)|H|^2,
    l_q(z) = -log(g(b_(q+1) - z) - g(b_q - z)),  b_0 = -inf, b_K = inf,

over N samples, n_q of level q.  The papers write lH/(2N) for lH/2: their lH is N times
this one.  The features of a level are one point z_q w/|w|^2 (ONC1, ONC2), and by
duality, with r = |D^(1/2) z|, D = diag(n), and mu = sqrt(lW lH),

    l_q'(z_q)/N = -(mu/r) z_q    or    z = 0,

one scalar equation for each level and one for r, each of a monotone function.  All
vanish where lW lH >= C = (1/N^2) sum_q n_q l_q'(0)^2 (N C in the convention of the
papers), which is no bound only but the exact place.  Elsewhere z_q increase with q
(ONC3), and |w| = (lH/lW)^(1/4) r^(1/2).

References:
    Ma et al., Neural Collapse in Cumulative Link Models for Ordinal Regression,
    NeurIPS 2025 (arXiv 2506.05801).  The equations and C were derived for this project.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ncjax.ufm.theory.ranges import (
    check_counts,
    check_positive,
    find_root,
    geometric_mean,
)

_LOG_ROOT_2PI = 0.5 * np.log(2 * np.pi)


@dataclasses.dataclass(frozen=True)
class OrdinalOptimum:
    """Global optimum of the ordinal UFM.

    Attributes:
        objective: least value of f.
        latent: z_q of each level [K].
        classifier_norm: |w|.
        critical: C, the value of lW lH from which on all levels are one point.
    """

    objective: float
    latent: np.ndarray
    classifier_norm: float
    critical: float

    @property
    def regime(self) -> str:
        """Whether the levels are apart, in words."""
        place = f"lW lH {{}} C = {self.critical:.6g}"
        if not self.latent.any():
            return f"all levels in one point: {place.format('>=')}"
        return f"levels apart, in order: {place.format('<')}"


def ordinal_optimum(
    thresholds: Any,
    sizes: Any,
    lambda_w: float,
    lambda_h: float,
    *,
    link: str = "logit",
) -> OrdinalOptimum:
    """Optimum of the ordinal UFM without a bias, by scalar equations.

    Args:
        thresholds: b_1 < ... < b_(K-1).
        sizes: samples n_q of each level [K].
        lambda_w: lW > 0.  Without decay the first and the last level go to infinity;
            see `limit_latent`.
        lambda_h: lH > 0, weight decay of the features.
        link: "logit" or "probit".

    Raises:
        ValueError: for decays <= 0, sizes that are none, or another number of
            thresholds than levels less one.
    """
    check_positive(lambda_w=lambda_w, lambda_h=lambda_h)
    counts = check_counts(np.asarray(sizes))
    thresholds = np.asarray(thresholds, np.float64)
    if len(thresholds) != len(counts) - 1:
        raise ValueError(
            f"{len(counts)} levels have {len(counts) - 1} thresholds between them, got "
            f"{len(thresholds)}."
        )
    levels = _levels(thresholds, link)
    total, strength = counts.sum(), geometric_mean(lambda_w, lambda_h)
    at_zero = np.array([level.slope(0.0) for level in levels])
    critical = float(counts @ at_zero**2) / total**2
    latent = np.zeros(len(counts))
    if strength**2 < critical:

        def excess(log_pull: float) -> float:
            """How far |gradient| at this pull, N mu/r, is above mu, as a logarithm."""
            pull = np.exp(log_pull)
            found = np.array([level.pulled(pull) for level in levels])
            return float(np.log(pull * np.sqrt(counts @ found**2) / total / strength))

        low = high = 0.0  # it grows with the pull, to C
        while excess(low) > 0:
            low -= 4
        while excess(high) < 0:
            high += 4
        pull = np.exp(find_root(excess, low, high))
        latent = np.array([level.pulled(pull) for level in levels])
    radius = float(np.sqrt(counts @ latent**2))
    losses = np.array([level.loss(z) for level, z in zip(levels, latent, strict=True)])
    return OrdinalOptimum(
        objective=float(counts @ losses) / total + strength * radius,
        latent=latent,
        classifier_norm=(lambda_h / lambda_w) ** 0.25 * radius**0.5,
        critical=critical,
    )


def limit_latent(thresholds: Any) -> np.ndarray:
    """z_q [K] as both decays vanish: the middles of the thresholds (ONC3).

    (b_q + b_(q+1))/2 for inner levels, of every symmetric link; the first level goes to
    -inf and the last one to inf.
    """
    thresholds = np.asarray(thresholds, np.float64)
    middles = (thresholds[:-1] + thresholds[1:]) / 2
    return np.concatenate([[-np.inf], middles, [np.inf]])


def pulled_latent(
    thresholds: Any, pull: float, link: str = "logit"
) -> tuple[np.ndarray, np.ndarray]:
    """z_q [K] with l_q'(z_q) = -pull z_q, and the losses l_q(z_q) [K] there.

    They are those of the optimum whose decays make pull = N mu/r, whatever the sizes
    of the levels.

    Args:
        thresholds: b_1 < ... < b_(K-1).
        pull: more than 0.
        link: "logit" or "probit".

    Raises:
        ValueError: for a pull that is none.
    """
    check_positive(pull=pull)
    levels = _levels(np.asarray(thresholds, np.float64), link)
    latent = np.array([level.pulled(pull) for level in levels])
    pairs = zip(levels, latent.tolist(), strict=True)
    return latent, np.array([level.loss(z) for level, z in pairs])


def match_pull(latent: Any, thresholds: Any, link: str = "logit") -> float:
    """The pull whose `pulled_latent` is nearest to given latent numbers [K].

    It is sought in 1e-9..1e3; an end of that range is the answer for numbers that no
    decay gives.
    """
    from scipy import optimize  # late: half a second

    wanted = np.asarray(latent, np.float64)

    def away(log_pull: float) -> float:
        found, _ = pulled_latent(thresholds, float(np.exp(log_pull)), link)
        return float(np.sum((found - wanted) ** 2))

    grid = np.log(np.geomspace(1e-9, 1e3, 49))
    best = int(np.argmin([away(x) for x in grid.tolist()]))
    around = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = optimize.minimize_scalar(away, bounds=around, method="bounded")
    return float(np.exp(found.x))


def _levels(thresholds: np.ndarray, link: str) -> list[_Level]:
    lower, upper = np.append(-np.inf, thresholds), np.append(thresholds, np.inf)
    return [_Level(a, b, link) for a, b in zip(lower, upper, strict=True)]


@dataclasses.dataclass(frozen=True)
class _Level:
    """The loss l of a level between two thresholds, as a function of z."""

    lower: float
    upper: float
    link: str

    def loss(self, z: float) -> float:
        """l(z), in nats."""
        from scipy.special import log_ndtr  # late: half a second

        a, b = self._ends(z)
        if self.link == "logit":
            narrow = -np.log(-np.expm1(a - b)) if np.isfinite(b - a) else 0.0
            return float(np.logaddexp(0, -b) + np.logaddexp(0, a) + narrow)
        if a + b > 0:  # on the other side Phi has more digits
            a, b = -b, -a
        with np.errstate(divide="ignore"):
            return float(-log_ndtr(b) - np.log1p(-np.exp(log_ndtr(a) - log_ndtr(b))))

    def slope(self, z: float) -> float:
        """l'(z)."""
        from scipy.special import expit  # late, as above

        a, b = self._ends(z)
        if self.link == "logit":
            return float(expit(-b) - expit(a))
        log_mass = -self.loss(z)
        return float(sum(s * _density_over(x, log_mass) for s, x in ((1, b), (-1, a))))

    def pulled(self, pull: float) -> float:
        """The root of l'(z) + pull z, between 0 and where l is least."""
        found = self.slope(0.0)
        if found == 0:
            return 0.0
        end = (self.lower + self.upper) / 2
        if not np.isfinite(end):
            end = -np.sign(found)
            while (self.slope(end) + pull * end) * found > 0:
                end *= 2
        return find_root(lambda z: self.slope(z) + pull * z, *sorted((0.0, end)))

    def _ends(self, z: float) -> tuple[float, float]:
        return self.lower - z, self.upper - z


def _density_over(x: float, log_mass: float) -> float:
    """phi(x) / exp(log_mass)."""
    return float(np.exp(-(x**2) / 2 - _LOG_ROOT_2PI - log_mass))
