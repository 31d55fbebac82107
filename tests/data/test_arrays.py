"""Data sets of one's own in NumPy files, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from ncjax.data import DataError, load, select
from ncjax.data.arrays import to_images
from ncjax.data.labelled import hold_out

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 4, 5, 3), np.uint8)
LABELS = np.arange(12) % 3


def save(folder, **arrays):
    np.savez(folder / "mine.npz", **arrays)
    return str(folder / "mine.npz")


def fails(match, **options):
    with pytest.raises(DataError, match=match) as info:
        load("arrays", **options)
    assert "\n" not in str(info.value)


# Names of four arrays, as Keras, MedMNIST, scikit-learn and others write them.
@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("X_train", "y_train", "X_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("train_data", "train_targets", "test_data", "test_targets"),
        ("images", "labels", "test_images", "test_labels"),
    ],
)
@pytest.mark.parametrize("folder", [False, True])
def test_names_that_others_write(names, folder, tmp_path):
    parts = IMAGES[:9], LABELS[:9], IMAGES[9:], LABELS[9:, None]  # [n, 1]: Keras
    arrays = dict(zip(names, parts, strict=True))
    path = save(tmp_path, **arrays)
    if folder:
        path = str(tmp_path)
        for name, array in arrays.items():
            np.save(tmp_path / name, array)
    mine = load("arrays", path=path)
    np.testing.assert_array_equal(mine.train.images, IMAGES[:9])
    np.testing.assert_array_equal(mine.test.images, IMAGES[9:])
    assert mine.test.labels.tolist() == LABELS[9:].tolist()
    assert mine.train.labels.dtype == np.int32
    assert mine.class_names == ("0", "1", "2")


def test_arrays_of_any_name_and_a_test_set_of_its_own(tmp_path):
    path = save(tmp_path, a=IMAGES[:9], b=LABELS[:9], c=IMAGES[9:], d=LABELS[9:])
    names = {"images": "a", "labels": "b", "test_images": "c", "test_labels": "d"}
    whole = load("arrays", path=path, **names)
    np.savez(tmp_path / "test.npz", x=IMAGES[9:], y=LABELS[9:])
    np.savez(tmp_path / "train.npz", x=IMAGES[:9], y=LABELS[:9])
    files = {"path": tmp_path / "train.npz", "test_path": tmp_path / "test.npz"}
    split = load("arrays", **{k: str(v) for k, v in files.items()})
    np.testing.assert_array_equal(whole.test.images, split.test.images)
    np.testing.assert_array_equal(whole.train.labels, split.train.labels)


def test_npy_files_by_their_paths(tmp_path, monkeypatch):
    np.save(tmp_path / "faces.npy", IMAGES)
    np.save(tmp_path / "who.npy", np.array(["me", "you", "us"])[LABELS])
    monkeypatch.chdir(tmp_path)
    mine = load("arrays", images="faces.npy", labels="who.npy", test_fraction=0.5)
    assert mine.class_names == ("me", "us", "you")
    there = {"images": str(tmp_path / "faces.npy"), "labels": str(tmp_path / "who.npy")}
    again = load("arrays", **there, test_fraction=0.5)
    np.testing.assert_array_equal(mine.test.images, again.test.images)
    labels = np.concatenate([mine.train.labels, mine.test.labels])
    assert np.bincount(labels).tolist() == [4, 4, 4]


def test_class_names_lie_beside_or_are_given(tmp_path):
    path = save(tmp_path, x=IMAGES, y=LABELS, class_names=np.array(["a", "b", "c"]))
    assert load("arrays", path=path).class_names == ("a", "b", "c")
    given = load("arrays", path=path, class_names=("d", "e", "f"))
    assert given.class_names == ("d", "e", "f")
    path = save(tmp_path, x=IMAGES, y=np.array(["b", "c", "a"])[LABELS])
    text = load("arrays", path=path, class_names=("b", "c", "a"))
    assert text.class_names == ("b", "c", "a")
    assert set(text.train.labels.tolist()) == {0, 1, 2}


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=5),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**31),
)
def test_a_fraction_of_each_class_is_held_out(sizes, fraction, seed):
    labels = np.random.default_rng(0).permutation(
        np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    )
    counts = [min(round(fraction * n), n - 1) for n in sizes]
    if not sum(counts):
        with pytest.raises(DataError, match="leaves no test set"):
            hold_out(labels, len(sizes), fraction, seed)
        return
    chosen = hold_out(labels, len(sizes), fraction, seed)
    assert np.bincount(labels[chosen], minlength=len(sizes)).tolist() == counts
    np.testing.assert_array_equal(chosen, hold_out(labels, len(sizes), fraction, seed))


def test_it_says_what_is_held_out_and_a_tree_can_be_given(tmp_path, capsys):
    path = save(tmp_path, x=IMAGES, y=LABELS)
    mine = load("arrays", path=path, test_fraction=0.25)
    assert "3 of 12 examples, 25% of each class drawn with seed 0" in (
        capsys.readouterr().err
    )
    assert (len(mine.train), len(mine.test)) == (9, 3)
    rows = np.concatenate([mine.train.images, mine.test.images]).reshape(12, -1)
    assert sorted(map(bytes, rows)) == sorted(map(bytes, IMAGES.reshape(12, -1)))


# The last two are feature maps, which are not taken for images of PyTorch.
SHAPES = [(6, 4), (6, 4, 5), (6, 4, 5, 3), (6, 1, 9, 1), (6, 3, 5, 7)]
SHAPES += [(6, 1, 1, 8), (6, 4, 4, 9)]


@settings(max_examples=40)
@given(
    shape=st.sampled_from(
        [(6, 4), (6, 4, 5), (6, 4, 5, 3), (6, 3, 4, 5), (6, 1, 9, 1)]
    ),
    dtype=st.sampled_from("?bBhHiIlLefd"),
)
def test_images_of_every_type_and_layout(shape, dtype):
    array = np.random.default_rng(1).integers(0, 100, shape).astype(dtype)
    images = to_images(array, "x")
    wanted = {
        (6, 4): lambda: array[:, None, :, None],
        (6, 4, 5): lambda: array[..., None],
        (6, 3, 5, 7): lambda: array.transpose(0, 2, 3, 1),
    }.get(shape, lambda: array)()
    assert images.dtype == (np.uint8 if array.dtype == np.uint8 else np.float32)
    np.testing.assert_array_equal(images, wanted.astype(np.float64))


def test_npy_files_are_not_read_into_memory(tmp_path):
    np.save(tmp_path / "train_images.npy", IMAGES)
    np.save(tmp_path / "train_labels.npy", LABELS)
    np.save(tmp_path / "test_images.npy", IMAGES)
    np.save(tmp_path / "test_labels.npy", LABELS)
    mine = select(load("arrays", path=str(tmp_path)))
    assert isinstance(mine.train.images, np.memmap)


def nan(images):
    images = images.astype(np.float64)
    images[3, 0, 0, 0] = np.nan
    return images


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        (
            {"x": IMAGES},
            r"no train images and labels .* it has x\. Name them by config",
        ),
        ({"x": IMAGES, "y": LABELS[:-1]}, r"12 images, but labels of shape \(11,\)"),
        ({"x": IMAGES, "y": np.eye(3)[LABELS]}, r"\(12, 3\); .* labels.argmax\(1\)"),
        (
            {"x": IMAGES, "y": LABELS.astype(float)},
            r"labels are float64.*astype\(np.int",
        ),
        ({"x": IMAGES, "y": LABELS + 1}, r"up to 3, but .* label 0\. .* subtract 1"),
        ({"x": IMAGES, "y": LABELS - 1}, "out of range in 4 rows: row 0 has -1, and"),
        ({"x": IMAGES, "y": LABELS * 10**9}, "label 1, 2, 3, 4, .* without gaps"),
        ({"x": IMAGES, "y": LABELS * 2}, "has the label 1, 3. Number .* without gaps"),
        ({"x": IMAGES, "y": LABELS * 0}, "1 class name.*at least 2"),
        ({"x": nan(IMAGES), "y": LABELS}, r"npz: x: 1 NaN .* in 1 of 12 .*first in 3;"),
        ({"x": IMAGES * 1e39, "y": LABELS}, "NaN or infinite values"),
        ({"x": IMAGES.astype("U3"), "y": LABELS}, "holds <U3; numbers are needed"),
        ({"x": IMAGES * 1j, "y": LABELS}, "holds complex128; numbers"),
        ({"x": IMAGES[..., None], "y": LABELS}, r"\(12, 4, 5, 3, 1\); \[n, h, w, c\]"),
        ({"x": IMAGES[:0], "y": LABELS[:0]}, "there are no examples in it"),
        (
            {
                "x": np.array([np.zeros((2, 2)), np.zeros((3, 3))] * 6, object),
                "y": LABELS,
            },
            "'x' .* Python objects, as .* images of different sizes",
        ),
        (
            {"x": IMAGES, "y": LABELS % 2, "x_test": IMAGES, "y_test": LABELS},
            "labels are out of range in 4 rows: row 2 has 2, and 0..1 are allowed",
        ),
        (
            {
                **{"x": IMAGES, "y": np.array(["a", "b", "a"])[LABELS]},
                **{"x_test": IMAGES, "y_test": np.array(["a", "b", "c"])[LABELS]},
            },
            "class 'c' is none of those to learn, a, b. Add training examples",
        ),
        (
            {"x": IMAGES, "y": LABELS, "x_test": IMAGES[:, 1:], "y_test": LABELS},
            r"\(4, 5, 3\) in train but \(3, 5, 3\) in test",
        ),
        (
            {"x": IMAGES, "y": LABELS, "class_names": np.array(["a", "b"])},
            "row 2 has 2, and 0..1 are allowed",
        ),
        (
            {"x": IMAGES, "y": LABELS, "class_names": np.array(["a", "b", "b"])},
            "class names repeat",
        ),
    ],
)
def test_what_is_refused(arrays, match, tmp_path):
    with np.errstate(all="ignore"):
        fails(match, path=save(tmp_path, **arrays))


def test_a_class_of_the_test_set_alone(tmp_path):
    path = save(tmp_path, x=IMAGES, y=LABELS % 2, x_test=IMAGES, y_test=LABELS)
    names = ("a", "b", "c")
    fails(
        r"the test set alone has the class\(es\) c\. Add", path=path, class_names=names
    )


def test_files_that_are_missing_or_damaged(tmp_path):
    fails(r"has no file: set config\.data\.path")
    fails("no .npz file and no folder", path=str(tmp_path / "x.csv"))
    fails("gone.npz cannot be read: No such file", path=str(tmp_path / "gone.npz"))
    fails("no array 'x'. It has nothing", path=str(tmp_path), images="x", labels="y")
    path = save(tmp_path, x=IMAGES, y=LABELS)
    fails("no array 'z'. It has x, y", path=path, images="z", labels="y")
    data = (tmp_path / "mine.npz").read_bytes()
    (tmp_path / "mine.npz").write_bytes(data[: len(data) // 2])
    fails("mine.npz cannot be read", path=path)
    (tmp_path / "mine.npz").write_bytes(data.replace(IMAGES[0].tobytes(), bytes(60)))
    fails("array 'x' of .* cannot be read: Bad CRC", path=path)
    np.save(tmp_path / "images.npy", IMAGES)
    np.save(tmp_path / "labels.npy", np.array(["a", "b", "c"], object)[LABELS])
    fails("'labels' .* Python objects, .*labels.astype", path=str(tmp_path))
    np.save(tmp_path / "labels.npy", LABELS)
    whole = (tmp_path / "images.npy").read_bytes()
    (tmp_path / "images.npy").write_bytes(whole[:200])
    fails("array 'images' of .* cannot be read", path=str(tmp_path))


@pytest.mark.parametrize("fraction", [0.0, 1.0, float("nan"), -0.5])
def test_a_fraction_out_of_range(fraction, tmp_path):
    path = save(tmp_path, x=IMAGES, y=LABELS)
    with pytest.raises(ValueError, match="test_fraction must be between 0 and 1"):
        load("arrays", path=path, test_fraction=fraction)
