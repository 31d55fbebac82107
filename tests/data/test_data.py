import dataclasses
import inspect

import numpy as np
import pytest

from ncjax.data import (
    DATASETS,
    DataError,
    Dataset,
    Split,
    channel_statistics,
    dataset as dataset_module,
    load,
    select,
)
from ncjax.data.select import long_tail_counts


def make(counts=(6, 4, 5), test_counts=None, **changes) -> Dataset:
    """Images [n, 1, 1, 1] that number the examples, classes a, b, ... interleaved."""

    def split(counts):
        labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        labels = np.random.default_rng(0).permutation(labels)
        images = np.arange(len(labels), dtype=np.float32)[:, None, None, None]
        return Split(images, labels)

    dataset = Dataset(
        name="toy",
        train=split(counts),
        test=split(test_counts or counts),
        class_names=tuple("abcdefghij"[: len(counts)]),
    )
    return dataclasses.replace(dataset, **changes)


def counts(split: Split) -> list[int]:
    return np.bincount(split.labels).tolist()


def ids(split: Split) -> list[int]:
    return split.images.ravel().astype(int).tolist()


# ---------------------------------------------------------------- Dataset


def test_dataset_properties():
    dataset = make()
    assert dataset.num_classes == 3
    assert dataset.image_shape == (1, 1, 1)
    assert len(dataset.train) == 15


def image_split(n=2, shape=(1, 1, 1), dtype=np.float32, labels=(0, 1)) -> Split:
    return Split(np.zeros((n, *shape), dtype), np.array(labels, np.int32))


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"train": image_split(dtype=np.float64)}, TypeError, "float64.*uint8 or"),
        ({"train": Split(np.zeros((2, 1, 1, 1), np.uint8), np.arange(2))},
         TypeError, "labels are int64, must be int32"),
        ({"train": image_split(dtype=np.uint8)}, TypeError, "uint8 in train but"),
        ({"train": image_split(n=3)}, DataError, r"\(3, 1, 1, 1\) and labels \(2,\)"),
        ({"train": image_split(shape=(1, 1))}, DataError, r"must be \[n, h, w, c\]"),
        ({"train": image_split(shape=(1, 2, 1))}, DataError, r"\(1, 2, 1\) in train"),
        ({"test": image_split(n=0, labels=())}, DataError, "toy/test: empty"),
        ({"train": image_split(labels=(0, 3))}, DataError, r"0\.\.3, must lie in 0"),
        ({"train": image_split(labels=(-1, 1))}, DataError, r"-1\.\.1, must lie"),
        ({"train": image_split()}, DataError, "more classes than labels.* of c"),
        ({"class_names": ("a",)}, DataError, "at least 2"),
        ({"class_names": ("a", "b", "a")}, DataError, "repeat"),
        ({"tree": (("a", "b"), "d")}, DataError, "tree has the classes .*'d'"),
        ({"tree": (("a", "b"), "c", "c")}, DataError, "exactly once"),
    ],
)  # fmt: skip
def test_dataset_rejects(changes, error, match):
    with pytest.raises(error, match=match):
        make(**changes)


def test_dataset_says_how_many_values_are_not_finite_and_where(monkeypatch):
    monkeypatch.setattr(dataset_module, "_CHUNK_BYTES", 1000)  # several chunks
    images = np.zeros((400, 2, 2, 1), np.float32)
    images[7, 0, 0], images[7, 1, 1], images[399, 0, 1] = np.nan, np.inf, -np.inf
    split = Split(images, np.arange(400, dtype=np.int32) % 3)
    with pytest.raises(
        DataError, match=r"3 NaN or infinite .* 2 of 400 images, .*7, 399"
    ):
        make(train=split, test=split)


def test_a_uint8_memory_map_is_accepted_and_stays_one(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((3, 2, 2, 1), np.uint8))
    images = np.load(tmp_path / "x.npy", mmap_mode="r")
    split = Split(images, np.arange(3, dtype=np.int32))
    dataset = select(make(train=split, test=split))
    assert isinstance(dataset.train.images, np.memmap)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_channel_statistics_match_numpy(dtype, monkeypatch):
    monkeypatch.setattr(dataset_module, "_CHUNK_BYTES", 3000)  # several chunks
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (50, 4, 5, 3)).astype(dtype)
    images[..., 1] = images[..., 1] // 64 + 100  # a large mean, a small deviation
    mean, std = channel_statistics(images)
    assert mean.dtype == std.dtype == np.float32
    reference = images.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(mean, reference.mean(0), rtol=1e-6)
    np.testing.assert_allclose(std, reference.std(0), rtol=1e-6)


