"""Folders of images: layouts, sizes, modes, and what is refused."""

import io
import shutil

import numpy as np
import pytest

from ncjax.config import default
from ncjax.config.binding import load_data, load_hierarchy
from ncjax.data import DataError, load, select, undecoded
from ncjax.data.pictures import Pictures, to_splits
from ncjax.main import main

Image = pytest.importorskip("PIL.Image")
CLASSES = ("ant", "bee", "cat")


def picture(mode="RGB", size=(6, 4), seed=0):
    shape = (*size[::-1], 3) if mode != "L" else size[::-1]
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    image = Image.fromarray(pixels)
    return image if mode in ("L", "RGB") else image.convert(mode)


def fill(folder, count=5, classes=CLASSES, **options):
    """PNG files in a folder for each class; their pixels by class."""
    found = {}
    for k, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        images = [picture(seed=10 * k + i, **options) for i in range(count)]
        for i, image in enumerate(images):
            image.save(folder / name / f"{i}.png")
        found[name] = [np.asarray(image) for image in images]
    return found


def fails(match, path, **options):
    with pytest.raises(DataError, match=match) as info:
        select(load("image_folder", path=str(path), **options))
    assert "\n" not in str(info.value)


def test_a_folder_for_each_class(tmp_path, capsys):
    pixels = fill(tmp_path / "mine")
    mine = load("image_folder", path=str(tmp_path / "mine"))
    assert mine.class_names == CLASSES
    assert mine.name == "mine"
    assert (mine.train.shape, mine.test.shape) == ((12, 4, 6, 3), (3, 4, 6, 3))
    assert "3 of 15 examples, 20%" in capsys.readouterr().err
    assert np.bincount(mine.test.labels).tolist() == [1, 1, 1]
    for split in (mine.train, mine.test):
        for image, label in zip(split.images, split.labels, strict=True):
            assert any((image == x).all() for x in pixels[CLASSES[label]])


@pytest.mark.parametrize("test", ["test", "val", "validation", "valid", "holdout"])
def test_folders_of_splits(test, tmp_path):
    fill(tmp_path / "train")
    wanted = fill(tmp_path / test, count=2, classes=CLASSES[::2])
    given = {"test_split": test} if test == "holdout" else {}
    mine = load("image_folder", path=str(tmp_path), **given)
    assert mine.test.labels.tolist() == [0, 0, 2, 2]
    np.testing.assert_array_equal(mine.test.images[:2], wanted["ant"])
    shutil.move(tmp_path / test, tmp_path.parent / "elsewhere")
    moved = load(
        "image_folder",
        path=str(tmp_path / "train"),
        test_path=str(tmp_path.parent / "elsewhere"),
    )
    np.testing.assert_array_equal(moved.test.images, mine.test.images)
    np.testing.assert_array_equal(moved.train.images, mine.train.images)
    shutil.rmtree(tmp_path.parent / "elsewhere")


def test_a_class_may_be_called_train(tmp_path):
    fill(tmp_path, classes=("train", "truck"))
    assert load("image_folder", path=str(tmp_path)).class_names == ("train", "truck")


def test_only_the_images_of_a_run_are_decoded(tmp_path, monkeypatch, capsys):
    fill(tmp_path, count=10)
    monkeypatch.setattr(undecoded, "_FEW", 10)
    options = {"path": str(tmp_path), "test_fraction": 0.4}
    few = select(load("image_folder", **options), examples_per_class=2)
    assert "Decoding" in (said := capsys.readouterr().err)  # the test set: 12
    assert said.splitlines()[-1].endswith(": 12 images.")
    whole = load("image_folder", **options)
    rows = [
        i for i, x in enumerate(whole.train.images) if (x == few.train.images[3]).all()
    ]
    assert whole.train.labels[rows].tolist() == [few.train.labels[3]]


def test_images_in_folders_below_and_files_that_are_none(tmp_path):
    fill(tmp_path)
    deep = tmp_path / "ant" / "2024" / "may"
    deep.mkdir(parents=True)
    picture(seed=99).save(deep / "x.PNG")
    (tmp_path / "ant" / "._0.png").write_bytes(b"macOS")
    (tmp_path / "README.txt").write_text("mine")
    (tmp_path / ".cache").mkdir()
    mine = load("image_folder", path=str(tmp_path), test_fraction=0.5)
    assert len(mine.train) + len(mine.test) == 16


@pytest.mark.parametrize(
    ("mode", "channels", "found"),
    [
        *(("L", 0, 1), ("1", 0, 1), ("RGB", 0, 3), ("P", 0, 3), ("RGBA", 3, 3)),
        *(("LA", 1, 1), ("RGB", 1, 1), ("L", 3, 3), ("CMYK", 3, 3)),
    ],
)
def test_modes(mode, channels, found, tmp_path):
    for name in CLASSES:
        (tmp_path / name).mkdir()
        for i in range(2):
            path = tmp_path / name / f"{i}.{'tif' if mode == 'CMYK' else 'png'}"
            picture(mode, seed=i).save(path)
    mine = load(
        "image_folder", path=str(tmp_path), channels=channels, test_fraction=0.5
    )
    assert mine.image_shape == (4, 6, found)
    with Image.open(path) as image:
        wanted = np.asarray(image.convert("L" if found == 1 else "RGB"))
    both = np.concatenate([mine.train.images, mine.test.images])
    assert any((x == wanted.reshape(4, 6, found)).all() for x in both)


