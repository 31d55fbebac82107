"""Deep UFM with squared error: deep neural collapse (DNC) and a low-rank rival (SRG).

    f = (1/2N)|W_L s(W_{L-1} ... s(W_1 H)) - Y|^2 + sum_l (l_l/2)|W_l|^2 + (lH/2)|H|^2,

no bias, s linear or ReLU.  Each mode of the product costs, at the best split over the
L + 1 factors, ((L+1)/2)(prod_l l_l lH sigma^2)^{1/(L+1)}, sigma its singular value.

References:
    Dang et al., Neural Collapse in Deep Linear Networks, ICML 2023.
    Sukenik, Mondelli & Lampert, Neural Collapse versus Low-Rank Bias, NeurIPS 2024.
    Costs and thresholds were derived for this project and checked numerically.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ncjax.ufm.theory.ranges import (
    check_at_least,
    check_counts,
    check_positive,
    find_root,
)


@dataclasses.dataclass(frozen=True)
class DeepOptimum:
    """Global optimum of a deep linear UFM; classes are orthogonal in every layer.

    Attributes:
        objective: least value of f.
        logits: logit z_k of the right class [K], all others are 0; where z_k is 0 too,
            the class is dropped.
        layer_squares: squared singular value of each W_l for each class [L, K].
        feature_squares: |h_k|^2 of the class means [K].
    """

    objective: float
    logits: np.ndarray
    layer_squares: np.ndarray
    feature_squares: np.ndarray

    @property
    def regime(self) -> str:
        """Which classes are dropped, in words."""
        dropped = np.flatnonzero(self.logits == 0).tolist()
        return f"dropped classes: {dropped}" if dropped else "orthogonal, none dropped"


def mode_minimum(price: float, layers: int) -> tuple[float, float]:
    """Minimum over z >= 0 of (1-z)^2/2 + ((L+1)/2) a z^{2/(L+1)}.

    z = 0 is always a local minimum for L > 1 (the origin is no strict saddle there).
    The other one is the largest root of 1 - z = a z^{(1-L)/(1+L)}.  It is the global
    minimum below `mode_threshold`, where z jumps from (L-1)/L to 0.

    Args:
        price: the price a > 0.
        layers: number L >= 1 of layers.

    Returns:
        z and the minimum.
    """
    check_positive(price=price)
    check_at_least(1, layers=layers)
    if price >= mode_threshold(layers):
        return 0.0, 0.5
    # With y = z^{1/(L+1)}: y^{L-1}(1 - y^{L+1}) = a, decreasing above the peak.
    low = ((layers - 1) / (2 * layers)) ** (1 / (layers + 1))
    y = find_root(
        lambda y: y ** (layers - 1) * (1 - y ** (layers + 1)) - price, low, 1.0
    )
    z = y ** (layers + 1)
    return float(z), float((1 - z) ** 2 / 2 + (layers + 1) / 2 * price * y**2)


def mode_threshold(layers: int) -> float:
    """Price a from which on `mode_minimum` is at 0: (1/L)((L-1)/L)^{(L-1)/(L+1)}.

    There the other minimum is at z = (L-1)/L, with the value (1-z)^2/2 +
    ((L+1)/2)(1-z)z = 1/2.  For one layer the threshold is 1.

    Args:
        layers: number L >= 1 of layers.
    """
    check_at_least(1, layers=layers)
    return ((layers - 1) / layers) ** ((layers - 1) / (layers + 1)) / layers


def deep_linear_optimum(
    class_counts: np.ndarray, lambdas: Sequence[float], lambda_h: float
) -> DeepOptimum:
    """Global optimum of the deep linear UFM, any class sizes and depths, no bias.

    Per class, `mode_minimum` with a_k = (N/n_k)(n_k lH prod_l l_l)^{1/(L+1)}.  All
    factors pay alike: l_l s_l^2 = n_k lH |h_k|^2 = (n_k lH prod l z_k^2)^{1/(L+1)}.

    With equal l_l this is the known root formula: x_k the largest root of b/n_k =
    L x^{L-1}/(x^L + 1)^2, b = L N (N l^L lH)^{1/L}, z = x^L/(x^L + 1); but where 0 is
    the better of the two minima, that root is only a local one.

    Args:
        class_counts: samples n_k of each class [K].
        lambdas: weight decay l_1..l_L > 0 of each layer; one layer is the plain UFM.
        lambda_h: weight decay lH > 0 of the features.

    Raises:
        ValueError: for input outside these ranges.
    """
    counts = check_counts(class_counts)
    _check_decays(lambdas, lambda_h)
    layers, total = len(lambdas), counts.sum()
    shares = _shares(lambdas, lambda_h) * counts ** (1 / (layers + 1))
    prices = total / counts * shares
    z, values = np.array([mode_minimum(float(a), layers) for a in prices]).T
    paid = shares * z ** (2 / (layers + 1))
    return DeepOptimum(
        objective=float(counts @ values / total),
        logits=z,
        layer_squares=paid / np.asarray(lambdas, np.float64)[:, None],
        feature_squares=paid / (counts * lambda_h),
    )


def dnc_cost(
    num_classes: int, per_class: int, lambdas: Sequence[float], lambda_h: float
) -> float:
    """Cost of deep neural collapse, all layers orthogonal frames; linear or ReLU.

    min_z (1-z)^2/2 + ((L+1)/2)(K^{L+1} n lH prod l_l)^{1/(L+1)} z^{2/(L+1)}.

    Args:
        num_classes: number K >= 2 of classes.
        per_class: number n >= 1 of samples of each class.
        lambdas: weight decay l_1..l_L > 0 of each layer.
        lambda_h: weight decay lH > 0 of the features.
    """
    check_at_least(2, num_classes=num_classes)
    price = num_classes * _mean_price(per_class, lambdas, lambda_h)
    return mode_minimum(price, len(lambdas))[1]


def _mean_price(per_class: int, lambdas: Sequence[float], lambda_h: float) -> float:
    """(n lH prod_l l_l)^{1/(L+1)}."""
    check_at_least(1, per_class=per_class)
    _check_decays(lambdas, lambda_h)
    return _shares(lambdas, lambda_h) * per_class ** (1 / (len(lambdas) + 1))


def _shares(lambdas: Sequence[float], lambda_h: float) -> float:
    """(lH prod_l l_l)^{1/(L+1)}, also where the product underflows."""
    decays = np.array([*lambdas, lambda_h], np.float64)
    scale = decays.max()
    return float(scale * np.prod((decays / scale) ** (1 / len(decays))))


def incidence_matrix(vertices: int) -> np.ndarray:
    """Incidence matrix B [r, K] of the complete graph; BB' = (r-2)I + 11'.

    Args:
        vertices: number r >= 3 of vertices; K = r(r-1)/2 is the number of edges.
    """
    check_at_least(3, vertices=vertices)
    ends = np.stack(np.triu_indices(vertices, 1))
    return (np.arange(vertices)[:, None, None] == ends).any(1).astype(np.float64)


def srg_cost(
    vertices: int, per_class: int, lambdas: Sequence[float], lambda_h: float
) -> float:
    """Cost of the strongly-regular-graph (SRG) solution: ReLU, K = r(r-1)/2, L >= 3.

    Means are B of `incidence_matrix` up to the last ReLU, W_{L-1} ~ B' - 1/2 and the
    last ReLU restores rank K.  Its cost is that of DNC with K^{L+1} replaced by
    N_B^2 r^{L-3} (K r/4) K, N_B = |B|_* = sqrt(2(r-1)) + (r-1) sqrt(r-2).  An upper
    bound of the optimum: search finds still lower cost for some L and K.

    Args:
        vertices: number r >= 3 of vertices.
        per_class: number n >= 1 of samples of each class.
        lambdas: weight decay l_1..l_L > 0 of each layer.
        lambda_h: weight decay lH > 0 of the features.
    """
    layers, r = len(lambdas), vertices
    mean = _mean_price(per_class, lambdas, lambda_h)
    price = srg_ratio(r, layers) * r * (r - 1) / 2 * mean
    return mode_minimum(price, layers)[1]


def srg_ratio(vertices: int, layers: int) -> float:
    """Price of SRG over that of DNC, whatever the decays and n; below 1 SRG wins.

    (N_B^2 r^{L-2} / (4 K^{L-1}))^{1/(L+1)}: SRG beats DNC if and only if
    N_B^2 r^{L-2} < 4 K^{L-1} (unless both are trivial), never at L = 3.

    Args:
        vertices: number r >= 3 of vertices.
        layers: number L >= 3 of layers.

    Raises:
        ValueError: for r < 3, or L < 3, where the construction does not exist.
    """
    check_at_least(3, vertices=vertices, layers=layers)
    r, k = vertices, vertices * (vertices - 1) / 2
    nuclear = np.sqrt(2 * (r - 1)) + (r - 1) * np.sqrt(r - 2)
    share = 1 / (layers + 1)  # of each factor, for their powers overflow
    parts = (nuclear / 2) ** (2 * share) * r ** ((layers - 2) * share)
    return float(parts / k ** ((layers - 1) * share))


def schatten_regulariser(
    singular_values: np.ndarray, lambdas: Sequence[float], lambda_h: float
) -> float:
    """Least decay of linear factors whose product has these singular values.

    ((L+1)/2)(lH prod l_l)^{1/(L+1)} sum_i sigma_i^{2/(L+1)}, a Schatten quasi-norm, for
    any loss; L = 1 is the nuclear norm.  Garrod & Keating, arXiv 2410.23169.

    Args:
        singular_values: singular values sigma of the product.
        lambdas: weight decay l_1..l_L > 0 of each layer.
        lambda_h: weight decay lH > 0 of the features.
    """
    _check_decays(lambdas, lambda_h)
    power = 1 / (len(lambdas) + 1)
    scale = _shares(lambdas, lambda_h)
    total = np.sum(np.asarray(singular_values, np.float64) ** (2 * power))
    return float(scale * total / (2 * power))


def _check_decays(lambdas: Sequence[float], lambda_h: float) -> None:
    check_at_least(1, layers=len(lambdas))
    check_positive(**{f"lambdas[{i}]": x for i, x in enumerate(lambdas)})
    check_positive(lambda_h=lambda_h)
