"""The readings of the features: first their moments, then all that builds on them.

The training features are read once for the class moments, and once more, where they can
be, for what needs the final class means; then the test features, then the outliers.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import collapse
from ncjax.collapse.registry import crowded
from ncjax.compiling import quick_jit
from ncjax.measurement.data import Data
from ncjax.measurement.passes import Known, Pairs, first_pass, scored, second_pass
from ncjax.measurement.result import TEST
from ncjax.measurement.sizes import check_number
from ncjax.measurement.sources import MeasureError
from ncjax.moments import ClassMoments, Scatter

# Beyond this width no d x d scatter is kept, but a second pass taken.
_WIDE = 4096

_measure = quick_jit(collapse.measure, static_argnames=("convention", "only"))
_basis = quick_jit(collapse.between_basis, static_argnames=("global_mean", "between"))
_nc1 = quick_jit(collapse.nc1, static_argnames="divide_by_classes")
_nc5 = quick_jit(collapse.nc5)
_principal = quick_jit(collapse.principal_directions)


def scatter_of(width: int) -> Scatter:
    """Which scatter is kept of features of this width."""
    return "pooled" if width <= _WIDE else "none"


def check_classes(moments: ClassMoments, name: str) -> None:
    """Refuses features that are all of one class; `name` is what messages call them."""
    if np.count_nonzero(moments.count) < 2:
        raise MeasureError(
            f"{name} are all of one class; neural collapse compares the means of at "
            "least two."
        )


def _check_number(train: Data) -> None:
    """Refuses a number of classes that only a wrong label or argument can mean."""
    rows = train.source.rows
    if train.labels is not None:
        rows = len(train.labels)
        if train.num_classes is None and rows:
            check_number(int(train.labels.max()) + 1, rows, "the largest label")
    if train.num_classes is not None:
        check_number(train.num_classes, rows, "num_classes")


def first_reading(
    train: Data,
    weights: np.ndarray | None,
    offsets: np.ndarray | None,
    convention: collapse.Convention,
) -> Known:
    """Reads the training features once, for their moments.

    Args:
        train: the training features.
        weights: classifier W [K, d], or None.
        offsets: bias b [K], or None.
        convention: the convention under which metrics are computed.

    Raises:
        MeasureError: for features that are not finite, or all of one class.
    """
    if weights is None and train.names is None:  # of which there is one for each class
        _check_number(train)
    dtype = jnp.promote_types(train.dtype, jnp.float32)
    moments = first_pass(
        train.read("moments"), train, scatter=scatter_of(train.width), dtype=dtype
    )
    check_classes(moments, train.name)
    return Known(
        moments,
        None if weights is None else jnp.asarray(weights, dtype),
        None if offsets is None else jnp.asarray(offsets, dtype),
        convention,
        _basis(moments, global_mean=convention.global_mean, between=convention.between),
    )


def values_of(
    known: Known,
    train: Data,
    test: Data | None,
    ood: Data | None,
    decisions: np.ndarray | None,
    everything: bool,
) -> tuple[dict[str, float], list[str]]:
    """All numbers by their keys, and warnings of those that could not be had.

    Args:
        known: what the first reading told.
        train: the training features.
        test: the test features, or None.
        ood: the out-of-distribution features, or None.
        decisions: what the network decides on the training features [n], or None for
            the decisions of the classifier.
        everything: also compute the metrics that are computed only on request.
    """
    moments, convention = known.moments, known.convention
    principal, scores = None, []  # NECO scores of the test set, or the training set
    if ood is not None and moments.scatter is not None:
        principal = _principal(moments)
    warned, shares, variance, normalised = [], {}, None, None
    sizes = moments.num_classes, moments.feature_dim
    if train.source.repeatable:
        along = principal if test is None else None
        pairs = scored(train.read("decisions"), train, along, scores)
        shares, variance, normalised = second_pass(
            known, pairs, train, decisions, normalised=crowded(*sizes)
        )
    else:
        warned += _of_one_reading(moments)
    found = _measure(
        moments,
        known.classifier,
        known.bias,
        within_variance=variance if moments.scatter is None else None,
        normalised=normalised,
        convention=convention,
        only=collapse.available(*sizes, on_request=everything),
    )
    values = {name: float(value) for name, value in found.items()} | shares
    if "nc2" not in values:
        warned.append(
            f"NC2 of this preset ({convention.nc2}) is that of the classifier, and "
            "there is none; nc2_means is that of the class means."
        )
    if test is not None:
        pairs = scored(_known_classes(test, moments, warned), test, principal, scores)
        shares, variance, _ = second_pass(known, pairs, test)
        nc1 = _nc1(
            moments,
            within_variance=variance,
            basis=known.basis,
            divide_by_classes=convention.divide_by_classes,
        )
        values |= {TEST + k: float(x) for k, x in {"nc1": nc1, **shares}.items()}
    if ood is not None:
        values |= _of_outliers(moments, ood, principal, scores, warned)
        if principal is None:
            warned.append(f"NECO scores need a scatter, and d is beyond {_WIDE:,}.")
    return values, warned


def _of_one_reading(moments: ClassMoments) -> list[str]:
    """Warnings of what is missing where the features could be read only once."""
    more = crowded(moments.num_classes, moments.feature_dim)
    missing = "NC4, GNC1, GNC3" if more else "NC4"
    found = [
        f"The features could be read only once, so that {missing} and the accuracies, "
        "which need the final class means, are missing. Give an array, a file, or a "
        "function that returns the chunks anew."
    ]
    if moments.scatter is None:
        found.append(f"Features wider than {_WIDE:,} need a second reading for NC1.")
    return found


def _known_classes(test: Data, moments: ClassMoments, warned: list[str]) -> Pairs:
    """Batches of the test set, and a warning if some classes have no means."""
    absent, left_out = np.asarray(moments.count) == 0, 0
    test.expect(moments.num_classes)
    for features, labels in test.read("test"):
        left_out += int(absent[labels].sum())
        yield features, labels
    if left_out:
        warned.append(
            f"{left_out:,} test features are of classes without training features, and "
            "are left out."
        )


def _of_outliers(
    moments: ClassMoments,
    ood: Data,
    principal: jax.Array | None,
    known: list[np.ndarray],
    warned: list[str],
) -> dict[str, float]:
    """NC5, and NECO scores of outliers against the `known` ones, batch by batch."""
    scores: list[np.ndarray] = []
    pairs = scored(ood.read("outliers"), ood, principal, scores)
    outliers = first_pass(pairs, ood, scatter="none", dtype=moments.count.dtype)
    values = {"nc5": float(_nc5(moments, outliers))}
    if scores and known:
        values |= _neco(np.concatenate(known), np.concatenate(scores), warned)
    return values


def _neco(
    inside: np.ndarray, outside: np.ndarray, warned: list[str]
) -> dict[str, float]:
    """Means of the NECO scores of known data and of outliers, and how they part them.

    Features of 0, which have no score, are left out with a warning.
    """
    # Late: scikit-learn takes a second to import.
    from sklearn.metrics import roc_auc_score

    parts = [part[~np.isnan(part)] for part in (inside, outside)]
    if gone := len(inside) + len(outside) - sum(map(len, parts)):
        warned.append(f"{gone:,} features are 0, have no NECO score and are left out.")
    if not all(map(len, parts)):
        return dict.fromkeys(("neco_in", "neco_ood", "neco_auroc"), np.nan)
    truth = np.repeat([1, 0], [len(part) for part in parts])
    return {
        "neco_in": float(parts[0].mean()),
        "neco_ood": float(parts[1].mean()),
        "neco_auroc": float(roc_auc_score(truth, np.concatenate(parts))),
    }
