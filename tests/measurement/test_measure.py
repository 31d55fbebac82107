"""`ncjax.measure`: the numbers against float64 NumPy, and against the metrics directly;
files of every format; and what is said of bad input.
"""

import dataclasses
import functools
import json
import math
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from ncjax import collapse
from ncjax.cli.measure import main
from ncjax.collapse import METRICS, ON_REQUEST, PRESETS
from ncjax.measurement import MeasureError, Measurement, figure, measure
from ncjax.measurement.figure import render
from ncjax.measurement.result import SENTENCES
from ncjax.moments import class_moments
from ncjax.ufm.theory.softmax_codes import one_vs_rest_distance

N, K, D = 600, 5, 12


def clusters(n=N, k=K, d=D, std=0.8, seed=0, dtype=np.float32):
    """Features [n, d] about k means, labels [n], a last layer W [k, d], b [k]."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(k, d))
    labels = rng.integers(0, k, n).astype(np.int32)
    labels[:k] = np.arange(k)
    features = means[labels] + std * rng.normal(size=(n, d))
    classifier = means - means.mean(0) + 0.1 * rng.normal(size=(k, d))
    bias = -0.5 * (means**2).sum(1) + 0.1 * rng.normal(size=k)
    return features.astype(dtype), labels, classifier.astype(dtype), bias.astype(dtype)


FEATURES, LABELS, W, B = clusters()


def in_numpy(features, labels, classifier, bias):
    """NC1 to NC4 and the accuracies, in float64, class by class."""
    x, w, b = (np.asarray(a, np.float64) for a in (features, classifier, bias))
    k = len(w)
    means = np.stack([x[labels == c].mean(0) for c in range(k)])
    within = sum(
        (x[labels == c] - means[c]).T @ (x[labels == c] - means[c]) for c in range(k)
    ) / len(x)
    centred = means - means.mean(0)
    between = centred.T @ centred / k
    simplex = (np.eye(k) - 1 / k) / np.sqrt(k - 1)

    def distance(gram):
        return np.linalg.norm(gram / np.linalg.norm(gram) - simplex)

    nearest = ((x[:, None] - means) ** 2).sum(-1).argmin(1)
    decided = (x @ w.T + b).argmax(1)
    return {
        "nc1": np.trace(within @ np.linalg.pinv(between, rcond=1e-9)) / k,
        "nc2": distance(centred @ centred.T),
        "nc3": distance(w @ centred.T),
        "nc4": np.mean(nearest != decided),
        "ncc_accuracy": np.mean(nearest == labels),
        "accuracy": np.mean(decided == labels),
    }


def assert_close(values, expected, rtol=1e-4):
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, rel=rtol, abs=1e-6), name


@pytest.fixture(scope="module")
def plain() -> Measurement:
    return measure(FEATURES, LABELS, classifier=W, bias=B)


@pytest.fixture
def few(monkeypatch):
    """A few metrics only: each new K or d would compile all of them for seconds."""
    only = ("rank", "nc1", "nc1_floor", "trace_ratio", "nc2", "nc3")
    quick = jax.jit(
        functools.partial(collapse.measure, only=only), static_argnames="convention"
    )

    def measured(*args, only, **kwargs):
        return quick(*args, **kwargs)

    monkeypatch.setattr(sys.modules["ncjax.measurement.core"], "_measure", measured)


def save_npz(path, **changes):
    arrays = {"features": FEATURES, "labels": LABELS, "classifier": W, "bias": B}
    np.savez(path, **{k: v for k, v in (arrays | changes).items() if v is not None})
    return str(path)


# The numbers.


def test_numbers_against_numpy(plain):
    expected = in_numpy(FEATURES, LABELS, W, B)
    assert 0 < expected["nc4"] < 0.5  # else nothing would be tested
    assert_close(plain, expected)


def test_numbers_are_those_of_collapse(plain):
    moments = class_moments(jnp.asarray(FEATURES), jnp.asarray(LABELS), K)
    compiled = jax.jit(collapse.measure, static_argnames="convention")
    direct = compiled(moments, jnp.asarray(W), jnp.asarray(B))
    assert set(direct) <= set(plain.values)
    for name, value in direct.items():
        np.testing.assert_allclose(plain[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch_size", [7, 128, 10_000])
def test_batches_do_not_matter(plain, batch_size):
    other = measure(FEATURES, LABELS, classifier=W, bias=B, batch_size=batch_size)
    assert other.values.keys() == plain.values.keys()
    for name, value in plain.values.items():
        np.testing.assert_allclose(other[name], value, rtol=2e-4, atol=2e-6)


def test_float64_is_measured_in_float64(few):
    x, y, w, b = clusters(std=1e-9, dtype=np.float64)
    result = measure(x, y, classifier=w, bias=b)
    assert result.measured["state_dtype"] == "float64"
    assert result["nc1"] == pytest.approx(in_numpy(x, y, w, b)["nc1"], rel=1e-4)
    assert not result.measured["nc1_below_floor"]
    assert jnp.zeros(1, float).dtype == jnp.float32  # x64 was on only inside


def test_below_the_precision_of_the_features(few):
    x, y, _, _ = clusters(std=1e-9)
    result = measure(x, y)
    assert result.measured["nc1_below_floor"]
    assert "below the precision of the features" in str(result)
    assert not measure(FEATURES, LABELS).measured["nc1_below_floor"]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision(dtype, few):
    half = FEATURES.astype(dtype)
    result = measure(half, LABELS, classifier=W, bias=B)
    assert_close(result, in_numpy(half.astype(np.float64), LABELS, W, B))
    assert result.measured["dtype"] == np.dtype(dtype).name
    floor = measure(FEATURES, LABELS)["nc1_floor"]
    ratio = float(ml_dtypes.finfo(dtype).eps) / np.finfo(np.float32).eps
    assert result["nc1_floor"] == pytest.approx(floor * ratio**2, rel=1e-2)


@pytest.mark.parametrize("source", ["list", "function", "pairs", "jax", "integers"])
def test_sources(plain, source):
    chunks = [slice(i, i + 70) for i in range(0, N, 70)]
    given, labels, expected = FEATURES, LABELS, plain
    if source == "list":
        given = [FEATURES[c] for c in chunks]
    elif source == "function":
        given = lambda: (FEATURES[c] for c in chunks)  # noqa: E731
    elif source == "pairs":
        given, labels = [(FEATURES[c], LABELS[c]) for c in chunks], None
    elif source == "jax":
        given = jnp.asarray(FEATURES)
    else:
        given = np.round(20 * FEATURES).astype(np.int8)
        expected = in_numpy(given, LABELS, W, B)
    result = measure(given, labels, classifier=W, bias=B)
    expected = expected if isinstance(expected, dict) else expected.values
    assert_close(result, expected)


def test_an_iterator_is_read_once(few):
    pairs = [(FEATURES[i : i + 70], LABELS[i : i + 70]) for i in range(0, N, 70)]
    once, twice = measure(iter(pairs)), measure(pairs)
    assert once["nc1"] == pytest.approx(twice["nc1"], rel=1e-5)
    assert once.measured["n"] == N
    assert "ncc_accuracy" in twice.values
    assert "ncc_accuracy" not in once.values
    assert any("read only once" in text for text in once.warnings)


def test_classes_found_on_the_way(few):
    """K is not known before the last chunk, and grows past a power of two."""
    x, y, _, _ = clusters(n=800, k=20)
    order = np.argsort(y, kind="stable")
    x, y = x[order], y[order]
    result = measure([(x[i : i + 100], y[i : i + 100]) for i in range(0, 800, 100)])
    assert result.measured["num_classes"] == 20
    assert result["nc1"] == pytest.approx(measure(x, y)["nc1"], rel=1e-4)


def test_feature_maps(plain, few):
    maps = np.repeat(FEATURES[:, None, None], 2, axis=1)  # [n, 2, 1, d]
    result = measure(maps, LABELS, pool="mean")
    assert result["nc1"] == pytest.approx(plain["nc1"], rel=1e-4)
    first = np.moveaxis(maps, -1, 1)
    result = measure(first, LABELS, pool="mean_channels_first")
    assert result["nc1"] == pytest.approx(plain["nc1"], rel=1e-4)
    assert measure(maps, LABELS, pool="flatten").measured["d"] == 2 * D
    # What an average pool leaves needs no choice.
    result = measure(FEATURES[:, :, None, None], LABELS)
    assert result["nc1"] == pytest.approx(plain["nc1"], rel=1e-4)
    with pytest.raises(MeasureError, match="pool='mean_channels_first'"):
        measure(maps, LABELS)


def test_wide_features_take_a_second_pass_instead_of_a_scatter(plain, monkeypatch, few):
    core = sys.modules["ncjax.measurement.core"]
    monkeypatch.setattr(core, "_WIDE", D - 1)
    result = measure(FEATURES, LABELS, classifier=W, bias=B, batch_size=250)
    assert result.moments.scatter is None
    assert_close(result, {k: plain[k] for k in result.values})
    once = measure(iter([(FEATURES, LABELS)]))
    assert "nc1" not in once.values
    assert any("second reading for NC1" in text for text in once.warnings)


def test_test_set_and_outliers(plain):
    rng = np.random.default_rng(3)
    x, y = FEATURES[:300] + 0.3 * rng.normal(size=(300, D)).astype("f"), LABELS[:300]
    ood = rng.normal(size=(200, D)).astype(np.float32) + 1
    result = measure(
        *(FEATURES, LABELS),
        classifier=W,
        bias=B,
        test_features=x,
        test_labels=y,
        ood_features=ood,
        batch_size=128,
    )
    x64, means = x.astype(np.float64), np.asarray(result.moments.means, np.float64)
    nearest = ((x64[:, None] - means) ** 2).sum(-1).argmin(1)
    decided = (x64 @ W.T + B).argmax(1)
    residual = x64 - means[y]
    centred = means - means.mean(0)
    pinv = np.linalg.pinv(centred.T @ centred / K, rcond=1e-9)
    assert_close(
        result,
        {
            "test_nc1": np.trace(residual.T @ residual / 300 @ pinv) / K,
            "test_nc4": np.mean(nearest != decided),
            "test_ncc_accuracy": np.mean(nearest == y),
            "test_accuracy": np.mean(decided == y),
            "nc1": plain["nc1"],
        },
    )
    mean = ood.astype(np.float64).mean(0)
    norms = np.linalg.norm(means, axis=1) * np.linalg.norm(mean)
    assert result["nc5"] == pytest.approx(np.abs(means @ mean / norms).mean(), rel=1e-4)
    scores = [collapse.neco(jnp.asarray(a), result.moments) for a in (x, ood)]
    assert result["neco_in"] == pytest.approx(float(scores[0].mean()), rel=1e-4)
    assert result["neco_ood"] == pytest.approx(float(scores[1].mean()), rel=1e-4)
    higher = np.asarray(scores[0])[:, None] > np.asarray(scores[1])
    assert result["neco_auroc"] == pytest.approx(higher.mean(), abs=2e-3)
    assert result.measured["test_n"] == 300
    assert result.measured["ood_n"] == 200


def test_logits_replace_the_classifier(plain):
    logits = FEATURES @ W.T + B
    for given in (logits, logits.argmax(1)):
        result = measure(FEATURES, LABELS, logits=given)
        assert result["nc4"] == plain["nc4"]
        assert result["accuracy"] == plain["accuracy"]
        assert "nc3" not in result.values
    with pytest.raises(MeasureError, match=r"logits have shape \(599, 5\)"):
        measure(FEATURES, LABELS, logits=logits[:-1])


@pytest.mark.parametrize(
    "preset",
    [
        pytest.param(name, marks=pytest.mark.slow if name == "wu2024" else ())
        for name in PRESETS
    ],
)
def test_presets(preset, plain):
    result = measure(FEATURES, LABELS, classifier=W, bias=B, preset=preset)
    convention = PRESETS[preset]
    assert {*METRICS, "nc2", "nc3", "nc4", "ncc_accuracy", "accuracy"} == set(
        result.values
    )
    assert result["nc2"] == result[convention.nc2]
    assert result["nc3"] == result[convention.nc3]
    factor = 1 if convention.divide_by_classes else K
    if convention.global_mean == "classes":
        assert result["nc1"] == pytest.approx(factor * plain["nc1"], rel=1e-4)
    assert result.to_dict()["measured"]["preset"] == preset


def test_one_vs_rest_is_asked_for(plain):
    result = measure(FEATURES, LABELS, classifier=W, bias=B, one_vs_rest=True)
    assert set(result.values) - set(plain.values) == set(ON_REQUEST)
    rows = W / np.linalg.norm(W, axis=1, keepdims=True)
    want = one_vs_rest_distance(rows)
    assert result["one_vs_rest_w"] == pytest.approx(want, abs=2e-6)


def test_presets_of_the_classifier_need_one(few):
    result = measure(FEATURES, LABELS, preset="zhu2021")
    assert "nc2" not in result.values
    assert "NC2 of this preset (nc2_w) is that of the classifier" in result.warnings[0]


# The report.


def test_every_number_has_a_sentence(plain):
    assert {*METRICS, *ON_REQUEST} <= set(SENTENCES)
    text = str(plain)
    for name in plain.values:
        line = next(x for x in text.splitlines() if x.split()[:1] == [name])
        assert SENTENCES[name][1].split("{")[0] in line
    assert "600 float32 features of width 12, 5 classes of" in text
    assert "precision floor" in text
    assert max(map(len, text.splitlines())) <= 110


def simplex():
    """Collapsed features [n, d], their labels [n], and the class means [K, d]."""
    frame = np.zeros((K, D), np.float32)
    frame[:, :K] = 8 * np.eye(K) - 8 / K
    return np.repeat(frame, N // K, axis=0), np.repeat(np.arange(K), N // K), frame


def test_ideals_are_those_of_a_simplex():
    x, y, frame = simplex()
    result = measure(x, y, classifier=frame, bias=np.zeros(K, np.float32))
    for name, value in result.values.items():
        ideal = SENTENCES[name][0](K, D)
        if ideal is not None:
            assert value == pytest.approx(ideal, abs=1e-5), name


def test_to_dict_is_strict_json(plain):
    x, y, frame = simplex()
    result = measure(x, y, classifier=frame, bias=np.zeros(K, np.float32))
    assert math.isinf(result["snr"])
    data = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert data["snr"] is None
    assert data["nc1"] == 0
    assert data["measured"]["class_sizes"] == [N // K, N // K]
    assert data["measured"]["convention"]["divide_by_classes"] is True
    assert data["measured"]["warnings"] == list(result.warnings)
    assert plain.to_dict()["nc1"] == plain["nc1"]
    with pytest.raises(KeyError, match=r"Unknown or not measured: 'nc7'"):
        plain["nc7"]


@pytest.mark.parametrize("k", [3, 40, 250])
def test_figures(k, plain):
    x, y, _, _ = clusters(n=4 * k, k=k, d=24)
    moments = jax.jit(class_moments, static_argnums=2)(x, y, k)
    names = tuple(f"class {i}" for i in range(k))
    drawn = figure(dataclasses.replace(plain, moments=moments, class_names=names))
    titles = [axis.get_title(loc="left") for axis in drawn.axes[:3]]
    assert [title.split()[0] for title in titles] == ["Spectrum", "Cosines", "Spread"]
    spectrum = drawn.axes[0].lines[1].get_ydata()
    assert len(spectrum) == min(k - 1, 24)
    assert np.mean(spectrum**2) == pytest.approx(1)
    cosines, spread = drawn.axes[1], drawn.axes[2]
    if k <= 200:
        shown = cosines.images[0].get_array()
        means = np.stack([x[y == c].astype(float).mean(0) for c in range(k)])
        unit = means - means.mean(0)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        np.testing.assert_allclose(shown[0, 1:], (unit @ unit.T)[0, 1:], atol=1e-5)
    else:
        assert not cosines.images
    named = [t.get_text() for t in spread.get_xticklabels()] == [
        f"class {i}" for i in range(k)
    ]
    assert named == (k <= 30)
    assert render(drawn, ".png").startswith(b"\x89PNG")


def test_figures_of_degenerate_features():
    x, y, _ = simplex()
    moments = jax.jit(class_moments, static_argnums=2)
    exact = figure(moments(x, y, K))
    assert "0 in every class" in exact.axes[2].texts[0].get_text()
    constant = figure(moments(np.ones_like(x), y, K))
    assert "undefined" in constant.axes[2].texts[0].get_text()
    x[0] += 0.1  # spread in class 0 only: four hollow points on the lower edge
    partly = figure(moments(x, y, K))
    assert len(partly.axes[2].lines[1].get_xdata()) == K - 1
    for drawn in (exact, constant, partly):
        assert render(drawn, ".png").startswith(b"\x89PNG")


# Bad input.

nan = FEATURES.copy()
nan[[17, 300]] = np.nan
overflown = FEATURES.astype(np.float16)
overflown[5] = np.inf


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": LABELS + 1}, r"out of range: \d+ are 5 or more.*run from 1 to K"),
        ({"labels": LABELS - 1}, r"row 0 has -1, and 0..K-1 are allowed"),
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
    with pytest.raises(MeasureError, match="600 features but 599 labels"):
        measure([(FEATURES, LABELS[1:])])
    with pytest.raises(MeasureError, match="1,200 rows, but there are 600 labels"):
        measure([FEATURES, FEATURES], LABELS)
    with pytest.raises(MeasureError, match="600 rows, but there are 1,200 labels"):
        measure([FEATURES], np.tile(LABELS, 2))


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


# Files, through the command line.


def run(arguments, capsys):
    status = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def measured(arguments, tmp_path, capsys):
    """What the command line writes as JSON."""
    status, _, error = run([*arguments, "--json", tmp_path / "out.json"], capsys)
    assert status == 0, error
    return json.loads((tmp_path / "out.json").read_text())


def write(tmp_path, kind):
    """Features, labels and classifier in one format; arguments of the command line."""
    arrays = {"features": FEATURES, "labels": LABELS, "classifier": W, "bias": B}
    head = np.savez(tmp_path / "head.npz", W=W, b=B) or tmp_path / "head.npz"
    table = np.column_stack([LABELS, FEATURES])
    columns = ["label", *(f"f{i}" for i in range(D))]
    if kind in ("npy", "fortran", "txt"):
        x = np.asfortranarray(FEATURES) if kind == "fortran" else FEATURES
        np.save(tmp_path / "x.npy", x)
        np.save(tmp_path / "y.npy", LABELS)
        np.savetxt(tmp_path / "y.txt", LABELS, fmt="%d")
        y = tmp_path / ("y.txt" if kind == "txt" else "y.npy")
        return [tmp_path / "x.npy", "--labels", y, "--classifier", head]
    if kind == "npz":
        return [save_npz(tmp_path / "all.npz")]
    if kind == "compressed":
        np.savez_compressed(tmp_path / "all.npz", **arrays)
        return [tmp_path / "all.npz"]
    if kind == "safetensors":
        numpy = pytest.importorskip("safetensors.numpy")
        numpy.save_file(arrays, tmp_path / "all.safetensors")
        return [tmp_path / "all.safetensors"]
    if kind == "torch":
        torch = pytest.importorskip("torch")
        tensors = {k: torch.from_numpy(v) for k, v in arrays.items()}
        torch.save({k: tensors[k] for k in ("features", "labels")}, tmp_path / "x.pt")
        state = {
            "conv.weight": torch.zeros(3, 3, 1, 1),
            "fc.weight": tensors["classifier"],
            "fc.bias": tensors["bias"],
        }
        torch.save({"state_dict": state}, tmp_path / "model.pth")
        return [tmp_path / "x.pt", "--classifier", tmp_path / "model.pth"]
    if kind == "csv":
        names = ",".join(columns)
        np.savetxt(tmp_path / "x.csv", table, "%.9g", ",", header=names, comments="")
        return [tmp_path / "x.csv", "--classifier", head]
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    if kind == "parquet":
        data = dict(zip(columns, [LABELS, *FEATURES.T], strict=True))
    else:
        data = {"label": LABELS, "embedding": list(FEATURES), "id": np.arange(N)}
    pq.write_table(pa.table(data), tmp_path / "x.parquet")
    return [tmp_path / "x.parquet", "--classifier", head]


@pytest.mark.parametrize(
    "kind",
    [
        *("npy", "fortran", "txt", "npz", "compressed", "safetensors", "torch"),
        *("csv", "parquet", "lists"),
    ],
)
def test_formats(kind, plain, tmp_path, capsys):
    arguments = write(tmp_path, kind)
    data = measured([*arguments, "--batch-size", 600], tmp_path, capsys)
    for name, value in plain.to_dict().items():
        if name != "measured":
            assert data[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    assert data["measured"]["source"] == str(arguments[0])
    assert data["measured"]["dtype"] == "float32"


@pytest.mark.parametrize(
    "kind", ["npy", "fortran", "compressed", "safetensors", "csv", "lists"]
)
def test_formats_in_chunks(kind, tmp_path):
    """Readers give the rows in order, no more at a time than asked for."""
    from ncjax.measurement.readers import find, open_arrays

    path = write(tmp_path, kind)[0]
    chunks = list(find(open_arrays(path), "features", path).chunks(128))
    assert max(map(len, chunks)) == 128
    np.testing.assert_allclose(np.concatenate(chunks), FEATURES, rtol=1e-6)


def test_bfloat16_files(tmp_path, capsys, few):
    numpy = pytest.importorskip("safetensors.numpy")
    half = FEATURES.astype(ml_dtypes.bfloat16)
    expected = measure(half, LABELS).values
    numpy.save_file({"x": half, "y": LABELS}, tmp_path / "half.safetensors")
    np.save(tmp_path / "half.npy", half)
    np.save(tmp_path / "y.npy", LABELS)
    for arguments in (
        [tmp_path / "half.safetensors"],
        [tmp_path / "half.npy", "--labels", tmp_path / "y.npy"],
    ):
        data = measured(arguments, tmp_path, capsys)
        assert data["nc1"] == pytest.approx(expected["nc1"], rel=1e-5)
        assert data["measured"]["dtype"] == "bfloat16"


def test_torch_tensors(plain):
    torch = pytest.importorskip("torch")
    x = torch.tensor(FEATURES, requires_grad=True)
    layer = torch.nn.Linear(D, K)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(W))
        layer.bias.copy_(torch.from_numpy(B))
    head = {"classifier": layer.weight, "bias": layer.bias}
    result = measure(x, torch.from_numpy(LABELS), **head)
    assert_close(result, plain.values)
    half = measure(x.bfloat16(), torch.from_numpy(LABELS), **head)
    assert half.measured["dtype"] == "bfloat16"


def test_tables_leave_out_what_is_no_feature(tmp_path, capsys, few):
    lines = [",path,label,a,b,c"]
    rows = zip(LABELS, FEATURES[:, :3], strict=True)
    lines += [
        f'{i},"f,{i}.png",{y},{a},{b},{c}' for i, (y, (a, b, c)) in enumerate(rows)
    ]
    path = tmp_path / "x.csv"
    path.write_text("\n".join(lines) + "\n")
    data = measured([path], tmp_path, capsys)
    assert data["measured"]["d"] == 3
    assert data["nc1"] == pytest.approx(
        measure(FEATURES[:, :3], LABELS)["nc1"], rel=1e-4
    )
    notes = " ".join(data["measured"]["warnings"])
    assert "no features: '', 'path'" in notes
    assert "read as float32" in notes


def test_outputs(tmp_path, capsys):
    path = save_npz(tmp_path / "all.npz")
    status, out, error = run(
        [path, "--json", tmp_path / "o.json", "--figure", tmp_path / "o.svg"], capsys
    )
    assert status == 0, error
    assert "spread within classes" in out
    assert (tmp_path / "o.svg").read_bytes().startswith(b"<?xml")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all.npz", "o.json", "o.svg"]


def test_other_options(tmp_path, capsys):
    path = save_npz(tmp_path / "all.npz", labels=None, cls=LABELS)
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\ne\n")
    data = measured(
        [
            *(path, "--labels-key", "cls", "--preset", "papyan2020"),
            *("--test-features", path, "--ood-features", path),
            *("--num-classes", 5, "--class-names", tmp_path / "names.txt"),
        ],
        tmp_path,
        capsys,
    )
    assert data["measured"]["preset"] == "papyan2020"
    assert data["test_accuracy"] == data["accuracy"]
    assert data["neco_auroc"] == pytest.approx(0.5)


def bad_files(tmp_path):
    """Arguments and message, by name."""
    good = save_npz(tmp_path / "good.npz")
    np.save(tmp_path / "x.npy", FEATURES)
    whole = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:5000])
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "not.npy").write_bytes(b"hello there")
    (tmp_path / "not.npz").write_bytes(b"hello there")
    (tmp_path / "not.safetensors").write_bytes(b"\xff" * 40)
    (tmp_path / "names.csv").write_text("label,a,b\n")
    (tmp_path / "holes.csv").write_text("label,a,b\n0,1,2\n1,,3\n")
    (tmp_path / "x.json").write_text("[]")
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    np.savez(tmp_path / "none.npz")
    nans = save_npz(tmp_path / "nans.npz", features=nan)
    turned = save_npz(tmp_path / "turned.npz", classifier=W.T, bias=None)
    many = tmp_path / "many.npz"
    np.savez(many, **{"a.weight": W, "b.weight": W})
    x = tmp_path / "x.npy"
    return {
        "missing": ([tmp_path / "no.npy"], "There is no file"),
        "empty": ([tmp_path / "empty.npy"], "is empty"),
        "cut": ([tmp_path / "cut.npy"], "is cut off: it has 5,000 bytes of 28,928"),
        "npy": ([tmp_path / "not.npy"], "Cannot read .* as .npy"),
        "npz": ([tmp_path / "not.npz"], "Cannot read .* as .npz"),
        "safetensors": ([tmp_path / "not.safetensors"], "no .safetensors file"),
        "objects": ([tmp_path / "objects.npy"], "holds Python objects"),
        "no rows": ([tmp_path / "names.csv"], "is empty"),
        "no arrays": ([tmp_path / "none.npz"], "is empty"),
        "holes": ([tmp_path / "holes.csv"], "between lines 2 and 3"),
        "ending": ([tmp_path / "x.json"], "'.json'. Available: .npy, .npz"),
        "no labels": ([x], "has no labels. Give --labels"),
        "nan": ([nans], "first is row 17"),
        "transposed": ([turned], "transpose it"),
        "key": ([good, "--labels-key", "z"], "no array 'z'. Available: features"),
        "many": ([good, "--classifier", many], "2 weight matrices; .*--classifier-key"),
        "folder": ([good, "--json", tmp_path / "no" / "o.json"], "--json .*/no"),
        "figure": ([good, "--figure", tmp_path / "o.gif"], "'.gif'. Available: .png"),
        "test": ([good, "--test-labels", x], "no --test-features"),
        "classes": ([good, "--num-classes", 4], "must agree"),
    }


@pytest.mark.parametrize(
    "case",
    [
        *("missing", "empty", "cut", "npy", "npz", "safetensors", "objects", "no rows"),
        *("no arrays", "holes", "ending", "no labels", "nan", "transposed", "key"),
        *("many", "folder", "figure", "test", "classes"),
    ],
)
def test_bad_files(case, tmp_path, capsys):
    arguments, message = bad_files(tmp_path)[case]
    before = sorted(tmp_path.iterdir())
    outputs = ["--json", tmp_path / "bad.json", "--figure", tmp_path / "bad.png"]
    if "--json" not in arguments and "--figure" not in arguments:
        arguments = [*arguments, *outputs]
    status, out, error = run(arguments, capsys)
    assert status == 2
    assert out == ""
    assert error.startswith("error: ")
    assert len(error.strip().splitlines()) == 1
    with pytest.raises(MeasureError, match=message):
        raise MeasureError(error)
    assert sorted(tmp_path.iterdir()) == before


def test_nothing_is_left_of_a_failed_write(tmp_path, capsys, monkeypatch):
    path = save_npz(tmp_path / "all.npz")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    status, _, error = run([path, "--json", tmp_path / "o.json"], capsys)
    assert status == 2
    assert "No space left" in error
    assert [p.name for p in tmp_path.iterdir()] == ["all.npz"]


def test_unknown_options_and_help(capsys):
    assert main(["x.npy", "--preset", "none"]) == 2
    assert "kothapalli2023" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "ncjax measure features.npy --labels=" in capsys.readouterr().out


def test_torch_files_need_torch(tmp_path, capsys, monkeypatch):
    (tmp_path / "x.pt").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "torch", None)
    status, _, error = run([tmp_path / "x.pt"], capsys)
    assert status == 2
    assert "needs PyTorch" in error
    (tmp_path / "x.parquet").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    status, _, error = run([tmp_path / "x.parquet"], capsys)
    assert status == 2
    assert "needs pyarrow" in error


def test_module_runs_without_a_warning():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "ncjax", "measure", "--help"],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[1],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("usage: ncjax measure")


_LARGE = """
import resource, sys
import numpy as np
from ncjax.cli.measure import main
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
main([sys.argv[1]])  # a small file of the same width, so that all is compiled
before = peak()
assert main(sys.argv[2:]) == 0
print("grown by KiB", peak() - before)
"""


@pytest.mark.slow
def test_larger_than_memory(tmp_path):
    """1.5 GB are measured in far less."""
    n, k, d = 750_000, 10, 512
    rng = np.random.default_rng(0)
    means = rng.normal(size=(k, d)).astype(np.float32)
    labels = rng.integers(0, k, n).astype(np.int32)
    file = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, shape=(n, d))
    noise = 0.1 * rng.normal(size=(10_000, d)).astype(np.float32)
    for start in range(0, n, 10_000):
        file[start : start + 10_000] = means[labels[start : start + 10_000]] + noise
    file.flush()
    del file
    np.save(tmp_path / "y.npy", labels)
    np.savez(tmp_path / "head.npz", W=means - means.mean(0), b=np.zeros(k, np.float32))
    small = save_npz(
        tmp_path / "s.npz",
        features=means,
        labels=np.arange(k),
        classifier=means,
        bias=None,
    )
    done = subprocess.run(
        [
            *(sys.executable, "-c", _LARGE, small, str(tmp_path / "x.npy")),
            *("--labels", str(tmp_path / "y.npy")),
            *("--classifier", str(tmp_path / "head.npz")),
        ],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[1],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    grown = int(done.stdout.split("grown by KiB")[1])
    assert grown < 600_000
    nc1 = [x for x in done.stdout.splitlines() if x.split()[:1] == ["nc1"]][-1]
    centred = means.astype(np.float64) - means.astype(np.float64).mean(0)
    values, along = np.linalg.svd(centred, full_matrices=False)[1:]
    expected = np.sum(((noise @ along[: k - 1].T) ** 2).mean(0) / values[: k - 1] ** 2)
    assert float(nc1.split()[1]) == pytest.approx(expected, rel=2e-2)
