"""What is said of bad input, and of what a reader must know."""

import math

import numpy as np
import pytest

from ncjax.measurement import MeasureError, checks, measure
from tests.measurement.features import (
    FEATURES,
    LABELS,
    B,
    D,
    K,
    N,
    W,
    assert_close,
    nan,
)
from tests.thin import thin

overflown = FEATURES.astype(np.float16)


overflown[5] = np.inf

holed = FEATURES[:, :5].copy()


holed[4:600:6, 2] = np.nan


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": LABELS + 1}, r"in \d+ rows.* 0..4 are .*run from 1 to K"),
        ({"labels": LABELS - 1}, r"row 0 has -1, and 0\.\.4 are allowed"),
        ({"labels": LABELS + 0.5}, "hold 0.5 in row 0: labels are integers"),
        ({"labels": np.eye(K)[LABELS]}, r"\(600, 5\).*argmax"),
        ({"labels": LABELS[:-1]}, "features have 600 rows, but there are 599 labels"),
        ({"labels": None}, "come without labels"),
        ({"labels": np.array(["cat"] * N)}, "text such as 'cat'.*class_names"),
        ({"labels": np.zeros(N, int)}, "all of one class"),
        ({"features": nan}, "2 of the rows 0 to 599 .* first is row 17, .* NaN"),
        ({"features": overflown}, "row 5, .* infinity. float16 overflows beyond 65504"),
        ({"features": FEATURES[:0], "labels": LABELS[:0]}, "hold no rows"),
        ({"features": FEATURES[:, :0]}, "width 0"),
        ({"features": FEATURES[0]}, r"\(12,\); \[n, d\] is needed"),
        ({"features": FEATURES + 1j}, "complex64; real numbers"),
        ({"features": "features.npy"}, "features are a str"),
        ({"features": [1.0, 2.0]}, "list of numbers"),
        ({"classifier": W.T, "bias": None}, r"\[12, 5\] = \[d, K\].*transpose"),
        ({"classifier": W.T}, "Transpose"),
        ({"classifier": W[:, 1:]}, r"\[5, 11\], but with these features \[K, 12\]"),
        ({"classifier": W[0]}, r"shape \(12,\); W \[K, d\]"),
        ({"classifier": W * np.nan}, "60 entries of NaN or infinity"),
        ({"classifier": None}, "a bias, but no classifier"),
        ({"bias": B[1:]}, r"bias has shape \(4,\)"),
        ({"num_classes": 7}, "7 by num_classes, 5 by the rows of the classifier"),
        ({"test_features": FEATURES[:, 1:], "test_labels": LABELS}, "width 11"),
        ({"test_features": FEATURES}, "test features come without labels"),
        ({"pool": "max"}, "Unknown pool 'max'. Available: mean,"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"classifier": None, "bias": None, "num_classes": 0}, "classes is 0 by num_"),
        ({"logits": holed}, "100 of 600 rows hold NaN .* the first is row 4"),
        ({"logits": FEATURES[:, :5] * np.inf}, "600 of 600 rows hold NaN or infinity"),
        ({"logits": FEATURES[:, :1]}, r"\(600, 1\).* binary network .*\[-z/2, z/2\]"),
        ({"logits": LABELS + 1}, r"decisions are out of range in \d+ rows"),
        ({"logits": FEATURES + 1j}, "logits are complex64; real numbers"),
    ],
)
def test_bad_input(changes, message):
    arguments = {"features": FEATURES, "labels": LABELS, "classifier": W, "bias": B}
    with pytest.raises(MeasureError, match=message):
        measure(**(arguments | changes))


def test_bad_dtypes_are_type_errors():
    with pytest.raises(TypeError, match="real numbers"):
        measure(FEATURES + 1j, LABELS)
    with pytest.raises(ValueError, match=r"Unknown convention 'x'. Available: default"):
        measure(FEATURES, LABELS, preset="x")


def test_chunks_that_do_not_fit():
    with pytest.raises(MeasureError, match="different widths, 12 and 11"):
        measure([FEATURES, FEATURES[:, 1:]], LABELS)
    wrong = LABELS.copy()
    wrong[400] = -1
    with pytest.raises(MeasureError, match="in 1 rows: row 400 has -1"):
        measure([(FEATURES[:350], wrong[:350]), (FEATURES[350:], wrong[350:])])
    test = {"test_features": FEATURES, "test_labels": LABELS + 1, "batch_size": 100}
    wrong = (LABELS == K - 1).sum()
    with pytest.raises(MeasureError, match=rf"test labels .* in {wrong} rows"):
        measure(FEATURES, LABELS, **test)
    with pytest.raises(MeasureError, match="600 features but 599 labels"):
        measure([(FEATURES, LABELS[1:])])
    with pytest.raises(MeasureError, match="1,200 rows, but there are 600 labels"):
        measure([FEATURES, FEATURES], LABELS)
    with pytest.raises(MeasureError, match="600 rows, but there are 1,200 labels"):
        measure([FEATURES], np.tile(LABELS, 2))


