"""Neural regression collapse (NRC): the optimum for multivariate regression.

    f = (1/2M)|W H + b - Y|^2 + (lH/2M)|H|^2 + (lW/2)|W|^2

over M samples; note the 1/M on H.  S is the root of the target covariance Sigma (with
1/M), cc = lH lW.

References:
    Andriopoulos et al., The Prevalence of Neural Collapse in Neural Multivariate
    Regression, NeurIPS 2024.  The closed form of gamma was derived for this project.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ncjax.ufm.theory.ranges import check_positive, geometric_mean


@dataclasses.dataclass(frozen=True)
class RegressionOptimum:
    """Global optimum of the regression UFM.

    Attributes:
        objective: least value of f.
        classifier_gram: Gram matrix W W' [n, n] of the classifier.
        rank: directions of the targets that are kept; those with an eigenvalue of Sigma
            up to lH lW vanish.
    """

    objective: float
    classifier_gram: np.ndarray
    rank: int

    @property
    def regime(self) -> str:
        """How many directions are kept, in words."""
        return f"{self.rank} of {len(self.classifier_gram)} target directions kept"


def regression_optimum(
    covariance: np.ndarray, lambda_w: float, lambda_h: float
) -> RegressionOptimum:
    """Optimum of the regression UFM, with a free bias b = mean(Y).

    W W' = sqrt(lH/lW) (S - sqrt(cc) I)_+; f = sum_j of sqrt(cc) s_j - cc/2 over the
    eigenvalues s_j of S above sqrt(cc), and s_j^2/2 over the others.

    Args:
        covariance: covariance Sigma [n, n] of the targets, with 1/M; of any rank.
        lambda_w: lW > 0.  Without decay there is no collapse.
        lambda_h: weight decay lH > 0 of the features.

    Raises:
        ValueError: for decays <= 0, or a covariance that is not one.
    """
    check_positive(lambda_w=lambda_w, lambda_h=lambda_h)
    roots, vectors = covariance_roots(covariance)
    root_cc = geometric_mean(lambda_w, lambda_h)
    kept = np.maximum(roots - root_cc, 0)
    costs = np.where(kept > 0, root_cc * roots - root_cc**2 / 2, roots**2 / 2)
    return RegressionOptimum(
        objective=float(costs.sum()),
        classifier_gram=np.sqrt(lambda_h / lambda_w) * (vectors * kept) @ vectors.T,
        rank=int(np.sum(kept > 0)),
    )


def regression_features(
    classifier: np.ndarray, targets: np.ndarray, lambda_w: float, lambda_h: float
) -> np.ndarray:
    """Features of the optimum whose classifier is W: sqrt(lW/lH) (Y - mean) S^-1 W.

    Args:
        classifier: the classifier W [n, d], as `regression_optimum` has it.
        targets: the targets Y [M, n].
        lambda_w: weight decay lW > 0 of W.
        lambda_h: weight decay lH > 0 of the features.

    Returns:
        H [M, d].
    """
    check_positive(lambda_w=lambda_w, lambda_h=lambda_h)
    centred = targets - targets.mean(0)
    roots, vectors = covariance_roots(centred.T @ centred / len(targets))
    inverse = np.divide(1, roots, out=np.zeros_like(roots), where=roots > 0)
    whitened = centred @ (vectors * inverse) @ vectors.T
    return np.sqrt(lambda_w / lambda_h) * whitened @ classifier


def nrc1(features: np.ndarray, dim: int) -> float:
    """(1/M) sum_i |h~_i - proj(h~_i | first n principal directions)|^2, h~ = h/|h|.

    The directions are those of the centred features, but h~ is not centred: with a
    large common mean NRC1 is large, even if the centred features have collapsed.

    Args:
        features: the features H [M, d]; no row is 0.
        dim: number n of targets, at most d.

    Raises:
        ValueError: if a feature is 0.
    """
    centred = features - np.mean(features, axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, -dim:]
    return _outside(features, axes)


def nrc2(features: np.ndarray, classifier: np.ndarray) -> float:
    """(1/M) sum_i |h~_i - proj(h~_i | rows of W)|^2, h~ = h/|h|.

    Args:
        features: the features H [M, d]; no row is 0.
        classifier: the classifier W [n, d], of rank n.

    Raises:
        ValueError: if a feature is 0.
    """
    return _outside(features, np.linalg.qr(classifier.T)[0])


def _outside(features: np.ndarray, axes: np.ndarray) -> float:
    """Mean squared distance of the directions of h to an orthonormal basis [d, n]."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    if not np.all(lengths > 0):
        raise ValueError("A feature that is 0 has no direction.")
    unit = features / lengths
    return float(np.mean(np.sum((unit - unit @ axes @ axes.T) ** 2, axis=1)))


