"""The tfds readers and the preparation, on a tiny CIFAR-10 in its original layout."""

import dataclasses
import functools
import http.server
import io
import os
import pathlib
import re
import shutil
import sys
import tarfile
import threading

import numpy as np
import pytest

from ncjax.cli import prepare as command
from ncjax.data import (
    DataError,
    load,
    prepare as preparation,
    select,
    tfds as readers,
    undecoded,
)
from ncjax.extras import install

tfds = pytest.importorskip("tensorflow_datasets")
checksums = pytest.importorskip("tensorflow_datasets.core.download.checksums")
cifar = pytest.importorskip("tensorflow_datasets.image_classification.cifar")

ARCHIVE = "cifar-10-binary.tar.gz"
NAMES = [f"class{k}" for k in range(10)]
FILES = {
    "train": [f"data_batch_{i}.bin" for i in range(1, 6)],
    "test": ["test_batch.bin"],
}
PER_FILE = 120  # 600 training examples: more than one batch


def make_archive(folder: pathlib.Path):
    """Writes the archive; returns images and labels of both splits in file order."""
    rng = np.random.default_rng(0)
    content = {"batches.meta.txt": "\n".join(NAMES).encode()}
    arrays = {}
    for split, files in FILES.items():
        n = PER_FILE * len(files)
        labels = rng.permutation(np.arange(n) % 10).astype(np.uint8)
        images = rng.integers(0, 256, (n, 32, 32, 3), np.uint8)
        planes = images.transpose(0, 3, 1, 2).reshape(n, -1)
        records = np.concatenate([labels[:, None], planes], axis=1)
        for file, part in zip(files, np.split(records, len(files))):
            content[file] = part.tobytes()
        arrays[split] = images, labels
    with tarfile.open(folder / ARCHIVE, "w:gz") as tar:
        for file, data in content.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{file}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return arrays


def register(monkeypatch, archive: pathlib.Path, url: str | None = None):
    """Makes tfds take the archive for the original, at another address if given."""
    old = next(iter(cifar.Cifar10.url_infos))
    info = checksums.compute_url_info(archive)
    monkeypatch.delitem(cifar.Cifar10.url_infos, old)
    monkeypatch.setitem(cifar.Cifar10.url_infos, url or old, info)
    if url:
        original = cifar.Cifar10._cifar_info.fget
        moved = property(lambda self: original(self)._replace(url=url))
        monkeypatch.setattr(cifar.Cifar10, "_cifar_info", moved)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    return folder, make_archive(folder)


