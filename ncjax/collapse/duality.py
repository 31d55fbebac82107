"""NC3, self-duality: the classifier and the centred class means are the same frame.

W [K, d] is the classifier, Mc [K, d] the centred class means, both over the classes
present.  The functions take Mc as class moments or as an array [K, d], such as means
centred at the mean of all samples.  All are 0 at W = a Mc, a > 0, with Mc an ETF, and
NaN where a direction that they compare is that of 0; none depends on the scale of
either, unless said.

`nc3_papyan` / 2 = 1 - <W, Mc>/(|W| |Mc|) = `shape_residual` + `misalignment`: what no
rotation of feature space removes, and what the best one does.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ncjax.collapse.means import (
    Matrix,
    Present,
    Rows,
    Scalar,
    Weighting,
    global_mean,
    least_share,
    present_classes,
    right_singular,
    select_rows,
)
from ncjax.collapse.registry import headline, of_classifier
from ncjax.collapse.simplex import least_nc2, simplex_distance
from ncjax.collapse.tiles import norm, ratio
from ncjax.moments import ClassMoments, dot
from ncjax.units import inverse_unit, unit_near


def means_and_classifier(
    means: Rows,
    classifier: Matrix,
    present: Present = None,
    *,
    scaled: bool = True,
) -> tuple[Float[Array, "K d"], Float[Array, "K d"], Bool[Array, "K"]]:
    """Mc and W [K, d], 0 in the rows of absent classes, and the mask of classes [K].

    Args:
        means: moments, or Mc [K, d].
        classifier: W [K, d].
        present: [K], the classes that count.
        scaled: divides each matrix by its largest entry.

    Raises:
        ValueError: if the classifier is not [K, d].
    """
    means, present = select_rows(means, present, scaled=scaled)
    if classifier.shape != means.shape:
        raise ValueError(
            f"The classifier has shape {classifier.shape}, the moments need [K, d] = "
            f"{means.shape} (transpose a Linen kernel)."
        )
    rows, _ = select_rows(classifier.astype(means.dtype), present, scaled=scaled)
    return means, rows, present


def nc3(means: Rows, classifier: Matrix, present: Present = None) -> Scalar:
    """Distance of W Mc' from the Gram matrix of a simplex ETF.

    NC3 = || W Mc'/|W Mc'|_F - P/sqrt(K-1) ||_F, P = I - 11'/K.  In [0, 2]: 2 for
    W = -Mc, about sqrt(2) for unrelated W.  It is weaker than `nc3_papyan`: the part
    of W outside the span of the means is not seen.

    Args:
        means: moments, or Mc [K, d].
        classifier: W [K, d].
        present: [K], the classes that count.

    References:
        Zhu et al., A Geometric Analysis of Neural Collapse, NeurIPS 2021.
        Kothapalli, Neural Collapse: A Review, TMLR 2023.
    """
    means, classifier, present = means_and_classifier(means, classifier, present)
    return simplex_distance(classifier, means, present)


def nc3_papyan(
    means: Rows,
    classifier: Matrix,
    present: Present = None,
    *,
    squared: bool = True,
) -> Scalar:
    """Distance of classifier and means, || W/|W|_F - Mc/|Mc|_F ||_F^2.

    In [0, 4], or [0, 2] if not `squared`; 0 exactly where W = a Mc, a > 0.

    Args:
        means: moments, or Mc [K, d].
        classifier: W [K, d].
        present: [K], the classes that count.
        squared: the square of the distance, or the distance.

    References:
        Papyan, Han & Donoho, Prevalence of Neural Collapse, PNAS 2020.
    """
    means, classifier, _ = means_and_classifier(means, classifier, present)
    difference = ratio(classifier, norm(classifier)) - ratio(means, norm(means))
    return jnp.sum(difference**2) if squared else norm(difference)


def nc3_cosine(means: Rows, classifier: Matrix, present: Present = None) -> Scalar:
    """Mean over classes of 1 - cos(w_k, mu_k - mu_G); in [0, 2].

    Args:
        means: moments, or Mc [K, d].
        classifier: W [K, d], with rows w_k.
        present: [K], the classes that count.

    References:
        Jiang et al., Generalized Neural Collapse for a Large Number of Classes,
        ICML 2024 (GNC3).
    """
    means, classifier, present = means_and_classifier(means, classifier, present)
    return jnp.mean(1 - _row_cosines(means, classifier), where=present)


def uniform_duality(
    means: Rows,
    classifier: Matrix,
    present: Present = None,
    *,
    normalise: bool = True,
    ddof: int = 0,
) -> Scalar:
    """Variance over classes of <w_k, mu_k - mu_G>: are classes equally dual?

    0 if every class has the same product, be it at collapse or not.

    Args:
        means: moments, or Mc [K, d].
        classifier: W [K, d], with rows w_k.
        present: [K], the classes that count.
        normalise: takes the cosines; False takes the products, which have a scale.
        ddof: 0 divides by K, 1 by K - 1.

    References:
        Wu & Papyan, Linguistic Collapse, NeurIPS 2024 (UNC3).
    """
    means, rows, present = means_and_classifier(
        means, classifier, present, scaled=normalise
    )
    if normalise:
        values = _row_cosines(means, rows)
    else:
        values = jnp.sum(means * rows, axis=1)
    return jnp.var(values, where=present, ddof=ddof)


def _row_cosines(a, b):
    """Cosine of row k of a and row k of b [K]."""
    return ratio(jnp.sum(a * b, axis=1), norm(a, axis=1) * norm(b, axis=1))


def bias_collapse(
    moments: ClassMoments,
    classifier: Matrix,
    bias: Float[Array, "K"] | None = None,
    *,
    weighting: Weighting = "classes",
) -> Scalar:
    """|W mu_G + b|, the logits at the global mean; 0 where the bias cancels it.

    Over the classes present; in the unit of the logits.

    Args:
        moments: class moments of the training features.
        classifier: W [K, d].
        bias: b [K]; None means 0.
        weighting: which mean is mu_G; see `centred_means`.

    References:
        Zhu et al., A Geometric Analysis of Neural Collapse, NeurIPS 2021, where it is
        the fourth metric.
    """
    means_and_classifier(moments, classifier)  # checks the shapes
    logits = dot(classifier, global_mean(moments, weighting))
    if bias is not None:
        logits = logits + bias
    logits = jnp.where(present_classes(moments), logits, 0)
    unit = unit_near(jnp.max(jnp.abs(logits)))
    return norm(logits * inverse_unit(unit)) * unit


def principal_angles(
    means: Rows, classifier: Matrix, present: Present = None
) -> Float[Array, "r"]:
    """Angles between the row spaces of W and Mc [r], r = min(K-1, d), in radians.

    The smallest comes first.  Each is taken from whichever of its sine and cosine is
    exact in float32.  NaN beyond the rank of either matrix.

    Args:
        means: moments, or Mc [K, d].
        classifier: W [K, d].
        present: [K], the classes that count.

    References:
        Bjorck & Golub, Numerical methods for computing angles between linear
        subspaces, Mathematics of Computation 27, 1973.
    """
    means, classifier, present = means_and_classifier(means, classifier, present)
    # The rows of Mc sum to 0: one singular value is structurally 0, not rounding.
    a, rank_a = _row_space(means, jnp.sum(present) - 1)
    b, rank_b = _row_space(classifier, jnp.sum(present))
    cosines = jnp.linalg.svd(dot(a, b.T), compute_uv=False)
    inner = jnp.where(rank_a <= rank_b, a, b)
    outer = jnp.where(rank_a <= rank_b, b, a)
    rest = inner - dot(dot(inner, outer.T), outer)
    sines = jnp.linalg.svd(rest, compute_uv=False)
    # Singular values fall and angles rise, so sines are read backwards.
    rank = jnp.minimum(rank_a, rank_b)
    order = jnp.arange(a.shape[0])
    sines = sines[jnp.clip(rank - 1 - order, 0)]
    angles = jnp.where(
        sines < 0.7,
        jnp.arcsin(jnp.clip(sines, 0, 1)),
        jnp.arccos(jnp.clip(cosines, 0, 1)),
    )
    angles = jnp.where(order < rank, angles, jnp.nan)
    return angles[: min(means.shape[0] - 1, means.shape[1])]


def _row_space(rows, limit):
    """Orthonormal rows that span those given, 0 beyond the rank, and that rank."""
    values, directions = right_singular(rows)
    large = values > least_share(rows.dtype) * values[0]
    kept = large & (jnp.arange(values.shape[0]) < limit)
    return jnp.where(kept[:, None], directions, 0), jnp.sum(kept)


def shape_residual(means: Rows, classifier: Matrix, present: Present = None) -> Scalar:
    """How far W is from Mc up to a rotation, 1 - |W' Mc|_* / (|W|_F |Mc|_F).

    In [0, 1]; 0 if and only if some rotation of feature space takes W to a multiple of
    Mc.  The rest of the distance is `misalignment`.  Float32 resolves it to about 1e-6.

    Args:
        means: moments, or Mc [K, d].
        classifier: W [K, d].
        present: [K], the classes that count.
    """
    return _residuals(means, classifier, present)[0]


def misalignment(means: Rows, classifier: Matrix, present: Present = None) -> Scalar:
    """The part of the distance of W and Mc that a rotation removes.

    (1 - <W, Mc>/(|W| |Mc|)) - `shape_residual`; the first term is half of `nc3_papyan`.
    At least 0; 0 if and only if W needs no rotation.

    Args:
        means: moments, or Mc [K, d].
        classifier: W [K, d].
        present: [K], the classes that count.
    """
    return _residuals(means, classifier, present)[1]


def _residuals(means, classifier, present):
    """`shape_residual` and `misalignment`, from one singular value decomposition."""
    means, classifier, _ = means_and_classifier(means, classifier, present)
    size = norm(means) * norm(classifier)
    if means.shape[0] < means.shape[1]:  # the K x K core of W' Mc
        small_means = jnp.linalg.qr(means.T, mode="r")
        small_classifier = jnp.linalg.qr(classifier.T, mode="r")
        core = dot(small_classifier, small_means.T)
    else:
        core = dot(classifier.T, means)
    nuclear = jnp.sum(jnp.linalg.svd(core, compute_uv=False))
    straight = jnp.sum(classifier * means)
    return 1 - ratio(nuclear, size), ratio(nuclear - straight, size)


METRICS = (
    headline(
        "nc3",
        "NC3",
        "NC3, of the form that the convention says",
        needs="classifier",
        curve="log",
        panel="NC3  distance of classifier and means",
    ),
    of_classifier(
        "nc3_etf",
        "NC3 (ETF)",
        "distance of W times class means to a simplex",
        lambda x: nc3(x.means[0], *x.rows),
        limit=least_nc2,
    ),
    of_classifier(
        "nc3_papyan",
        "NC3 (Papyan)",
        "distance of W and class means, both of norm 1",
        lambda x: nc3_papyan(x.means[0], *x.rows, squared=x.convention.squared),
        log=True,
    ),
    of_classifier(
        "nc3_cosine",
        "NC3 (cosine)",
        "1 - cosine of each row of W and its class mean, on average",
        lambda x: nc3_cosine(x.means[0], *x.rows),
    ),
    of_classifier(
        "uniform_duality",
        "uniform duality",
        "variance over classes of these cosines",
        lambda x: uniform_duality(
            x.means[0],
            *x.rows,
            normalise=x.convention.normalise_duality,
            ddof=x.convention.duality_ddof,
        ),
    ),
    of_classifier(
        "bias_collapse",
        "bias collapse",
        "norm of the logits at the mean of all classes",
        lambda x: bias_collapse(
            *x.pair, bias=x.bias, weighting=x.convention.global_mean
        ),
        changes_with=("shift", "scale", "scale W"),
    ),
    of_classifier(
        "shape_residual",
        "shape residual",
        "distance of W and class means that no rotation removes",
        lambda x: shape_residual(*x.pair),
    ),
    of_classifier(
        "misalignment",
        "misalignment",
        "distance of W and class means that a rotation removes",
        lambda x: misalignment(*x.pair),
    ),
)
