"""A file that is appended to stays whole, or what it held before does."""

import resource

import pytest

from ncjax.runs.appended import Appended


@pytest.fixture
def most():
    """Lets no file grow beyond so many bytes: a fault of the operating system."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_bytes_are_appended_to_what_is_known(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one ")
    file = Appended(path, b"one ")
    assert not file.append(b"two ")
    assert not file.append(b"three")
    assert path.read_bytes() == file.content == b"one two three"


@pytest.mark.parametrize("content", [None, b"", b"on", b"one and more"])
def test_a_file_that_others_have_changed_is_restored(tmp_path, content):
    file = Appended(tmp_path / "file")
    assert not file.append(b"one ")
    file.path.unlink() if content is None else file.path.write_bytes(content)
    assert file.append(b"two")
    assert file.path.read_bytes() == b"one two"
    assert not file.append(b"!")
    assert [x.name for x in tmp_path.iterdir()] == ["file"]


def test_what_does_not_fit_leaves_what_was_there(tmp_path, most):
    file = Appended(tmp_path / "file")
    file.append(b"x" * 90)
    most(100)
    with pytest.raises(OSError, match=r"File too large: .*file"):
        file.append(b"y" * 20)
    assert file.path.read_bytes() == b"x" * 90
    file.append(b"z" * 10)
    assert file.path.read_bytes() == b"x" * 90 + b"z" * 10


def test_a_folder_that_is_gone_is_not_made_anew(tmp_path):
    file = Appended(tmp_path / "folder" / "file")
    with pytest.raises(FileNotFoundError):
        file.append(b"one")
    assert list(tmp_path.iterdir()) == []
