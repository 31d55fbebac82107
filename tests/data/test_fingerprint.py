"""What tells a data set from others."""

import dataclasses
import json

import numpy as np
import pytest

from ncjax.data import Dataset, Split, select
from ncjax.data.fingerprint import differing, fingerprint


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (200, 4, 4, 1), dtype=np.uint8)
    labels = (np.arange(200) % 4).astype(np.int32)
    splits = Split(images[:150], labels[:150]), Split(images[150:], labels[150:])
    return Dataset("toy", *splits, tuple("abcd"))


def changed(split, *, image=None, label=None):
    """The split with another image, or another label, at some place."""
    images, labels = split.images.copy(), split.labels.copy()
    if image is not None:
        images[image, 0, 0, 0] ^= 1
    if label is not None:
        labels[label] ^= 1
    return Split(images, labels)


def test_it_is_plain_and_the_same_each_time(dataset):
    first = fingerprint(dataset)
    assert json.loads(json.dumps(first)) == fingerprint(dataset) == first
    assert differing(first, fingerprint(dataset)) == ""


@pytest.mark.parametrize(
    ("which", "change", "said"),
    [
        ("train", {"label": 17}, "the training labels"),
        ("test", {"label": 3}, "the test labels"),
        ("train", {"image": 0}, "the training images"),
        ("test", {"image": -1}, "the test images"),
        ("test", {"image": 0, "label": 0}, "the test labels and the test images"),
    ],
)
def test_what_was_changed_is_named(dataset, which, change, said):
    split = changed(getattr(dataset, which), **change)
    other = dataclasses.replace(dataset, **{which: split})
    assert differing(fingerprint(dataset), fingerprint(other)) == said


def test_fewer_examples(dataset):
    other = dataclasses.replace(dataset, test=dataset.test.take(np.arange(40)))
    said = differing(fingerprint(dataset), fingerprint(other))
    assert said.startswith("the test shape of the images and the test labels")


def test_random_labels_are_no_other_data(dataset):
    some, more = (select(dataset, random_labels=share) for share in (0.1, 0.9))
    assert (some.train.labels != more.train.labels).any()
    assert fingerprint(some) == fingerprint(more)


def test_what_is_not_known_is_not_compared(dataset):
    now = fingerprint(dataset)
    for then in ({}, {"train": None}, {"train": {}, "test": 3}):
        assert differing(then, now) == ""


def test_a_memory_map_is_not_read_as_a_whole(dataset):
    class Recording(np.ndarray):
        def __getitem__(self, key):
            found = np.asarray(self)[key]
            self.reads.append(len(found))
            return found

    images = dataset.train.images.view(Recording)
    images.reads = []
    train = Split(images, dataset.train.labels)
    assert fingerprint(dataclasses.replace(dataset, train=train)) == fingerprint(
        dataset
    )
    assert images.reads == [64]