@pytest.fixture(scope="module")
def prepared(originals, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as monkeypatch:
        register(monkeypatch, originals[0] / ARCHIVE)
        preparation.prepare(["cifar10"], dir=str(folder), originals=str(originals[0]))
    return folder


@pytest.fixture
def data_dir(prepared, tmp_path):
    """A fresh copy without a cache."""
    return shutil.copytree(prepared, tmp_path / "data")


def cache_of(folder: pathlib.Path) -> pathlib.Path:
    (cache,) = folder.glob("cifar10/*/ncjax-cache")
    return cache


def assert_same(split, images, labels):
    """Compares sets of examples: tfds shuffles them."""
    assert len(split) == len(labels)
    flat = split.images.reshape(len(split), -1)
    rows = np.column_stack([flat, split.labels])
    reference = np.column_stack([images.reshape(len(labels), -1), labels])
    assert {row.tobytes() for row in rows.astype(int)} == {
        row.tobytes() for row in reference.astype(int)
    }


def test_prepared_archive_is_read_back(originals, data_dir):
    cifar10 = load("cifar10", dir=str(data_dir))
    assert cifar10.class_names == tuple(NAMES)
    assert_same(cifar10.train, *originals[1]["train"])
    assert_same(cifar10.test, *originals[1]["test"])


def test_order_is_that_of_tfds(data_dir):
    cifar10 = load("cifar10", dir=str(data_dir))
    source = tfds.data_source("cifar10", split="train", data_dir=data_dir)
    assert len(source) == len(cifar10.train)
    for i, record in enumerate(source):
        np.testing.assert_array_equal(record["image"], cifar10.train.images[i])
        assert record["label"] == cifar10.train.labels[i]


def test_second_call_opens_the_cache(data_dir, monkeypatch, capsys):
    monkeypatch.setattr(undecoded, "_FEW", 100)
    first = load("cifar10", dir=str(data_dir))
    for split in (first.train, first.test):
        assert isinstance(split.images, np.memmap)
        assert not split.images.flags.writeable
    said = capsys.readouterr().err  # whole lines, as a log wants them
    assert said.splitlines() == [
        "Decoding cifar10/train: 600 images.",
        "Decoding cifar10/test: 120 images.",
    ]
    assert "\r" not in said
    files = ["test_images", "test_labels", "train_images", "train_labels"]
    assert sorted(p.name for p in cache_of(data_dir).iterdir()) == [
        f"{file}.npy" for file in files
    ]
    monkeypatch.setattr(readers, "_records", None)
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    second = load("cifar10")
    assert isinstance(second.train.images, np.memmap)
    np.testing.assert_array_equal(first.train.images, second.train.images)
    np.testing.assert_array_equal(first.train.labels, second.train.labels)


def test_only_what_is_used_is_decoded(data_dir, monkeypatch):
    whole = load("cifar10", dir=str(data_dir))
    options = {"examples_per_class": 3, "test_examples_per_class": 2}
    wanted = select(whole, **options)
    assert "images" not in vars(whole.train)  # it has decoded no more than these
    assert not list(cache_of(data_dir).glob("*_images.npy"))
    assert np.bincount(wanted.train.labels).tolist() == [3] * 10
    assert whole.train.images.shape == (600, 32, 32, 3)
    monkeypatch.setattr(readers, "_records", None)  # now all comes from the cache
    again = load("cifar10", dir=str(data_dir))
    rows = np.sort(np.random.default_rng(1).choice(600, 30, replace=False))
    part = again.train.take(rows)
    np.testing.assert_array_equal(part.take(np.arange(4, 9)).labels, part.labels[4:9])
    np.testing.assert_array_equal(
        part.take(np.arange(4, 9)).images, again.train.images[rows[4:9]]
    )
    again = select(dataclasses.replace(again, test=again.train), examples_per_class=3)
    np.testing.assert_array_equal(wanted.train.images, again.train.images)


@pytest.mark.parametrize(
    "damage", ["cut", "empty", "garbage", "fewer", "dtype", "gone"]
)
def test_damaged_cache_is_rebuilt(data_dir, damage):
    first = load("cifar10", dir=str(data_dir))
    images, labels = np.array(first.train.images), np.array(first.train.labels)
    del first
    path = cache_of(data_dir) / "train_images.npy"
    data = path.read_bytes()
    path.unlink()
    if damage in ("fewer", "dtype"):
        np.save(path, images[:-1] if damage == "fewer" else images.astype(np.float32))
    elif damage != "gone":
        path.write_bytes({"cut": data[:-9], "empty": b"", "garbage": b"x" * 99}[damage])
    again = load("cifar10", dir=str(data_dir))
    np.testing.assert_array_equal(again.train.images, images)
    np.testing.assert_array_equal(again.train.labels, labels)
    assert path.read_bytes() == data


def test_unwritable_cache_warns_and_decodes_in_memory(originals, data_dir):
    (version,) = data_dir.glob("cifar10/*")
    (version / "ncjax-cache").write_text("a file where the folder would be")
    with pytest.warns(UserWarning, match="Cannot cache the labels of cifar10/t"):
        cifar10 = load("cifar10", dir=str(data_dir))
    with pytest.warns(UserWarning, match="Cannot cache the images of cifar10/train"):
        assert len(cifar10.train.images) == 600
    assert not isinstance(cifar10.train.images, np.memmap)
    assert_same(cifar10.train, *originals[1]["train"])


def test_failed_write_leaves_no_file(tmp_path, monkeypatch):
    def replace(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", replace)
    path = tmp_path / "x.npy"
    with (
        pytest.raises(OSError, match="disk full"),
        readers.open_whole(path) as file,
    ):
        np.save(file, np.zeros(3))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", preparation.NAMES)
def test_not_prepared_and_not_to_be_downloaded(name, tmp_path):
    (tmp_path / "mnist").mkdir()  # there, but without a version
    with pytest.raises(DataError) as info:
        load(name, dir=str(tmp_path), download=False)
    for part in (
        f"{name} is not prepared in {tmp_path}",
        f"`python -m ncjax prepare {name}`",
        "TFDS_DATA_DIR",
        "config.data.dir",
        "config.data.download is False",
    ):
        assert part in str(info.value)


def test_no_such_folder_and_no_folder(tmp_path):
    with pytest.raises(DataError, match=r"mnist is not prepared .* no version"):
        load("mnist", dir=str(tmp_path / "missing"), download=False)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file cannot be written \(File exists\)"):
        load("mnist", dir=str(tmp_path / "file"))


def test_other_formats_are_refused(data_dir):
    (written,) = data_dir.glob("cifar10/*/dataset_info.json")
    text = written.read_text()
    assert text.count("array_record") == 1
    written.write_text(text.replace("array_record", "tfrecord"))
    with pytest.raises(DataError, match=r"format that .*as array_record\.$"):
        load("cifar10", dir=str(data_dir))


def test_without_tfds(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    needed = re.escape(install("tfds"))
    with pytest.raises(DataError, match=rf"`{needed}`\.$"):
        load("mnist", dir=str(tmp_path))
    with pytest.raises(DataError, match=needed):
        preparation.prepare(["mnist"], dir=str(tmp_path))


def test_data_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert readers.data_dir() == tmp_path
    assert readers.data_dir("/elsewhere") == pathlib.Path("/elsewhere")
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert readers.data_dir() == pathlib.Path.home() / "tensorflow_datasets"


# ------------------------------------------------------------ preparation


@pytest.fixture
def server(originals):
    """A web server on this machine that has the archive."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=str(originals[0]))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_download_needs_no_tensorflow(originals, server, tmp_path, monkeypatch, capsys):
    register(monkeypatch, originals[0] / ARCHIVE, url=f"{server}/{ARCHIVE}")
    assert command.main(["cifar10", "--data-dir", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "600 + 120 examples" in said.err
    assert (
        f"cifar10 is not prepared yet: downloading 2 MiB from {server} to " in said.err
    )
    assert f"to {tmp_path}, once." in said.err
    assert "\r" not in said.err
    assert_same(load("cifar10", dir=str(tmp_path)).train, *originals[1]["train"])
    # The extracted copy is gone, the download stays.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cifar10", "downloads"]
    assert [p.name for p in (tmp_path / "downloads").iterdir()] == ["cifar10"]
    assert "tensorflow" not in sys.modules  # where it is not installed, this is sure


def test_first_use_downloads(originals, server, tmp_path, monkeypatch, capsys, caplog):
    register(monkeypatch, originals[0] / ARCHIVE, url=f"{server}/{ARCHIVE}")
    cifar10 = load("cifar10", dir=str(tmp_path))
    assert capsys.readouterr().err.count("downloading") == 1
    assert_same(cifar10.test, *originals[1]["test"])
    assert not caplog.records
    load("cifar10", dir=str(tmp_path), download=False)
    assert capsys.readouterr().err == ""


def test_one_process_prepares_and_the_others_wait(
    prepared, tmp_path, monkeypatch, capsys
):
    """Another process holds the folder, and has prepared the data when it lets go."""
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(preparation, "_prepare", None)  # nothing is left to do
    other = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    found = []
    waiting = threading.Thread(
        target=lambda: found.append(load("cifar10", dir=str(tmp_path)))
    )
    waiting.start()
    waiting.join(1.0)
    assert waiting.is_alive()
    shutil.copytree(prepared / "cifar10", tmp_path / "cifar10")
    os.close(other)
    waiting.join(60)
    assert len(found[0].train) == 600
    assert "Another process prepares data in" in capsys.readouterr().err


def test_failed_downloads(originals, server, tmp_path, monkeypatch):
    archive = originals[0] / ARCHIVE
    dir = str(tmp_path)
    with monkeypatch.context() as patch:
        register(patch, archive, url=f"{server}/missing.tar.gz")
        with pytest.raises(DataError, match=r"(?s)HTTP code: 404.*--originals=DIR"):
            preparation.prepare(["cifar10"], dir=dir)
    with monkeypatch.context() as patch:  # port 9: nothing listens
        register(patch, archive, url="http://127.0.0.1:9/x.tar.gz")
        with pytest.raises(
            DataError,
            match=r"(?s)refused.*no network.* prepare cifar10 .*--originals=DIR",
        ):
            preparation.prepare(["cifar10"], dir=dir)


def test_damaged_or_missing_originals(originals, tmp_path, capsys):
    damaged = tmp_path / "cifar10"  # found in the subfolder
    damaged.mkdir()
    (damaged / ARCHIVE).write_bytes((originals[0] / ARCHIVE).read_bytes()[:-1])
    with pytest.raises(DataError, match="wrong checksum"):
        preparation.prepare(["cifar10"], dir=str(tmp_path), originals=str(tmp_path))
    arguments = ["mnist", "--data-dir", str(tmp_path), "--originals", str(tmp_path)]
    assert command.main(arguments) == 2
    assert "has no t10k-images-idx3-ubyte.gz" in capsys.readouterr().err


def test_png_of_another_shape_is_refused():
    encoder = tfds.features.Image(shape=(2, 2, 1))._image_encoder
    with pytest.raises(ValueError, match=r"\(2, 3, 1\).*shape \(2, 2, 1\)"):
        preparation._encode_png(encoder, np.zeros((2, 3, 1), np.uint8))


# -------------------------------------------------------------- real data


def test_real_mnist():
    folder = readers.data_dir(os.environ.get("TFDS_DATA_DIR", ""))
    if "TFDS_DATA_DIR" not in os.environ or not (folder / "mnist").is_dir():
        pytest.skip("needs MNIST in a folder that TFDS_DATA_DIR names")
    mnist = load("mnist")
    assert mnist.train.images.shape == (60_000, 28, 28, 1)
    assert mnist.test.images.shape == (10_000, 28, 28, 1)
    expected = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(mnist.train.labels).tolist() == expected
