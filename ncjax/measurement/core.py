"""`measure`: neural collapse of features from anywhere, in bounded memory."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import collapse
from ncjax.measurement import checks, passes
from ncjax.measurement.data import Data, same_width
from ncjax.measurement.result import SENTENCES, Measurement
from ncjax.measurement.sources import (
    POOLS,
    MeasureError,
    check_labels,
    to_numpy,
)
from ncjax.moments import ClassMoments

# Beyond this width no d x d scatter is kept, but a second pass taken.
_WIDE = 4096

_measure = jax.jit(collapse.measure, static_argnames=("convention", "only"))
_basis = jax.jit(collapse.between_basis, static_argnames=("global_mean", "between"))
_empty = jax.jit(
    collapse.SecondPass.empty, static_argnames=("within_variance", "decisions")
)
_nc1 = jax.jit(
    collapse.nc1, static_argnames=("divide_by_classes", "global_mean", "between")
)


def measure(
    features: Any,
    labels: Any = None,
    *,
    classifier: Any = None,
    bias: Any = None,
    logits: Any = None,
    test_features: Any = None,
    test_labels: Any = None,
    ood_features: Any = None,
    num_classes: int | None = None,
    class_names: tuple[str, ...] | list[str] | None = None,
    preset: str | collapse.Convention = "default",
    pool: str | None = None,
    batch_size: int | None = None,
    one_vs_rest: bool = False,
    source: str | None = None,
    progress: bool = False,
) -> Measurement:
    """Every neural collapse metric that the inputs allow.

    Arrays may come from NumPy, JAX, PyTorch or anything else that NumPy can read.
    Features are read in batches, twice where they can be read again: once for the
    class moments, then for NC4 and the accuracies, which need the final class means.

    Args:
        features: of the training set, before the last layer.  An array [n, d] (memory
            maps are not loaded); feature maps [n, ..., c], see `pool`; an iterable of
            chunks [m, d] or of pairs (chunk, labels), for instance over a data loader;
            or a function without arguments that returns such an iterable.
        labels: [n], integers 0..K-1, the rows of the classifier; None if the chunks
            come with them.  Text, if `class_names` are given.
        classifier: W [K, d] of the last layer (transpose a Flax kernel), for NC3 and
            the decisions of the network.
        bias: b [K].
        logits: [n, K], or classes [n], that the network decides by, where the last
            layer is not linear.
        test_features: of another set, measured against the training means.
        test_labels: of them.
        ood_features: out-of-distribution features, for NC5 and NECO.
        num_classes: K; by default the rows of the classifier or the largest label + 1.
        class_names: of class 0, 1, ...
        preset: a convention of `ncjax.collapse.PRESETS`, by name, or one's own.
        pool: how feature maps become vectors: `"mean"` over all axes but the first and
            the last, `"mean_channels_first"` over all but the first two, `"flatten"`.
        batch_size: rows read at a time; by default about 8 MB of them.
        one_vs_rest: also the one-vs-rest distances of `collapse.ON_REQUEST`, the margin
            for K > d + 1; seconds for 1,000 classes, with the cube of their number.
        source: what the report calls the features.
        progress: shows a bar where that takes long.

    Returns:
        The numbers; prints as a table with a sentence on each.

    Raises:
        MeasureError: (a ValueError) for input that cannot be measured.
        MeasureTypeError: (also a TypeError) for arrays of a wrong dtype.
    """
    convention = collapse.get_convention(preset)
    if pool is not None and pool not in POOLS:
        raise MeasureError(f"Unknown pool {pool!r}. Available: {', '.join(POOLS)}.")
    if batch_size is not None and batch_size < 1:
        raise MeasureError(f"batch_size must be at least 1, got {batch_size}.")
    names = None if class_names is None else tuple(map(str, class_names))
    weights, offsets = checks.check_classifier(classifier, bias)
    num_classes = _agreed(num_classes, weights, names)
    open_ = functools.partial(Data, pool=pool, names=names, batch_size=batch_size)
    train = open_(features, labels, "features", progress=progress)
    decisions = _decisions(logits, train)
    checks.check_width(weights, train.width, num_classes if weights is None else None)
    if train.labels is not None:
        passes.check_range(train.labels, num_classes, "labels")
    test = None
    if test_features is not None:
        test = open_(test_features, test_labels, "test features", progress=progress)
        same_width(test, train)
    ood = None
    if ood_features is not None:
        ood = open_(ood_features, None, "OOD features", progress=progress, free=True)
        same_width(ood, train)

    with jax.enable_x64(train.dtype == np.float64):
        dtype = jnp.promote_types(train.dtype, jnp.float32)
        moments = passes.first_pass(
            train.read("moments"),
            train.size,
            num_classes=num_classes,
            scatter="pooled" if train.width <= _WIDE else "none",
            dtype=dtype,
            name=train.name,
        )
        values, warned = _values(
            moments,
            train,
            test,
            ood,
            weights,
            offsets,
            decisions,
            convention,
            tuple(collapse.ON_REQUEST) if one_vs_rest else (),
        )
    values = {name: values[name] for name in SENTENCES if name in values}
    below = _below(values, moments)
    warned += checks.warnings_of(
        moments, values, weights, offsets, below_floor=below, dtype=str(train.dtype)
    )
    count = np.asarray(moments.count)
    return Measurement(
        values=values,
        measured={
            "source": source or train.name,
            "n": int(count.sum()),
            "d": train.width,
            "num_classes": len(count),
            "classes_present": int((count > 0).sum()),
            "class_sizes": [int(count[count > 0].min()), int(count.max())],
            "dtype": str(train.dtype),
            "state_dtype": str(np.dtype(dtype)),
            "preset": preset if isinstance(preset, str) else "custom",
            "convention": dataclasses.asdict(convention),
            "classifier": None
            if weights is None
            else f"classifier {list(weights.shape)} with{'out' * (bias is None)} bias",
            "pool": pool,
            "test_n": None if test is None else test.seen,
            "ood_n": None if ood is None else ood.seen,
            "nc1_below_floor": below,
        },
        warnings=tuple([*train.notes, *warned]),
        moments=moments,
        class_names=names,
    )


def _agreed(num_classes, weights, names) -> int | None:
    """K, where several say what it is."""
    told = {
        "num_classes": num_classes,
        "the rows of the classifier": None if weights is None else len(weights),
        "the class names": None if names is None else len(names),
    }
    told = {who: k for who, k in told.items() if k is not None}
    if len(set(told.values())) > 1:
        text = ", ".join(f"{k} by {who}" for who, k in told.items())
        raise MeasureError(
            f"The number of classes is {text}; they must agree. (The classifier is "
            "[K, d]; Flax and Keras kernels are [d, K]: transpose them.)"
        )
    return next(iter(told.values()), None)


def _decisions(logits: Any, train: Data) -> np.ndarray | None:
    """Decisions of the network [n] from its logits [n, K] or classes [n]."""
    if logits is None:
        return None
    logits = logits if hasattr(logits, "shape") else np.asarray(logits)
    rows = len(logits)
    expected = train.source.rows or (
        None if train.labels is None else len(train.labels)
    )
    if len(logits.shape) not in (1, 2) or expected not in (None, rows):
        raise MeasureError(
            f"logits have shape {tuple(logits.shape)}; [n, K] or classes [n] are "
            f"needed, with n = {expected or 'the number of features'}."
        )
    if len(logits.shape) == 1:
        return check_labels(to_numpy(logits), "decisions", None)[0]
    parts = [to_numpy(logits[i : i + 2**16]).argmax(1) for i in range(0, rows, 2**16)]
    return np.concatenate(parts).astype(np.int32)


def _values(
    moments, train, test, ood, weights, offsets, decisions, convention, requested
):
    """All numbers, and warnings of those that could not be had."""
    if int((np.asarray(moments.count) > 0).sum()) < 2:
        raise MeasureError(
            f"{train.name} are all of one class; neural collapse compares the means of "
            "at least two."
        )
    dtype, warned = moments.count.dtype, []
    classifier = None if weights is None else jnp.asarray(weights, dtype)
    bias = None if offsets is None else jnp.asarray(offsets, dtype)
    centring = {"global_mean": convention.global_mean, "between": convention.between}
    basis = _basis(moments, **centring)
    principal = None
    if ood is not None and moments.scatter is not None:
        rank = min(moments.num_classes - 1, moments.feature_dim)
        principal = jax.jit(collapse.principal_directions, static_argnums=1)(
            moments, rank
        )
    decided = classifier is not None or decisions is not None
    network = {"classifier": classifier, "bias": bias}
    seen: dict[str, jax.Array] = {}
    known = None
    if train.repeatable:
        seen, known = _second_pass(
            _with_decisions(train.read("decisions"), decisions),
            train,
            moments,
            # Where there is no scatter, NC1 needs the variance along these directions.
            directions=basis[1] if moments.scatter is None else None,
            decided=decided,
            principal=principal if test is None else None,
            **network,
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
        classifier,
        bias,
        within_variance=seen.pop("within_variance", None),
        convention=convention,
        only=(*collapse.METRICS, "nc2", "nc3", *requested),
    )
    values = {name: float(value) for name, value in results.items()}
    values |= {name: float(value) for name, value in seen.items()}
    if "nc2" not in values:
        warned.append(
            f"NC2 of this preset ({convention.nc2}) is that of the classifier, and "
            "there is none; nc2_means is that of the class means."
        )
    if test is not None:
        seen, known = _second_pass(
            _test_batches(test, moments.num_classes, warned, moments),
            test,
            moments,
            directions=basis[1],
            decided=classifier is not None,
            principal=principal,
            **network,
        )
        within_variance = seen.pop("within_variance")
        values |= {f"test_{name}": float(value) for name, value in seen.items()}
        values["test_nc1"] = float(
            _nc1(
                moments,
                within_variance=within_variance,
                basis=basis,
                divide_by_classes=convention.divide_by_classes,
                **centring,
            )
        )
    if ood is not None:
        values |= _outliers(moments, ood, principal, known)
        if principal is None:
            warned.append(f"NECO scores need a scatter, and d is beyond {_WIDE:,}.")
    return values, warned


def _second_pass(batches, data: Data, moments, *, directions, decided, **given):
    """What the second pass finds in a set, and the NECO scores of its features [n]."""
    state = _empty(
        moments,
        directions=directions,
        within_variance=directions is not None,
        decisions=decided,
    )
    state, scores = passes.second_pass(
        batches, data.size, state, name=data.name, **given
    )
    return state.compute(), scores


def _with_decisions(pairs, decisions):
    start = 0
    for features, labels in pairs:
        stop = start + len(features)
        yield features, labels, None if decisions is None else decisions[start:stop]
        start = stop


def _test_batches(test: Data, num_classes: int, warned: list[str], moments):
    """Batches of the test set, whose labels are checked on the way."""
    absent = np.asarray(moments.count) == 0
    unknown = 0
    for features, labels in test.read("test"):
        passes.check_range(labels, num_classes, "test labels", test.seen)
        unknown += int(absent[labels].sum())
        yield features, labels, None
    if unknown:
        warned.append(
            f"{unknown:,} test features are of classes without training features, and "
            "are left out."
        )


def _outliers(moments, ood: Data, principal, known) -> dict[str, float]:
    """NC5, and NECO scores of outliers against those of known data [n]."""
    kept: list[np.ndarray] = []

    def scored():
        for features, _ in ood.read("outliers"):
            if principal is not None:
                rows = passes.padded(features, np.zeros(len(features)), ood.size)[0]
                kept.append(np.asarray(passes.share(rows, principal))[: len(features)])
            yield features, np.zeros(len(features), np.int32)

    outliers = passes.first_pass(
        scored(),
        ood.size,
        num_classes=1,
        scatter="none",
        dtype=moments.count.dtype,
        name=ood.name,
    )
    values = {"nc5": float(jax.jit(collapse.nc5)(moments, outliers))}
    if kept and known is not None:
        # Late: scikit-learn takes a second to import.
        from sklearn.metrics import roc_auc_score

        scores = np.concatenate(kept)
        truth = np.repeat([1, 0], [len(known), len(scores)])
        values["neco_in"] = float(known.mean())
        values["neco_ood"] = float(scores.mean())
        values["neco_auroc"] = float(
            roc_auc_score(truth, np.concatenate([known, scores]))
        )
    return values


def _below(values: dict[str, float], moments: ClassMoments) -> bool | None:
    """Whether NC1 is at or under its floor; None if one is not known."""
    nc1, floor = values.get("nc1"), values.get("nc1_floor")
    if nc1 is None or floor is None or not np.isfinite([nc1, floor]).all():
        return None
    del moments
    return nc1 <= floor
