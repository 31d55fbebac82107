"""Images of other data sets and noise, for a probe."""

import dataclasses

import numpy as np
import pytest

from ncjax.data import DATASETS, DataError, Dataset, Split, digits
from ncjax.probes.foreign import foreign_images, resized

rng = np.random.default_rng(0)


def pictures(shape, names=("cat", "dog"), dtype=np.uint8, n=6):
    """A data set of random images."""
    images = rng.integers(20, 200, (n, *shape)).astype(dtype)
    split = Split(images, np.arange(n, dtype=np.int32) % 2)
    return Dataset(name="pictures", train=split, test=split, class_names=names)


@pytest.fixture
def other(monkeypatch):
    """A data set "other", and the images of its test set."""
    found = pictures((4, 4, 3), ("car", "ship"), n=10)
    monkeypatch.setitem(DATASETS, "other", lambda: found)
    return found.test.images


def test_those_of_the_same_shape_are_as_they_are(other):
    np.testing.assert_array_equal(foreign_images("other", pictures((4, 4, 3))), other)
    few = foreign_images("other", pictures((4, 4, 3)), examples=5)
    np.testing.assert_array_equal(few, other[::2])


def test_another_shape_is_refused_unless_asked_for(other):
    known = pictures((8, 8, 1))
    with pytest.raises(DataError, match=r"shape \(4, 4, 3\).*\(8, 8, 1\).*`resize`"):
        foreign_images("other", known)
    found = foreign_images("other", known, resize=True)
    assert found.shape == (10, 8, 8, 1)
    assert found.dtype == np.uint8
    assert abs(found.mean() - other.mean()) < 2


def test_resizing_keeps_what_is_constant_and_halves_by_the_mean():
    grey = np.full((2, 6, 6, 1), 7, np.uint8)
    assert (resized(grey, (3, 4, 3)) == 7).all()
    colour = rng.integers(0, 255, (3, 4, 4, 3)).astype(np.float32)
    found = resized(colour, (4, 4, 1))
    np.testing.assert_allclose(found[..., 0], colour.mean(-1), rtol=1e-6)
    with pytest.raises(DataError, match="Images of 2 channels cannot"):
        resized(np.zeros((1, 4, 4, 2), np.uint8), (4, 4, 3))


@pytest.mark.parametrize("name", ["noise", "gaussian"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_noise_is_like_the_known_pixels_and_always_the_same(name, dtype):
    known = pictures((16, 16, 3), dtype=dtype, n=8)
    found = foreign_images(name, known)
    assert found.shape == known.test.images.shape
    assert found.dtype == dtype
    assert found.min() >= known.train.images.min()
    assert found.max() <= known.train.images.max()
    assert abs(float(found.mean()) - float(known.train.images.mean())) < 5
    np.testing.assert_array_equal(found, foreign_images(name, known))
    assert foreign_images(name, known, examples=3).shape[0] == 3


def test_what_is_not_foreign_or_not_alike_is_refused(other):
    known = digits()
    with pytest.raises(DataError, match="digits shares 10 classes with digits"):
        foreign_images("digits", known)
    known = dataclasses.replace(pictures((4, 4, 3), dtype=np.float32))
    with pytest.raises(DataError, match="are uint8, those of pictures float32"):
        foreign_images("other", known)
    with pytest.raises(ValueError, match=r"Unknown data set 'mnits'.*mnist"):
        foreign_images("mnits", known)
    with pytest.raises(ValueError, match="examples must be 0 or larger, got -1"):
        foreign_images("noise", known, examples=-1)
