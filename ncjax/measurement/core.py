"""`measure`: neural collapse of features from anywhere, in bounded memory."""

from __future__ import annotations

import dataclasses
import functools
import os
from typing import Any

import jax
import numpy as np
from threadpoolctl import threadpool_limits

from ncjax import collapse
from ncjax.measurement import checks
from ncjax.measurement.data import Data
from ncjax.measurement.outliers import detection
from ncjax.measurement.pooling import floats
from ncjax.measurement.readings import first_reading, values_of
from ncjax.measurement.result import Measurement, in_order
from ncjax.measurement.sources import MeasureError, check_labels, sliced, to_numpy
from ncjax.moments import ClassMoments


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
    mask: Any = None,
    test_mask: Any = None,
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
        features: inputs of the last layer on the training set.  An array [n, d]
            (memory maps are not loaded); feature maps [n, ..., c], see `pool`; an
            iterable of chunks [m, d] or of pairs (chunk, labels), for instance over a
            data loader; or a function without arguments that returns such an iterable.
        labels: classes of the samples [n], integers 0..K-1 that count the rows of the
            classifier; None if the chunks come with them.  Text, if `class_names` are
            given.
        classifier: W [K, d] of the last layer (transpose a Flax kernel), for NC3 and
            the decisions of the network; also [K, d, 1, 1] of a convolution, or the
            one row w [1, d] of a binary network, which stands for [-w/2, w/2].
        bias: b [K] of the last layer.
        logits: outputs [n, K] of the network, or its decisions [n], where the last
            layer is not linear.
        test_features: features of another set, measured against the training means.
        test_labels: classes of the test features.
        ood_features: out-of-distribution features, for NC5 and NECO; with test features
            also for the scores of `ncjax.ood`.
        num_classes: K; by default the rows of the classifier or the largest label + 1.
        class_names: names of class 0, 1, ...
        preset: a convention of `ncjax.collapse.PRESETS`, by name, or one's own.
        pool: how feature maps become vectors: `"mean"` over all axes but the first and
            the last, `"mean_channels_first"` over all but the first two, `"flatten"`;
            of tokens [n, tokens, d] also the `"first"` or the `"last"`.
        mask: which tokens [n, tokens] count, 0 where one is padding: `pool` takes the
            first, the last or the mean of the others.  Chunks that come with a mask of
            their own are pooled by `ncjax.measurement.pool_tokens`.
        test_mask: the same for the test features.
        batch_size: rows read at a time; by default about 8 MB of them.
        one_vs_rest: also compute the metrics that are otherwise computed only where
            K > d + 1: the one-vs-rest distances, which are GNC2, beyond 1,000 classes
            too (seconds for 1,000 classes, growing with the cube of their number), the
            greatest cosines, and NC2 above its least value.
        source: what the report calls the features.
        progress: shows a bar where reading takes long.

    Returns:
        The numbers; prints as a table with a sentence on each.

    Raises:
        MeasureError: (a ValueError) for input that cannot be measured.
        MeasureTypeError: (also a TypeError) for arrays of a wrong dtype.

    Example:
        >>> import numpy as np, ncjax
        >>> rng = np.random.default_rng(0)
        >>> labels = np.arange(300) % 3
        >>> features = np.eye(3)[labels] + 0.01 * rng.normal(size=(300, 3))
        >>> result = ncjax.measure(features, labels, classifier=np.eye(3))
        >>> round(result.values["nc1"], 4)
        0.0002
        >>> result.values["nc4"]
        0.0
        >>> text = str(result)  # a table with a sentence on each number
    """
    convention = collapse.get_convention(preset)
    names = None if class_names is None else tuple(map(str, class_names))
    weights, offsets = checks.check_classifier(classifier, bias)
    k = _agreed(num_classes, weights, names)
    about = {"pool": pool, "names": names, "num_classes": k}
    open_ = functools.partial(Data, **about, batch_size=batch_size, progress=progress)
    train = open_(features, labels, "features", mask=mask)
    decisions = None if logits is None else _decisions(logits, train)
    checks.check_width(weights, train.width)
    test = ood = None
    open_ = functools.partial(open_, beside=train)
    if test_features is not None:
        test = open_(test_features, test_labels, "test features", mask=test_mask)
    if ood_features is not None:
        ood = open_(ood_features, None, "OOD features", num_classes=1, free=True)
    with jax.enable_x64(train.dtype == np.float64), _few_threads():
        known = first_reading(train, weights, offsets, convention)
        values, warned = values_of(known, train, test, ood, decisions, one_vs_rest)
        apart = detection(known, train, test, ood, warned)
    about = {
        "source": source or train.name,
        **about_features(known.moments, train.dtype),
        "preset": preset if isinstance(preset, str) else "custom",
        "convention": dataclasses.asdict(convention),
        "classifier": checks.about_classifier(classifier, weights, offsets),
        "pool": pool,
        "test_n": test and test.seen,
        "ood_n": ood and ood.seen,
        "nc1_below_floor": below_floor(values),
    }
    warned += checks.warnings_of(known.moments, values, weights, offsets, about)
    notes = [*train.notes, *(test.notes if test else ()), *warned]
    notes = tuple(dict.fromkeys(notes))
    return Measurement(in_order(values), about, notes, known.moments, names, apart)


def _few_threads() -> threadpool_limits:
    """Leaves cores to XLA: threads of BLAS wait for each other in vain without any."""
    return threadpool_limits(max(1, (os.cpu_count() or 1) // 2), user_api="blas")


def about_features(moments: ClassMoments, dtype: np.dtype) -> dict[str, Any]:
    """Numbers and types of features of this dtype, for the report."""
    count = np.asarray(moments.count)
    return {
        "n": int(count.sum()),
        "d": moments.feature_dim,
        "num_classes": len(count),
        "classes_present": int(np.count_nonzero(count)),
        "class_sizes": [int(count[count > 0].min()), int(count.max())],
        "dtype": str(dtype),
        "state_dtype": str(count.dtype),
    }


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
    who, k = next(iter(told.items()), ("", None))
    if k is not None and k < 2:
        raise MeasureError(
            f"The number of classes is {k} by {who}; it must be 2 or more."
        )
    return k


def _decisions(logits: Any, train: Data) -> np.ndarray:
    """Decisions of the network [n] from its logits [n, K] or classes [n]."""
    logits = logits if hasattr(logits, "shape") else np.asarray(logits)
    shape = tuple(logits.shape)
    expected = train.source.rows or (
        None if train.labels is None else len(train.labels)
    )
    if (
        len(shape) not in (1, 2)
        or expected not in (None, shape[0])
        or (len(shape) == 2 and shape[1] < 2)
    ):
        raise MeasureError(
            f"logits have shape {shape}; [n, K] or classes [n] are needed, with n = "
            f"{expected or 'the number of features'}. The one output z of a binary "
            "network stands for the logits [-z/2, z/2]."
        )
    if len(shape) == 1:
        k = train.num_classes
        return check_labels(to_numpy(logits), "decisions", num_classes=k)[0]
    decided, wrong, start = [], [], 0
    for part in sliced(logits, 2**16):
        best, finite = checks.decide(floats(to_numpy(part), "logits"))
        wrong.append(start + np.flatnonzero(~finite))
        decided.append(best)
        start += len(part)
    checks.refuse_rows(np.concatenate(wrong), start, "logits")
    return np.concatenate(decided).astype(np.int32)


def below_floor(values: dict[str, float]) -> bool | None:
    """Whether NC1 is at or under its floor; None if one is not known."""
    nc1, floor = values.get("nc1", np.nan), values["nc1_floor"]
    return nc1 <= floor if np.isfinite([nc1, floor]).all() else None
