"""Saddles of the UFM: curvature at the origin, and how to leave a deficient point.

Any loss of the logits Z = H W' [N, K], G its gradient in Z with the 1/N, no bias:
f = loss(H W') + (lW/2)|W|^2 + (lH/2)|H|^2, mu = sqrt(lW lH).

References:
    Zhu et al., A Geometric Analysis of Neural Collapse, NeurIPS 2021: all saddles of
    the UFM are strict.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ncjax.ufm.theory.ranges import check_at_least, check_positive


@dataclasses.dataclass(frozen=True)
class Escape:
    """A direction in which the second derivative of f is negative.

    Attributes:
        classifier: dW [K, d].
        features: dH [N, d].
        curvature: second derivative along it, 2 (mu - sigma) < 0.
    """

    classifier: np.ndarray
    features: np.ndarray
    curvature: float


def origin_curvatures(
    num_classes: int, per_class: int, feature_dim: int, lambda_w: float, lambda_h: float
) -> list[tuple[float, int]]:
    """Hessian of the balanced UFM with cross-entropy, hard labels, at the origin.

    (lW + lH)/2 -+ sqrt(((lW - lH)/2)^2 + 1/(K^2 n)), d(K-1) times each; lW, d times;
    lH, d(N - K + 1) times.  Negative, so a strict saddle, if and only if K c < 1.

    Args:
        num_classes: number K >= 2 of classes.
        per_class: number n >= 1 of samples of each class.
        feature_dim: width d >= 1 of the features.
        lambda_w: weight decay lW > 0 of W.
        lambda_h: weight decay lH > 0 of the features.

    Returns:
        Eigenvalues with multiplicities, in the order above, (K + N) d in all.
    """
    k, n, d = num_classes, per_class, feature_dim
    check_at_least(2, num_classes=k)
    check_at_least(1, per_class=n, feature_dim=d)
    check_positive(lambda_w=lambda_w, lambda_h=lambda_h)
    middle = (lambda_w + lambda_h) / 2
    radius = np.hypot((lambda_w - lambda_h) / 2, 1 / (k * np.sqrt(n)))
    return [
        (float(middle - radius), d * (k - 1)),
        (float(middle + radius), d * (k - 1)),
        (lambda_w, d),
        (lambda_h, d * (k * n - k + 1)),
    ]


def escape_direction(
    gradient: np.ndarray,
    classifier: np.ndarray,
    features: np.ndarray,
    lambda_w: float,
    lambda_h: float,
    *,
    tolerance: float = 1e-6,
) -> Escape | None:
    """Direction out of a critical point that is rank-deficient but no minimum.

    With a unit a with W a = H a = 0 and (u, v) the top singular pair of -G' [K, N], of
    value sigma: dW = (lH/lW)^{1/4} u a', dH = (lW/lH)^{1/4} v a' has curvature
    2 (mu - sigma).  So for a convex loss such a point is a global minimum if and only
    if sigma <= mu.

    Args:
        gradient: gradient G [N, K] of the loss in the logits.
        classifier: the classifier W [K, d].
        features: the features H [N, d].
        lambda_w: weight decay lW > 0 of W.
        lambda_h: weight decay lH > 0 of the features.
        tolerance: a direction counts as null below this times the largest singular
            value of [W; H], and sigma as above mu beyond this times mu.

    Returns:
        The direction, or None: at a critical point with sigma <= mu.

    Raises:
        ValueError: if W and H have no common null direction; then d <= K - 1 or so, and
            this says nothing.
    """
    check_positive(lambda_w=lambda_w, lambda_h=lambda_h)
    left, values, right = np.linalg.svd(-gradient.T, full_matrices=False)
    mu = np.sqrt(lambda_w * lambda_h)
    if values[0] <= mu * (1 + tolerance):
        return None
    # Eigenvectors of W'W + H'H of the smallest eigenvalue: null in both or in neither.
    spreads, axes = np.linalg.eigh(classifier.T @ classifier + features.T @ features)
    if spreads[0] > tolerance**2 * spreads[-1]:
        raise ValueError(
            "W and H have no common null direction: the smallest singular value of "
            f"[W; H] is {np.sqrt(spreads[0]):.3g}, the largest "
            f"{np.sqrt(spreads[-1]):.3g}. Add a zero column to both to ask in d + 1."
        )
    balance = (lambda_h / lambda_w) ** 0.25
    return Escape(
        classifier=balance * np.outer(left[:, 0], axes[:, 0]),
        features=np.outer(right[0], axes[:, 0]) / balance,
        curvature=float(2 * (mu - values[0])),
    )