BASE = dict(zip(("features", "labels", "classifier", "bias"), (FEATURES, LABELS, W, B)))
SCALES = [1e18, 1e20, 1e30, 1e-18, 1e-20, 1e-30]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scale", "dtype"),
    [*((s, np.float32) for s in SCALES), (1e160, np.float64), (1e-160, np.float64)],
)
def test_only_the_bias_sees_the_scale(scale, dtype):
    """Squares over- and underflow; what has no scale must not notice."""
    features, classifier = FEATURES.astype(dtype), W.astype(dtype)
    want = measure(features, LABELS, classifier=classifier)
    scaled = (features * scale).astype(dtype)
    got = measure(scaled, LABELS, classifier=classifier)
    assert got.warnings == want.warnings == ()
    for name in set(want.values) - {"bias_collapse", "nc1_floor"}:
        assert got[name] == pytest.approx(want[name], rel=1e-4, abs=1e-6), name
    ratio = got["bias_collapse"] / want["bias_collapse"]
    assert ratio == pytest.approx(scale, rel=1e-5)


def test_what_is_out_of_range_is_said_to_be():
    text = warned(FEATURES / np.abs(FEATURES).max() * np.float32(3e38), LABELS)
    assert "sums of them overflow in float32" in text
    assert "equal" not in text
    text = warned(FEATURES * np.float32(1e-37), LABELS)
    assert "underflow in float32" in text
    assert "equal" not in text


def test_means_on_a_line_are_not_equal():
    line = np.outer(np.arange(K) - 1.5, np.arange(1, D + 1)).astype(np.float32)
    features = line[LABELS] + np.float32(1e-3) * FEATURES[::-1]
    text = warned(line[LABELS], LABELS)
    assert "span 1 dimension of 4: some are equal, or lie on one line" in text
    assert "All class means" not in text
    assert "told apart" not in warned(features, LABELS)


def test_one_dimension_has_no_measure_of_directions():
    text = warned(FEATURES[:, :1], LABELS)
    assert "NC2 cannot be 0." in text
    assert "uniformity" not in text


def test_a_classifier_of_zeros_is_named():
    text = warned(FEATURES, LABELS, classifier=0 * W)
    assert "5 rows of the classifier are 0" in text


def test_warnings_stand_before_the_numbers():
    text = str(measure(FEATURES, LABELS + 1))
    assert text.index("If your labels begin at 1") < text.index("nc1")


def warned(*args, **options):
    return " ".join(measure(*args, **options).warnings)


def test_warnings(plain, few):
    assert plain.warnings == ()
    assert "all are integers" in warned(FEATURES, LABELS.astype(np.float32))
    shifted = measure(FEATURES, LABELS + 1)
    assert "1 of 6 classes have no features" in " ".join(shifted.warnings)
    assert "begin at 1" in " ".join(shifted.warnings)
    assert shifted["nc1"] == pytest.approx(plain["nc1"], rel=1e-5)
    assert shifted.measured["classes_present"] == K
    constant = measure(np.ones((N, D), np.float32), LABELS)
    assert "All class means are equal" in " ".join(constant.warnings)
    assert math.isnan(constant["nc1"])
    assert "undefined" in str(constant)
    few = warned(FEATURES[:K], np.arange(K))
    assert "single feature" in few
    assert "no more features than classes" in few
    assert "no simplex in 3 dimensions" in warned(FEATURES[:, :3], LABELS)
    dead = FEATURES.copy()
    dead[LABELS < 2] = FEATURES[0]
    assert "span 3 dimensions of 4" in warned(dead, LABELS)
    mixed = {"test_features": FEATURES, "test_labels": LABELS}
    rest = LABELS != 2
    assert "test features are of classes without training features" in warned(
        FEATURES[rest], LABELS[rest], num_classes=K, **mixed
    )


def test_logits_may_rule_classes_out(plain, few):
    logits = FEATURES @ W.T + B
    logits[logits < logits.max(1, keepdims=True)] = -np.inf
    assert measure(FEATURES, LABELS, logits=logits)["nc4"] == plain["nc4"]


def separated(seed, std):
    """Features of eight classes, their labels, and the classifier of their means."""
    rng = np.random.default_rng(seed)
    means, labels = rng.normal(size=(8, 8)), np.repeat(np.arange(8), 20)
    x = (means[labels] + std * rng.normal(size=(160, 8))).astype(np.float32)
    return x, labels, means - means.mean(0)


