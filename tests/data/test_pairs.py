"""Two images in one: how often labels meet, where images are from, what is blank."""

import numpy as np
import pytest

from ncjax.data import DataError, Split, digits, pair_sets, pair_tasks, pairs


def occurs(part, images):
    """Whether each of these images is one of those."""
    known = {image.tobytes() for image in images}
    return [image.tobytes() in known for image in part]


def test_sets_are_dealt_evenly_and_show_what_their_labels_say():
    found = pair_sets(train_size=290, test_size=45)
    train, test = found.train, found.test
    assert (len(train), len(test), found.num_classes) == (290, 45, 10)
    assert (found.target, found.image_shape) == ("set", (8, 16, 1))
    assert train.labels.dtype == bool
    size = train.labels.sum(1)
    assert np.bincount(size).tolist() == [0, 145, 145]
    single = train.labels[size == 1].sum(0)
    assert set(single.tolist()) == {14, 15}
    double = train.labels[size == 2].astype(int)
    together = (double.T @ double)[np.triu_indices(10, 1)]
    assert set(together.tolist()) == {3, 4}
    source = digits()
    by_image = {
        x.tobytes(): y for x, y in zip(source.train.images, source.train.labels)
    }
    for image, hot in zip(train.images, train.labels):
        shown = [
            by_image.get(half.tobytes(), -1) for half in np.split(image, 2, axis=1)
        ]
        assert {k for k in shown if k >= 0} == set(np.flatnonzero(hot))
        assert (image.reshape(8, 2, 8).any((0, 2)) == [k >= 0 for k in shown]).all()
    halves = np.concatenate(np.split(test.images, 2, axis=2))
    inked = halves[halves.any((1, 2, 3))]
    assert all(occurs(inked, source.test.images))


@pytest.mark.parametrize("single", [0.0, 1.0, 0.3])
def test_the_share_of_single_labels_is_the_chosen_one(single):
    train = pair_sets(train_size=200, single=single).train
    sizes = train.labels.sum(1)
    assert (sizes == 1).sum() == 200 * single
    # Half of them left, half right.
    left = train.images[sizes == 1, :, :8].any((1, 2, 3))
    assert abs(left.sum() - len(left) / 2) <= 3 * np.sqrt(len(left) / 4)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
def test_tasks_meet_as_often_as_the_correlation_says(correlation):
    """Reference: P(a, b) = ((1 - rho)/K_2 + rho [b = a mod K_2])/K_1."""
    options = {"task_classes": (4, 3), "correlation": correlation}
    found = pair_tasks(train_size=600, **options)
    left = tuple(f"left {k}" for k in range(4))
    assert found.class_names == (*left, "right 0", "right 1", "right 2")
    assert found.target == "tasks"
    train = found.train
    assert train.labels.dtype == np.int32
    met = np.zeros((4, 3))
    np.add.at(met, tuple(train.labels.T), 1)
    for a in range(4):
        for b in range(3):
            chance = (1 - correlation) / 3 + correlation * (b == a % 3)
            assert abs(met[a, b] - 600 * chance / 4) < 1
    source = digits()
    for side, half in enumerate(np.split(train.images, 2, axis=2)):
        for k in range(3):
            own = source.train.images[source.train.labels == k]
            assert all(occurs(half[train.labels[:, side] == k], own))


def test_no_image_is_used_again_before_all_others_are():
    images = np.arange(1, 9, dtype=np.uint8).reshape(8, 1, 1, 1)
    split = Split(images, np.repeat(np.arange(2, dtype=np.int32), 4))
    rng = np.random.default_rng(0)
    classes = np.array([[0, 1], [1, 0], [0, 0], [1, 1]])
    found = pairs._stitch(split, classes, rng)
    assert sorted(found.ravel().tolist()) == list(range(1, 9))
    assert ((found[:, 0, :, 0] > 4) == classes).all()
    again = pairs._stitch(split, np.concatenate([classes] * 3), rng)
    assert np.bincount(again.ravel())[1:].tolist() == [3] * 8


def test_a_seed_fixes_everything_and_the_size_of_one_split_not_the_other():
    one = pair_sets(train_size=50, test_size=20)
    two = pair_sets(train_size=50, test_size=30)
    three = pair_sets(train_size=50, test_size=20, seed=1)
    np.testing.assert_array_equal(one.train.images, two.train.images)
    assert (one.train.labels != three.train.labels).any()


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (pair_sets, {"source": "x"}, "Unknown source 'x'. Available: digits, mnist"),
        (pair_sets, {"single": 1.5}, r"single must be in 0\.\.1, got 1.5"),
        (pair_sets, {"train_size": 0}, "train_size must be 1 or larger, got 0"),
        (pair_sets, {"test_size": 10**13}, "of memory, and there are"),
        (pair_sets, {"seed": -1}, "seed must be 0 or larger"),
        (pair_tasks, {"correlation": -0.1}, r"correlation must be in 0\.\.1"),
        (pair_tasks, {"task_classes": (10, 11)}, r"two numbers in 2\.\.10"),
        (pair_tasks, {"task_classes": (2,)}, r"two numbers in 2\.\.10"),
    ],
)
def test_options_out_of_range_are_refused(make, options, message):
    with pytest.raises((ValueError, DataError), match=message):
        make(**options)
