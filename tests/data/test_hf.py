"""Data sets of Hugging Face `datasets`, from local folders."""

import sys

import numpy as np
import pytest

from ncjax.data import DataError, load, select
from ncjax.extras import install
from tests.data.test_image_folder import CLASSES, fill, picture


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError) as info:
        load("hf", path="ylecun/mnist")
    assert install("hf") in str(info.value)


@pytest.fixture(scope="module")
def datasets():
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        yield pytest.importorskip("datasets")


LABELS = np.arange(12) % 3
IMAGES = [picture(seed=i) for i in range(12)]


@pytest.fixture
def made(datasets):
    """A data set in memory with an image, a ClassLabel, and other columns."""

    def make(rows=slice(None), labels=LABELS, label=None, images=IMAGES):
        columns = {
            "image": images[rows],
            "label": [x.item() for x in labels[rows]],
            "id": list(range(12))[rows],
        }
        features = datasets.Features(
            image=datasets.Image(),
            label=label or datasets.ClassLabel(names=list(CLASSES)),
            id=datasets.Value("int64"),
        )
        return datasets.Dataset.from_dict(columns, features=features)

    return make


def fails(match, path, **options):
    with pytest.raises(DataError, match=match) as info:
        select(load("hf", path=str(path), **options))
    assert "\n" not in str(info.value)


def test_splits_that_save_to_disk_has_written(datasets, made, tmp_path):
    splits = {"train": made(slice(9)), "test": made(slice(9, 12))}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "mine")
    mine = load("hf", path=str(tmp_path / "mine"))
    assert mine.class_names == CLASSES
    assert mine.test.labels.tolist() == LABELS[9:].tolist()
    np.testing.assert_array_equal(
        mine.train.images, [np.asarray(x) for x in IMAGES[:9]]
    )
    fails("no split 'dev'. It has train, test", tmp_path / "mine", test_split="dev")


def test_one_split_and_an_image_folder_that_datasets_reads(
    datasets, made, tmp_path, capsys
):
    made().save_to_disk(tmp_path / "mine")
    mine = load("hf", path=str(tmp_path / "mine"), size=4, channels=1)
    assert mine.image_shape == (4, 4, 1)
    assert "of 12 examples, 20% of each class" in capsys.readouterr().err
    fill(tmp_path / "folder" / "train")
    fill(tmp_path / "folder" / "test", count=2)
    theirs = load("hf", path=str(tmp_path / "folder"))
    ours = load("image_folder", path=str(tmp_path / "folder"))
    assert theirs.class_names == ours.class_names
    np.testing.assert_array_equal(theirs.test.images, ours.test.images)
    np.testing.assert_array_equal(theirs.train.labels, ours.train.labels)


def test_labels_of_other_types(datasets, made, tmp_path):
    text = np.array(["x", "z", "y"])[LABELS]
    made(labels=text, label=datasets.Value("string")).save_to_disk(tmp_path / "text")
    fails("has nothing of type ClassLabel, .* Name the column by config.data.labels",
          tmp_path / "text")  # fmt: skip
    assert load("hf", path=str(tmp_path / "text"), labels="label").class_names == (
        *("x", "y", "z"),
    )
    made(labels=LABELS, label=datasets.Value("int64")).save_to_disk(tmp_path / "int")
    given = load("hf", path=str(tmp_path / "int"), labels="label", class_names=CLASSES)
    assert given.class_names == CLASSES


def test_what_is_refused(datasets, made, tmp_path):
    with pytest.raises(DataError, match=r"has no name: set config\.data\.path"):
        load("hf")
    fails("'me/nothing' of Hugging Face cannot be had", "me/nothing", download=False)
    made().save_to_disk(tmp_path / "mine")
    fails("no column 'picture'. It has image, label, id", tmp_path / "mine",
          images="picture")  # fmt: skip
    fails("no column 'y'. It has", tmp_path / "mine", labels="y")
    fails("column 'id' .* must be of type Image", tmp_path / "mine", images="id")
    made(labels=np.where(LABELS == 2, -1, LABELS)).save_to_disk(tmp_path / "hidden")
    fails("labels are out of range in 4 rows: row 2 has -1", tmp_path / "hidden")
    images = [*IMAGES[:11], picture(size=(3, 3))]
    made(images=images).save_to_disk(tmp_path / "sizes")
    fails(r"Image 0 of .* 4 x 6 .*, Image 11 of .* 3 x 3\.", tmp_path / "sizes")
