"""Files whole or not at all, and strict JSON."""

import errno
import json
import os
import stat

import numpy as np
import pytest

from ncjax import io


def test_text_and_bytes(tmp_path):
    io.write_whole(tmp_path / "a.txt", "é\n")
    assert (tmp_path / "a.txt").read_bytes() == "é\n".encode()
    io.write_whole(str(tmp_path / "a.txt"), b"\x00\x01")  # replaces the old content
    assert (tmp_path / "a.txt").read_bytes() == b"\x00\x01"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_others_may_read_what_the_umask_allows(tmp_path, mask):
    before = os.umask(mask)
    try:
        io.write_whole(tmp_path / "a.txt", "a")
    finally:
        os.umask(before)
    mode = stat.S_IMODE((tmp_path / "a.txt").stat().st_mode)
    assert mode == 0o666 & ~mask


def test_a_power_cut_leaves_the_old_file_or_the_new(tmp_path, monkeypatch):
    """The content is on the disk before it gets its name, and then the name is."""
    steps, sync, replace = [], os.fsync, os.replace

    def spy_sync(opened):
        steps.append("folder" if stat.S_ISDIR(os.fstat(opened).st_mode) else "file")
        sync(opened)

    def spy_replace(old, new):
        steps.append("name")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", spy_sync)
    monkeypatch.setattr(os, "replace", spy_replace)
    io.write_whole(tmp_path / "a.txt", "a")
    assert steps == ["file", "name", "folder"]


def test_a_free_name(tmp_path):
    assert io.free_name(tmp_path / "a") == tmp_path / "a"
    for name in ("a", "a-2"):
        (tmp_path / name).touch()
    assert io.free_name(tmp_path / "a") == tmp_path / "a-3"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    io.write_whole(tmp_path / "a.txt", "old")

    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="the disk is full"):
        io.write_whole(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError):
        io.write_whole(tmp_path / "no" / "a.txt", "a")


def test_plain_values():
    value = {
        "tuple": (1, 2.5),
        "array": np.array([[1.0, np.nan], [np.inf, 2.0]]),
        "scalars": [np.float32(0.5), np.int64(3), np.bool_(True)],
        "words": "a",
        "nothing": None,
        "nan": float("nan"),
    }
    assert io.plain(value) == {
        "tuple": [1, 2.5],
        "array": [[1.0, None], [None, 2.0]],
        "scalars": [0.5, 3, True],
        "words": "a",
        "nothing": None,
        "nan": None,
    }


def test_json_files(tmp_path):
    io.write_json(tmp_path / "a.json", {"x": np.nan, "y": [1]})
    text = (tmp_path / "a.json").read_text()
    assert text == '{\n  "x": null,\n  "y": [\n    1\n  ]\n}\n'
    io.write_lines(tmp_path / "a.jsonl", ({"epoch": i} for i in (1, 2)))
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"epoch": 1}, {"epoch": 2}]
    io.write_lines(tmp_path / "empty.jsonl", [])
    assert (tmp_path / "empty.jsonl").read_text() == ""
    assert io.to_json([1.5, float("-inf")]) == "[1.5, null]"
    with pytest.raises(TypeError):
        io.write_json(tmp_path / "b.json", object())
    assert not (tmp_path / "b.json").exists()


def test_an_error_names_the_file_and_not_the_temporary_one(tmp_path):
    with pytest.raises(FileNotFoundError) as missing:
        io.write_whole(tmp_path / "no" / "file", "text")
    with (
        pytest.raises(OSError, match="No space") as full,
        io.open_whole(tmp_path / "x"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert missing.value.filename == str(tmp_path / "no" / "file")
    assert full.value.filename == str(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_made_with_those_above_it(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(io, "sync", synced.append)
    for _ in range(2):
        io.make_folder(tmp_path / "a" / "b")
        assert (tmp_path / "a" / "b").is_dir()
        assert synced == [tmp_path / "a", tmp_path]  # the names of b, and of a; once