def test_channel_statistics_by_hand_and_of_a_constant_channel():
    images = np.empty((500, 1, 2, 2), np.float32)
    images[..., 0] = [[1, 3]]
    images[..., 1] = 0.1
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, [2, 0.1], rtol=1e-6)
    np.testing.assert_array_equal(std, [1, 1])


# --------------------------------------------------------------- builders


@pytest.mark.parametrize("name", DATASETS)
def test_builders_have_plain_keyword_options(name):
    for parameter in inspect.signature(DATASETS[name]).parameters.values():
        assert parameter.kind is parameter.KEYWORD_ONLY
        assert type(parameter.default) in (int, float, str, bool, tuple)


def test_options_of_the_same_name_have_the_same_default():
    defaults = {}
    for function in (*DATASETS.values(), select):
        for parameter in list(inspect.signature(function).parameters.values()):
            if parameter.default is not parameter.empty:
                default = defaults.setdefault(parameter.name, parameter.default)
                assert parameter.default == default, parameter.name
    assert {"dir", "seed", "classes", "num_classes"} <= set(defaults)


def test_load_names_the_datasets():
    with pytest.raises(
        DataError, match=r"Unknown dataset 'x'\. Available: digits, synth"
    ):
        load("x")


def test_digits_are_complete_fixed_and_stratified():
    datasets = pytest.importorskip("sklearn.datasets")
    original, labels = datasets.load_digits(return_X_y=True)
    digits = load("digits")
    assert digits.train.images.shape == (1437, 8, 8, 1)
    assert digits.test.images.shape == (360, 8, 8, 1)
    assert digits.train.images.dtype == np.uint8
    assert digits.class_names == tuple("0123456789")

    def rows(images, labels):
        flat = images.reshape(len(images), -1).astype(int)
        return sorted(map(tuple, np.column_stack([flat, labels])))

    both = [digits.train, digits.test]
    assert rows(original, labels) == rows(
        np.concatenate([split.images for split in both]),
        np.concatenate([split.labels for split in both]),
    )
    expected = 0.8 * np.bincount(labels)
    assert np.abs(np.bincount(digits.train.labels) - expected).max() < 1
    # Old results hold for this split: a change of it must be deliberate.
    assert digits.test.labels[:10].tolist() == [7, 6, 3, 7, 7, 3, 2, 8, 9, 3]
    np.testing.assert_array_equal(digits.test.images, load("digits").test.images)


def means(**options) -> np.ndarray:
    options = {"noise": 0.0, "train_size_per_class": 1, **options}
    return load("synthetic", **options).train.images[:, 0, :, 0]


@pytest.mark.parametrize(
    ("num_classes", "branching", "tree"),
    [
        (2, 2, ("0", "1")),
        (3, 2, (("0", "1"), ("2",))),
        (5, 3, (("0", "1", "2"), ("3", "4"))),
        (5, 2, ((("0", "1"), ("2", "3")), (("4",),))),
        (4, 9, ("0", "1", "2", "3")),
    ],
)
def test_synthetic_tree(num_classes, branching, tree):
    dataset = load("synthetic", num_classes=num_classes, branching=branching)
    assert dataset.tree == tree
    assert dataset.image_shape == (1, 64, 1)
    assert counts(dataset.train) == [100] * num_classes


def height(tree, a, b):
    """Levels from two different leaves up to their lowest common ancestor."""
    for branch in tree:
        names = set(dataset_module.leaves(branch))
        if a in names and b in names:
            return height(branch, a, b)
    depth = 0
    while not isinstance(tree, str):
        tree, depth = tree[0], depth + 1
    return depth


@pytest.mark.parametrize(("num_classes", "branching"), [(8, 2), (5, 3), (7, 2)])
def test_synthetic_distances_follow_the_height_of_the_common_ancestor(
    num_classes, branching
):
    dim, scale = 4000, 0.6
    options = {"num_classes": num_classes, "branching": branching}
    tree = load("synthetic", **options).tree
    depth = int(np.ceil(np.log(num_classes) / np.log(branching)))
    samples = [
        means(**options, dim=dim, depth_scale=scale, seed=seed) for seed in range(4)
    ]
    for a in range(num_classes):
        for b in range(a):
            h = height(tree, str(a), str(b))
            levels = np.arange(depth - h + 1, depth + 1)
            expected = 2 * dim * (scale ** (2.0 * (levels - 1))).sum()
            distance = np.mean([((m[a] - m[b]) ** 2).sum() for m in samples])
            # Relative deviation of the mean: at most sqrt(2 / (4 * 4000)) = 1.1 %.
            assert distance == pytest.approx(expected, rel=0.05)


