"""What `measure_labelled` takes, and what it refuses, before anything is compiled."""

import numpy as np
import pytest

from ncjax.measurement.labelled import measure_labelled
from ncjax.measurement.labelled_input import read_classifier, read_labels
from ncjax.measurement.sources import MeasureError

X = np.float32(np.random.default_rng(0).normal(size=(6, 4)))
Y = X[:, :2]
LEVELS = np.array([0, 1, 2, 0, 1, 2])
W = np.ones((2, 4), np.float32)


@pytest.mark.parametrize(
    ("name", "labels", "dtype", "shape"),
    [
        ("vector", X[:, 0].astype(float), np.float32, (6, 1)),
        ("ordinal", LEVELS.astype(float), np.int32, (6,)),
        ("set", np.eye(3)[LEVELS], np.bool_, (6, 3)),
        ("tasks", np.stack([LEVELS, LEVELS % 2], 1), np.int32, (6, 2)),
    ],
)
def test_labels_get_the_type_of_their_target(name, labels, dtype, shape):
    found, target = read_labels(labels, 6, name, None)
    assert (found.dtype, found.shape) == (dtype, shape)
    np.testing.assert_allclose(found.reshape(labels.shape), labels, rtol=1e-6)
    assert target.sizes == ((3, 2) if name == "tasks" else ())


def test_an_ordinal_classifier_has_a_row_for_each_level():
    known, target = read_labels(LEVELS, 6, "ordinal", None)
    weights, bias = read_classifier(W[:1], [0.5, 2.0], known, target, "ordinal")
    assert (weights.shape, bias.tolist()) == ((3, 4), [0, -0.5, -2.5])


BAD = {
    "no target": ((X, Y), {"target": "class"}, "Available: ordinal, vector"),
    "misspelt": ((X, Y), {"target": "vectors"}, "Did you mean 'vector'"),
    "too few": ((X, Y[:5]), {"target": "vector"}, r"6 features, but .* \(5, 2\)"),
    "maps": ((X[:, :, None], Y), {"target": "vector"}, r"\[n, d\] is needed"),
    "halves": ((X, LEVELS + 0.5), {"target": "ordinal"}, "are integers"),
    "numbers": ((X, Y), {"target": "set"}, "are zeros and ones"),
    "empty set": ((X, 0 * Y), {"target": "set"}, "have no label"),
    "one task": ((X, LEVELS), {"target": "tasks"}, r"\[n, T\] is needed"),
    "text": ((X, np.array(list("abcdef"))), {"target": "vector"}, "numbers are needed"),
    "constant": ((X, 0 * Y + 1), {"target": "vector"}, "constant"),
    "not finite": ((X, Y * np.inf), {"target": "vector"}, "NaN or infin"),
    "rows": ((X, Y), {"target": "vector", "classifier": W[:1]}, "2 outputs"),
    "width": ((X, Y), {"target": "vector", "classifier": W[:, :3]}, "width|features"),
    "bias": ((X, Y), {"target": "vector", "bias": [0, 0]}, "no classifier"),
    "biases": (
        (X, Y),
        {"target": "vector", "classifier": W, "bias": [0.0]},
        r"\[2\] is needed",
    ),
    "no thresholds": (
        (X, LEVELS),
        {"target": "ordinal", "classifier": W[:1]},
        "thresholds",
    ),
    "batches": ((X, Y), {"target": "vector", "batch_size": 0}, "at least 1, got 0"),
    "words": ((X.astype(str), Y), {"target": "vector"}, "numbers|float"),
    "test alone": ((X, Y), {"target": "vector", "test_features": X}, "classifier, too"),
    "test width": (
        (X, Y),
        {
            "target": "vector",
            "classifier": W,
            "test_features": X[:, :3],
            "test_labels": Y,
        },
        "the width 4",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(case):
    arrays, options, why = BAD[case]
    with pytest.raises(MeasureError, match=why):
        measure_labelled(*arrays, **options)