def test_sizes_become_one(tmp_path):
    fill(tmp_path)
    stripes = np.zeros((8, 24, 3), np.uint8)
    stripes[:, 8:16] = 200  # the centred square
    Image.fromarray(stripes).save(tmp_path / "cat" / "wide.png")
    mine = load("image_folder", path=str(tmp_path), size=4)
    assert mine.image_shape == (4, 4, 3)
    both = np.concatenate([mine.train.images, mine.test.images])
    assert (both == 200).all((1, 2, 3)).sum() == 1


def test_what_does_not_fit_together(tmp_path):
    fill(tmp_path)
    cat = tmp_path / "cat"
    picture(size=(9, 8)).save(cat / "large.png")
    fails(r"size: .*0.png is 4 x 6 .*large.png 8 x 9\. Set config.data.size", tmp_path)
    (cat / "large.png").unlink()
    picture("L").save(cat / "grey.png")
    fails("mode: .* is in colour, .*grey.png grey. Set config.data.channels", tmp_path)
    (cat / "grey.png").unlink()
    picture("RGBA").save(cat / "clear.png")
    fails("clear.png has the mode RGBA; grey and RGB images .*channels = 3", tmp_path)
    (cat / "clear.png").unlink()
    Image.fromarray(np.zeros((4, 6), np.uint16)).save(cat / "deep.png")
    fails("deep.png has the mode I;16, more than 8 bits", tmp_path)
    fails("deep.png has the mode I;16", tmp_path, size=4, channels=3)


@pytest.mark.parametrize("options", [{}, {"size": 4, "channels": 3}])
def test_damaged_images(options, tmp_path):
    fill(tmp_path)
    path = tmp_path / "bee" / "3.png"
    data = path.read_bytes()
    path.write_bytes(b"no image")
    fails("3.png is no image that can be read, or is damaged", tmp_path, **options)
    path.write_bytes(data[: len(data) // 2])
    fails("3.png is no image that can be read, or is damaged", tmp_path, **options)
    path.write_bytes(b"")
    fails("3.png is no image that can be read, or is damaged", tmp_path, **options)


def test_folders_that_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"has no folder: set config\.data\.path"):
        load("image_folder")
    fails("There is no folder .*gone. config.data.path", tmp_path / "gone")
    fails("holds no folders", tmp_path)
    fill(tmp_path / "one", classes=("ant",))
    fails("1 class name.*at least 2", tmp_path / "one")
    fill(tmp_path / "a")
    (tmp_path / "a" / "dog").mkdir()
    fails("dog of the class 'dog' holds no images. Remove", tmp_path / "a")
    (tmp_path / "a" / "dog").rmdir()
    picture().save(tmp_path / "a" / "stray.png")
    fails("stray.png lies in no folder of a class", tmp_path / "a")
    fill(tmp_path / "b" / "train")
    fill(tmp_path / "b" / "test", classes=("ant", "dog"))
    fails("class 'dog' is none of those to learn, ant, bee, cat", tmp_path / "b")
    fails("no folders 'train' and 'dev' .*It has test, train", tmp_path / "b",
          test_split="dev")  # fmt: skip
    fails("There is no folder .* config.data.test_path", tmp_path / "b",
          test_path=str(tmp_path / "no"))  # fmt: skip
    for option, match in (
        ({"size": -1}, "size must be 0"),
        ({"channels": 2}, "0, 1 or"),
    ):
        with pytest.raises(ValueError, match=match):
            load("image_folder", path=str(tmp_path / "b" / "train"), **option)


def test_sources_need_not_be_files():
    """The pieces of another reader: images by number, opened when they are decoded."""
    opened = []

    def open_image(i):
        opened.append(i)
        file = io.BytesIO()
        picture(seed=i).save(file, "PNG")
        return file

    part = Pictures("mine", np.arange(4), open_image, str)
    (split,) = to_splits([part], size=4, channels=1).values()
    assert opened == []  # size and channels say all that needs to be known
    assert split.take(np.array([1, 3])).images.shape == (2, 4, 4, 1)
    assert sorted(opened) == [1, 3]


def test_a_tree_of_ones_own_and_the_command_line(tmp_path, capsys):
    fill(tmp_path / "mine")
    (tmp_path / "tree.json").write_text('{"insect": ["ant", "bee"], "mammal": ["cat"]}')
    config = default()
    config.data.name = "image_folder"
    config.data.path = str(tmp_path / "mine")
    config.hierarchy.file = str(tmp_path / "tree.json")
    tree = load_hierarchy(config, load_data(config))
    assert tree.class_names == CLASSES
    (tmp_path / "mine" / "bee" / "0.png").write_bytes(b"")
    capsys.readouterr()
    flags = ["--config.data.name=image_folder", f"--config.data.path={tmp_path}/mine"]
    assert main(["ncjax", *flags, f"--workdir={tmp_path}/run"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("error: ")
    assert not (tmp_path / "run").exists()