@pytest.mark.parametrize("biased", thin([False, True], keep={0}))
@pytest.mark.parametrize(("seed", "std"), [(0, 0.1), (1, 0.5)])
def test_transposed_square_classifier(seed, std, biased):
    x, labels, w = separated(seed, std)
    bias = 0.1 * np.random.default_rng(seed).normal(size=8)
    head = {"bias": bias} if biased else {}
    assert "transposed" not in warned(x, labels, classifier=w, **head)
    text = warned(x, labels, classifier=w.T, **head)
    assert "seems to be transposed: it is square" in text
    assert "another order" not in text
    simplex = np.eye(8) - 1 / 8  # its own transpose
    assert "transposed" not in warned(simplex[labels], labels, classifier=simplex)


def test_no_classifier_is_wrongly_taken_for_a_transposed_one():
    """Nearly all that are transposed are found: one in 200 decides as well that way."""
    found = []
    for seed in range(100):
        for std in (0.1, 0.5):
            x, labels, w = separated(seed, std)
            means = np.stack([x[labels == k].mean(0) for k in range(8)])
            assert not checks.transposed(means, np.ones(8, bool), w, None)
            found.append(checks.transposed(means, np.ones(8, bool), w.T, None))
    assert np.mean(found) >= 0.99


def test_an_untrained_square_classifier_is_not_taken_for_a_transposed_one():
    rng = np.random.default_rng(0)
    means = rng.normal(size=(8, 8))
    for _ in range(20):
        w = rng.normal(size=(8, 8))
        assert not checks.transposed(means, np.ones(8, bool), w, None)


def test_one_output_of_a_binary_network(few):
    rows = LABELS < 2
    x, y, w = FEATURES[rows], LABELS[rows], W[1:2] - W[0:1]
    b = (B[1:2] - B[0:1]) - 0.5
    both = {"classifier": np.concatenate([-w, w]), "bias": np.concatenate([-b, b])}
    want = measure(x, y, **both)
    for bias in (b, b[0], float(b[0])):
        result = measure(x, y, classifier=w, bias=bias)
        assert result["accuracy"] == want["accuracy"]
        assert result["nc3"] == pytest.approx(want["nc3"], rel=1e-5)
        assert "[-w/2, w/2] of one output with bias" in str(result)
    decided = (x @ w[0] + b[0] > 0) == y
    assert want["accuracy"] == decided.mean()
    with pytest.raises(MeasureError, match=r"0\.\.1 are allowed"):
        measure(FEATURES, LABELS, classifier=w)


@pytest.mark.parametrize("w", [W[:, :, None, None], W.T[None, None]])
def test_heads_that_are_convolutions(w, plain, few):
    result = measure(FEATURES, LABELS, classifier=w, bias=B)
    assert result["accuracy"] == plain["accuracy"]
    assert result["nc3"] == pytest.approx(plain["nc3"], rel=1e-6)
    with pytest.raises(MeasureError, match=r"\(5, 3, 2, 2\); W \[K, d\]"):
        measure(FEATURES, LABELS, classifier=W.reshape(5, 3, 2, 2))


def test_permuted_classifier(plain, few):
    order = [0, 3, 2, 1, 4]
    text = warned(FEATURES, LABELS, classifier=W[order], bias=B[order])
    assert "class 1 is row 3, class 3 is row 1. NC3" in text
    untrained = np.random.default_rng(5).normal(size=W.shape)
    assert "another order" not in warned(FEATURES, LABELS, classifier=untrained)


def test_class_names_map_text(few):
    names = ["e", "d", "c", "b", "a"]
    text = np.array(names)[LABELS]
    result = measure(FEATURES, text, class_names=names)
    assert result["nc1"] == measure(FEATURES, LABELS)["nc1"]
    chunks = [(FEATURES[:300], text[:300]), (FEATURES[300:], text[300:])]
    streamed = measure(chunks, class_names=names)
    assert_close(streamed, result.values)
    with pytest.raises(MeasureError, match="'e', which is none of the 4 class names"):
        measure(FEATURES, text, class_names=names[1:])
    assert measure(FEATURES, LABELS.astype(object))["nc1"] == result["nc1"]


def test_class_names_that_are_the_same(few):
    names = ["e", "d", "c", "d", "a"]
    text = np.array(names)[LABELS]
    with pytest.raises(
        MeasureError, match="name 'd' stands for class 1 and for class 3"
    ):
        measure(FEATURES, text, class_names=names)
    # Numbers tell them apart: ImageNet has two classes `crane`.
    result = measure(FEATURES, LABELS, class_names=names)
    assert result.measured["classes_present"] == K
