"""The readings of the features: first their moments, then all that builds on them.

The training features are read once for the class moments, and once more, where they can
be, for what needs the final class means; then the test features, then the outliers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import collapse
from ncjax.measurement import passes
from ncjax.measurement.data import Data
from ncjax.measurement.passes import Known
from ncjax.measurement.result import TEST
from ncjax.measurement.sources import MeasureError
from ncjax.moments import ClassMoments

# Beyond this width no d x d scatter is kept, but a second pass taken.
_WIDE = 4096

_measure = jax.jit(collapse.measure, static_argnames=("convention", "only"))
_basis = jax.jit(collapse.between_basis, static_argnames=("global_mean", "between"))
_nc1 = jax.jit(collapse.nc1, static_argnames="divide_by_classes")
_nc5 = jax.jit(collapse.nc5)
_principal = jax.jit(collapse.principal_directions)
_neco = jax.jit(collapse.neco)


def first_reading(
    train: Data,
    num_classes: int | None,
    weights: np.ndarray | None,
    offsets: np.ndarray | None,
    convention: collapse.Convention,
) -> Known:
    """Reads the training features once, for their moments.

    Args:
        train: the training features.
        num_classes: K, or None: one more than the largest label.
        weights: classifier W [K, d], or None.
        offsets: bias b [K], or None.
        convention: the convention under which metrics are computed.

    Raises:
        MeasureError: for features that are not finite, or all of one class, or labels
            of K and more.
    """
    if train.labels is not None:
        passes.check_range(train.labels, num_classes, "labels")
    dtype = jnp.promote_types(train.dtype, jnp.float32)
    moments = passes.first_pass(
        train.read("moments"),
        train,
        num_classes=num_classes,
        scatter="pooled" if train.width <= _WIDE else "none",
        dtype=dtype,
    )
    if int((np.asarray(moments.count) > 0).sum()) < 2:
        raise MeasureError(
            f"{train.name} are all of one class; neural collapse compares the means of "
            "at least two."
        )
    basis = _basis(
        moments, global_mean=convention.global_mean, between=convention.between
    )
    return Known(
        moments,
        None if weights is None else jnp.asarray(weights, dtype),
        None if offsets is None else jnp.asarray(offsets, dtype),
        convention,
        basis,
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
    principal = None
    if ood is not None and known.moments.scatter is not None:
        principal = _principal(known.moments)
    values, scores, warned = _of_train(
        known, train, decisions, everything, principal if test is None else None
    )
    if test is not None:
        found, scores, notes = _of_test(known, test, principal)
        values |= {TEST + key: value for key, value in found.items()}
        warned += notes
    if ood is not None:
        values |= _of_outliers(known.moments, ood, principal, scores)
        if principal is None:
            warned.append(f"NECO scores need a scatter, and d is beyond {_WIDE:,}.")
    return values, warned


def _of_train(known: Known, train: Data, decisions, everything: bool, principal):
    """Numbers of the training features, their NECO scores [n], and warnings."""
    moments, convention = known.moments, known.convention
    seen: dict[str, jax.Array] = {}
    scores, warned = None, []
    if train.source.repeatable:
        seen, scores = passes.second_pass(
            known,
            train.read("decisions"),
            train,
            variance=moments.scatter is None,
            principal=principal,
            decisions=decisions,
        )
    else:
        warned.append(
            "The features could be read only once, so that NC4 and the accuracies, "
            "which need the final class means, are missing. Give an array, a file, or "
            "a function that returns the chunks anew."
        )
        if moments.scatter is None:
            warned.append(
                f"Features wider than {_WIDE:,} need a second reading for NC1 too."
            )
    results = _measure(
        moments,
        known.classifier,
        known.bias,
        within_variance=seen.pop("within_variance", None),
        convention=convention,
        only=collapse.available(on_request=everything),
    )
    found: dict[str, Any] = {**results, **seen}
    values = {name: float(value) for name, value in found.items()}
    if "nc2" not in values:
        warned.append(
            f"NC2 of this preset ({convention.nc2}) is that of the classifier, and "
            "there is none; nc2_means is that of the class means."
        )
    return values, scores, warned


def _of_test(known: Known, test: Data, principal):
    """Numbers of the test features, their NECO scores [n], and warnings."""
    warned: list[str] = []
    seen, scores = passes.second_pass(
        known,
        _test_batches(test, known.moments, warned),
        test,
        variance=True,
        principal=principal,
    )
    seen["nc1"] = _nc1(
        known.moments,
        within_variance=seen.pop("within_variance"),
        basis=known.basis,
        divide_by_classes=known.convention.divide_by_classes,
    )
    return {name: float(value) for name, value in seen.items()}, scores, warned


def _test_batches(
    test: Data, moments: ClassMoments, warned: list[str]
) -> Iterator[tuple]:
    """Batches of the test set, whose labels are checked on the way."""
    absent = np.asarray(moments.count) == 0
    left_out = 0
    for features, labels in test.read("test"):
        passes.check_range(labels, moments.num_classes, "test labels", test.seen)
        left_out += int(absent[labels].sum())
        yield features, labels
    if left_out:
        warned.append(
            f"{left_out:,} test features are of classes without training features, and "
            "are left out."
        )


def _of_outliers(moments: ClassMoments, ood: Data, principal, known_scores):
    """NC5, and NECO scores of outliers against those of known data.

    Args:
        moments: class moments of the training features.
        ood: the out-of-distribution features.
        principal: directions [r, d] for the scores, or None for no scores.
        known_scores: scores [n] of the test or else training features, or None.
    """
    kept: list[np.ndarray] = []

    def scored():
        for features, _ in ood.read("outliers"):
            if principal is not None:
                rows = passes.padded(features, np.zeros(len(features)), ood.size)[0]
                kept.append(np.asarray(_neco(rows, principal))[: len(features)])
            yield features, np.zeros(len(features), np.int32)

    outliers = passes.first_pass(
        scored(),
        ood,
        num_classes=1,
        scatter="none",
        dtype=moments.count.dtype,
    )
    values = {"nc5": float(_nc5(moments, outliers))}
    if kept and known_scores is not None:
        # Late: scikit-learn takes a second to import.
        from sklearn.metrics import roc_auc_score

        scores = np.concatenate(kept)
        truth = np.repeat([1, 0], [len(known_scores), len(scores)])
        auroc = roc_auc_score(truth, np.concatenate([known_scores, scores]))
        means = {"neco_in": known_scores.mean(), "neco_ood": scores.mean()}
        values |= {k: float(v) for k, v in {**means, "neco_auroc": auroc}.items()}
    return values
