"""Chunks of every kind, those of a data loader and a hook among them."""

import ml_dtypes
import numpy as np
import pytest

from ncjax.measurement import MeasureError, measure
from ncjax.measurement.sources import as_source
from tests.measurement.features import FEATURES, LABELS, N

PARTS = [slice(i, i + 200) for i in range(0, N, 200)]


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (lambda x, y: (x, y, np.arange(len(y))), r"3 parts, of the shapes \(200, 12\)"),
        (lambda x, y: [x, y, ["a"] * len(y)], "3 parts.* for x, y"),
        (lambda x, y: {"pixels": x, "label": y}, "is a dict of 'pixels', 'label'"),
        (lambda x, y: ({"pixels": x}, y), "is a dict of 'pixels'; .* a pair"),
        (lambda x, y: [x[0].tolist(), [1.0]], r"shape \(12,\)"),
        (lambda x, y: [x[0].tolist(), [1.0], [2.0]], "cannot read an array of list"),
        (lambda x, y: (x, None), "come without labels"),
    ],
)
def test_chunks_that_are_refused(chunk, message):
    chunks = [chunk(FEATURES[p], LABELS[p]) for p in PARTS]
    for features in (chunks, lambda: iter(chunks)):
        with pytest.raises(MeasureError, match=message):
            measure(features)


@pytest.mark.parametrize("kind", [tuple, list])
def test_one_part_alone(kind, few):
    """What a forward hook gets, and a data set without labels."""
    chunks = [kind([FEATURES[p]]) for p in PARTS]
    want = measure(FEATURES, LABELS)["nc1"]
    assert measure(chunks, LABELS)["nc1"] == pytest.approx(want, rel=1e-5)
    assert measure((FEATURES,), LABELS)["nc1"] == pytest.approx(want, rel=1e-5)


def test_rows_in_lists():
    (features, labels) = next(as_source([FEATURES[:3].tolist()], "x").pairs(9))
    np.testing.assert_array_equal(features, FEATURES[:3])
    assert labels is None
    (features, _) = next(as_source([list(FEATURES[:3])], "x").pairs(9))
    np.testing.assert_array_equal(features, FEATURES[:3])


class Net:
    """Looks like a module of PyTorch: takes images, has `apply`."""

    def apply(self, function):
        return self

    def __call__(self, images):
        return images


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (Net(), r"are a network \(Net\).* def features\(\)"),
        (lambda images: images, "cannot be called so: .* argument.* def features"),
        (lambda: None, "returned NoneType.* def features"),
    ],
)
def test_functions_that_return_no_features(function, message):
    with pytest.raises(MeasureError, match=message):
        measure(function, LABELS)


def test_networks_and_loaders_of_torch(few):
    torch = pytest.importorskip("torch")
    data = torch.utils.data
    x, y = torch.from_numpy(FEATURES), torch.from_numpy(LABELS)
    net = torch.nn.Linear(12, 5)
    loader = data.DataLoader(data.TensorDataset(x, y, y), 128)
    with pytest.raises(MeasureError, match=r"are a network \(Linear\)"):
        measure(net, loader)
    with pytest.raises(MeasureError, match=r"3 parts, of the shapes \(128, 12\), \(1"):
        measure(loader)
    want = measure(FEATURES, LABELS)["nc1"]
    alone = data.DataLoader(data.TensorDataset(x), 128)
    assert measure(alone, LABELS)["nc1"] == pytest.approx(want, rel=1e-5)
    with pytest.raises(MeasureError, match=r"array of torch\.float8"):
        measure(x.to(torch.float8_e4m3fn), y)


def test_an_error_within_a_function_is_its_own():
    def features():
        yield FEATURES, LABELS
        raise TypeError("of the user")

    with pytest.raises(TypeError, match=r"^of the user$"):
        measure(features)


@pytest.mark.parametrize("dtype", [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2])
def test_features_of_eight_bits(dtype):
    with pytest.raises(MeasureError, match=r"float8_e.*real numbers are needed"):
        measure(FEATURES.astype(dtype), LABELS)