def test_synthetic_noise_is_white_about_the_class_mean():
    options = {"num_classes": 3, "dim": 5, "train_size_per_class": 20_000}
    x = load("synthetic", **options, noise=0.3).train.images.reshape(3, -1, 5)
    np.testing.assert_allclose(x.mean(1), means(num_classes=3, dim=5), atol=0.01)
    for per_class in x:
        np.testing.assert_allclose(np.cov(per_class.T), 0.09 * np.eye(5), atol=0.004)


def test_synthetic_is_fixed_by_its_seed_and_sizes_do_not_move_the_means():
    a, b, c = (load("synthetic", seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(a.train.images, b.train.images)
    np.testing.assert_array_equal(a.test.images, b.test.images)
    assert not np.allclose(a.train.images, c.train.images)
    assert not np.allclose(a.train.images, a.test.images)
    few = means(seed=3)
    np.testing.assert_array_equal(few, means(seed=3, test_size_per_class=7))
    many = means(seed=3, train_size_per_class=2)[::2]
    np.testing.assert_array_equal(few, many)


def test_synthetic_counts():
    dataset = load("synthetic", num_classes=3, train_counts=(5, 1, 2))
    assert counts(dataset.train) == [5, 1, 2]
    assert counts(dataset.test) == [100, 100, 100]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"num_classes": 1}, "num_classes must be 2 or larger, got 1"),
        ({"branching": 1}, "branching must be 2 or larger, got 1"),
        ({"dim": 0}, "dim must be 1 or larger, got 0"),
        (
            {"train_size_per_class": 0},
            "train_size_per_class must be 1 or larger",
        ),
        ({"test_size_per_class": -1}, "test_size_per_class must be 1 or larger"),
        ({"depth_scale": 0.0}, "depth_scale must be finite and above 0, got 0.0"),
        ({"noise": float("nan")}, "noise must be finite and 0 or larger, got nan"),
        ({"train_counts": (1, 2)}, "must be empty or 8 numbers"),
        ({"num_classes": 2, "train_counts": (1, 0)}, "at least 1"),
        ({"seed": -1}, "seed must be 0 or larger, got -1"),
    ],
)
def test_synthetic_rejects(options, match):
    with pytest.raises(ValueError, match=match):
        load("synthetic", **options)


# ----------------------------------------------------------------- select


def test_select_changes_nothing_by_default():
    dataset = make(tree=(("a", "b"), "c"))
    same = select(dataset)
    assert same.train.images is dataset.train.images
    np.testing.assert_array_equal(same.train.labels, dataset.train.labels)
    assert (same.class_names, same.tree) == (dataset.class_names, dataset.tree)


@pytest.mark.parametrize("classes", [("c", "a"), (2, 0), ("c", 0)])
def test_select_classes_relabels_in_the_order_given(classes):
    dataset = make(tree=((("a",), ("b",)), "c"))
    part = select(dataset, classes=classes)
    assert part.class_names == ("c", "a")
    assert part.tree == ((("a",),), "c")
    old = dataset.train.labels
    assert ids(part.train) == np.flatnonzero(old != 1).tolist()
    assert part.train.labels.tolist() == [{2: 0, 0: 1}[k] for k in old if k != 1]
    assert counts(part.test) == [5, 6]


def test_select_examples_per_class():
    dataset = make((60, 40, 50))
    part = select(dataset, examples_per_class=20, test_examples_per_class=3)
    assert counts(part.train) == [20, 20, 20]
    assert counts(part.test) == [3, 3, 3]
    chosen = ids(part.train)
    assert chosen == sorted(set(chosen))
    both = select(dataset, examples_per_class=20, test_examples_per_class=20)
    assert ids(both.train) != ids(both.test)
    assert part.train.labels.tolist() == dataset.train.labels[chosen].tolist()
    assert chosen != ids(select(dataset, examples_per_class=20, seed=1).train)
    assert chosen == ids(select(dataset, examples_per_class=20).train)
    assert set(ids(select(dataset, examples_per_class=7).train)) < set(chosen)


def test_select_options_do_not_change_the_draws_of_others():
    dataset = make((60, 40, 50))
    part = select(dataset, examples_per_class=20)
    full = select(
        dataset, examples_per_class=20, test_examples_per_class=2, random_labels=1.0
    )
    assert ids(part.train) == ids(full.train)
    two = select(dataset, classes=("c", "a"), examples_per_class=20)
    assert set(ids(two.train)) == {
        i for i, k in zip(ids(part.train), part.train.labels) if k != 1
    }
    all_random = select(dataset, random_labels=1.0)
    assert (
        full.train.labels.tolist() == all_random.train.labels[ids(part.train)].tolist()
    )