def nrc3(classifier_gram: np.ndarray, covariance: np.ndarray, gamma: float) -> float:
    """| W W'/|W W'| - (S - sqrt(gamma) I)/|S - sqrt(gamma) I| |^2, for n >= 2.

    Args:
        classifier_gram: Gram matrix W W' [n, n] of the classifier.
        covariance: covariance Sigma [n, n] of the targets.
        gamma: threshold gamma >= 0; see `best_gamma`.
    """
    roots, vectors = covariance_roots(covariance)
    shape = (vectors * (roots - np.sqrt(gamma))) @ vectors.T
    unit = classifier_gram / np.linalg.norm(classifier_gram)
    return float(np.linalg.norm(unit - shape / np.linalg.norm(shape)) ** 2)


def best_gamma(classifier_gram: np.ndarray, covariance: np.ndarray) -> float:
    """The gamma that minimises `nrc3`, whatever the scale of A = W W'.

    gamma = g^2, g = (tr A |S|^2 - <A,S> tr S)/(tr A tr S - n <A,S>), if 0 < g.  At the
    optimum with all directions kept it is lH lW, and NRC3 is 0.

    Args:
        classifier_gram: Gram matrix A = W W' [n, n] of the classifier.
        covariance: covariance Sigma [n, n] of the targets.

    Raises:
        ValueError: if A is proportional to S or less spread than S, so that no
            gamma > 0 is best, or if S is proportional to I, so that all are equal.
    """
    roots, vectors = covariance_roots(covariance)
    root = (vectors * roots) @ vectors.T
    trace, inner = np.trace(classifier_gram), np.sum(classifier_gram * root)
    top = trace * np.sum(roots**2) - inner * roots.sum()
    bottom = trace * roots.sum() - len(roots) * inner
    if not bottom < 0 or not top < 0:
        raise ValueError(
            "No gamma > 0 is best: W W' is not more spread than the root of the target "
            f"covariance (numerator {top:.3g}, denominator {bottom:.3g} must be < 0)."
        )
    return float((top / bottom) ** 2)


def printed_gamma(classifier_gram: np.ndarray, covariance: np.ndarray) -> float:
    """The gamma printed as Theorem F.1: ((tr S - tr A)/n)^2, A = W W'.

    At the optimum with all directions kept A = sqrt(lH/lW) (S - sqrt(lH lW) I), so it
    is lH lW for lH = lW alone; see `best_gamma`, which is right for all decays.

    Args:
        classifier_gram: Gram matrix A = W W' [n, n] of the classifier.
        covariance: covariance Sigma [n, n] of the targets.
    """
    roots, _ = covariance_roots(covariance)
    return float(((roots.sum() - np.trace(classifier_gram)) / len(roots)) ** 2)


def covariance_roots(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues [n] and eigenvectors [n, n] of S, the root of a covariance.

    Raises:
        ValueError: unless the covariance is symmetric and positive semi-definite.
    """
    covariance = np.asarray(covariance, np.float64)
    shape = covariance.shape
    if shape != 2 * shape[:1] or not np.allclose(covariance, covariance.T):
        raise ValueError(f"The covariance must be symmetric [n, n], got shape {shape}.")
    values, vectors = np.linalg.eigh(covariance)
    if values[0] < -1e-10 * abs(values[-1]):
        raise ValueError(f"The covariance has the negative eigenvalue {values[0]:.3g}.")
    return np.sqrt(np.maximum(values, 0)), vectors
