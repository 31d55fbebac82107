"""What is said of a folder that cannot be written."""

import errno
import shutil
from pathlib import Path

import pytest

from ncjax.options import TrainingError
from ncjax.runs.failure import writing


def failing(folder, error):
    with writing(folder, lambda: "It stopped."):
        raise error


@pytest.mark.parametrize(
    ("code", "mend"),
    [
        (errno.ENOSPC, "Make room on that disk, then"),
        (errno.EDQUOT, "or raise the quota, then"),
        (errno.EROFS, "Make it writable again, then"),
        (errno.EACCES, "Make it writable again, then"),
        (errno.ENOENT, "Bring back what was deleted or moved, then"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EIO, "Mend it, then"),
    ],
)
def test_the_path_the_reason_and_what_to_do(tmp_path, code, mend):
    with pytest.raises(TrainingError) as found:
        failing(tmp_path, OSError(code, "text", f"{tmp_path}/file"))
    said = str(found.value)
    assert f"{tmp_path}/file: " in said
    assert f"({errno.errorcode[code]})" in said
    assert "It stopped." in said
    assert mend in said
    assert "\n" not in said


def test_what_tensorstore_says():
    said = (
        'OUT_OF_RANGE: Error writing local file "/a/b": Failed writing: "/a/b.__lock": '
        "Failed to write 3793 bytes to file 26: File too large [os_error_code='27']"
    )
    with pytest.raises(TrainingError, match=r"/a/b: File too large \(EFBIG\)"):
        failing(Path("/"), ValueError(said))


def test_a_word_of_tensorstore_in_the_place_of_a_number():
    said = (
        'NOT_FOUND: Error opening "zarr3" driver: Error writing "step/zarr.json" in '
        'OCDBT database at local file "/a/b/state": Failed to open'
    )
    with pytest.raises(TrainingError, match=r"/a/b/state: No such file .*\(ENOENT\)"):
        failing(Path("/"), ValueError(said))


def test_a_folder_that_is_gone(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.rmtree(folder)
    missing = FileNotFoundError(errno.ENOENT, "text", f"{folder}/x")
    for error in (missing, ValueError("Checkpoint directory does not exist")):
        with pytest.raises(TrainingError, match=r"the folder was deleted or moved"):
            failing(folder, error)


@pytest.mark.parametrize("error", [ValueError("x"), OSError("x"), KeyError(1)])
def test_other_errors_are_left_as_they_are(tmp_path, error):
    with pytest.raises(type(error)) as found:
        failing(tmp_path, error)
    assert found.value is error