@pytest.mark.parametrize(
    ("largest", "num_classes", "profile", "ratio", "expected"),
    [
        # CIFAR-10-LT as in Cui et al.
        (5000, 10, "exp", 0.01, [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]),
        (16, 5, "exp", 1 / 16, [16, 8, 4, 2, 1]),
        (10, 3, "exp", 0.01, [10, 1, 1]),
        (100, 4, "step", 0.29, [100, 100, 29, 29]),
        (100, 5, "step", 0.1, [100, 100, 10, 10, 10]),
        (100, 3, "exp", 1.0, [100, 100, 100]),
        (7, 3, "none", 0.01, [7, 7, 7]),
    ],
)
def test_long_tail_counts(largest, num_classes, profile, ratio, expected):
    assert long_tail_counts(largest, num_classes, profile, ratio).tolist() == expected


def test_select_long_tail_starts_from_the_smallest_class():
    dataset = make((60, 40, 50))
    part = select(dataset, long_tail="exp", long_tail_ratio=0.25)
    assert counts(part.train) == [40, 20, 10]
    assert counts(part.test) == [60, 40, 50]
    part = select(dataset, long_tail="step", long_tail_ratio=0.1, examples_per_class=30)
    assert counts(part.train) == [30, 3, 3]


def test_select_random_labels():
    dataset = make((4000, 4000, 4000, 4000), (1, 1, 1, 1))
    old = dataset.train.labels
    changed = {}
    for p in (0.2, 0.6, 1.0):
        part = select(dataset, random_labels=p)
        assert ids(part.train) == ids(dataset.train)
        np.testing.assert_array_equal(part.test.labels, dataset.test.labels)
        changed[p] = part.train.labels != old
        # A random label is the old one by 1/4; 4 deviations of a binomial.
        rate = 0.75 * p
        tolerance = 4 * np.sqrt(rate * (1 - rate) / 16_000)
        assert changed[p].mean() == pytest.approx(rate, abs=tolerance)
        np.testing.assert_allclose(counts(part.train), 4000, atol=4 * 55)
    assert (changed[0.2] <= changed[0.6]).all()
    assert (changed[0.6] <= changed[1.0]).all()
    other = select(dataset, random_labels=0.6, seed=1).train.labels != old
    assert (other != changed[0.6]).any()


def test_other_shares_of_random_labels():
    """They are those of `select` with that share, whatever else it keeps."""
    dataset = make((60, 40, 50))
    options = {"classes": ("c", "a"), "examples_per_class": 30, "seed": 3}
    part = select(dataset, random_labels=0.5, **options)
    for share in (0.0, 0.3, 0.5, 1.0):
        want = select(dataset, random_labels=share, **options)
        assert ids(part.train) == ids(want.train)
        assert part.train_labels(share).tolist() == want.train.labels.tolist()
        assert part.train_labels(share).dtype == np.int32
    with pytest.raises(ValueError, match=r"random_labels must be in 0\.\.1, got -0\.1"):
        part.train_labels(-0.1)
    with pytest.raises(DataError, match="not known what random labels are drawn from"):
        dataset.train_labels(0.5)
    few = select(make((1, 1, 1)), seed=2)
    with pytest.raises(DataError, match="no training example of"):
        few.train_labels(1.0)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"examples_per_class": 5}, DataError, "at most 4, .* smallest class 'b'"),
        ({"examples_per_class": -1}, DataError, "examples_per_class=-1"),
        (
            {"classes": ("a", "c"), "examples_per_class": 6},
            DataError,
            "at most 5, .*'c'",
        ),
        ({"test_examples_per_class": 9}, DataError, "test_examples_per_class=9, .*'b'"),
        ({"classes": ("a", "z")}, DataError, r"'z' of toy. Available: 0..2 or a, b, c"),
        ({"classes": (0, 3)}, DataError, "Unknown class 3"),
        ({"classes": ("a", 0)}, DataError, "none of them twice"),
        ({"classes": ("a",)}, DataError, "2 or more"),
        ({"long_tail": "x"}, ValueError, "'x'. Available: none, exp, step"),
        ({"long_tail": "exp", "long_tail_ratio": 0.0}, ValueError, "ratio must be"),
        ({"long_tail": "exp", "long_tail_ratio": 1.5}, ValueError, "at most 1"),
        ({"random_labels": 1.1}, ValueError, "random_labels must be in 0..1, got 1.1"),
        ({"seed": -1}, ValueError, "seed must be 0 or larger, got -1"),
    ],
)
def test_select_rejects(options, error, match):
    with pytest.raises(error, match=match):
        select(make(), **options)
