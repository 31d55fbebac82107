"""One program at a time writes to a folder."""

import gc
import json
import os
import socket
import subprocess
import sys
import time

import pytest

from ncjax.options import TrainingError
from ncjax.runs.lock import Lock, is_left_behind, locked
from ncjax.runs.record import Record
from ncjax.runs.workdir import WorkdirError, claim

HOLD = """\
import sys, time
from pathlib import Path
from ncjax.options import InputError
from ncjax.runs.lock import locked

try:
    with locked(Path(sys.argv[1]), "config.json", "run"):
        print("held", flush=True)
        time.sleep(float(sys.argv[2]))
except InputError as error:
    print(error)
    sys.exit(2)
"""


def start(folder, seconds):
    """A program that holds the lock of a folder for some time, or is refused."""
    command = [sys.executable, "-c", HOLD, str(folder), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def write(folder, **changes):
    holder = {"host": socket.gethostname(), "pid": 1, "started": None, "since": "then"}
    (folder / "run.lock").write_text(json.dumps(holder | changes))


def test_it_is_there_while_it_is_held(tmp_path):
    old = os.umask(0o027)
    try:
        lock = Lock(tmp_path)
    finally:
        os.umask(old)
    assert (tmp_path / "run.lock").stat().st_mode & 0o777 == 0o640
    holder = json.loads((tmp_path / "run.lock").read_text())
    assert (holder["host"], holder["pid"]) == (socket.gethostname(), os.getpid())
    lock.close()
    lock.close()
    assert list(tmp_path.iterdir()) == []


def test_it_is_released_after_an_error_or_if_it_is_forgotten(tmp_path):
    def fail():
        with locked(tmp_path, "config.json", "run"):
            assert (tmp_path / "run.lock").exists()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []
    lock = Lock(tmp_path)
    del lock
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_the_same_process_may_take_it_again(tmp_path):
    first = Lock(tmp_path)
    second = Lock(tmp_path)
    first.close()  # it is no longer its own
    assert (tmp_path / "run.lock").exists()
    second.close()
    assert list(tmp_path.iterdir()) == []


def test_a_second_program_is_refused_and_a_killed_one_followed(tmp_path, capsys):
    with start(tmp_path, 60) as first:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(WorkdirError, match=rf"process {first.pid} on .* --workdir"):
            Lock(tmp_path)
        with start(tmp_path, 0) as second:
            assert "is in use by another program" in second.stdout.read()
        assert second.returncode == 2
        with pytest.raises(WorkdirError, match="in use by another program"):
            Record(tmp_path, {"seed": 1}, keep=0)
        assert [p.name for p in tmp_path.iterdir()] == ["run.lock"]
        first.kill()
        first.wait()
        Lock(tmp_path).close()
    assert f"from process {first.pid} on" in capsys.readouterr().err


@pytest.mark.slow
def test_of_many_that_start_at_once_one_wins(tmp_path):
    write(tmp_path, pid=2**22 + 1)
    programs = [start(tmp_path, 5) for _ in range(5)]
    said = [one.communicate()[0] for one in programs]
    assert sorted(one.returncode for one in programs) == [0, 2, 2, 2, 2]
    assert sum(text == "held\n" for text in said) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    ["", "{", "[1]", "\0\0", '{"host": null}'],
)
def test_an_unreadable_lock_is_no_holder(tmp_path, monkeypatch, content):
    monkeypatch.setattr("ncjax.runs.lock._BEAT", 0.01)
    (tmp_path / "run.lock").write_text(content)
    os.utime(tmp_path / "run.lock", (0, 0))
    Lock(tmp_path).close()


def test_another_process_of_the_same_number_is_not_the_holder(tmp_path, capsys):
    write(tmp_path, pid=os.getppid(), started="-1")
    Lock(tmp_path).close()
    assert "which no longer runs" in capsys.readouterr().err
    write(tmp_path, pid=os.getppid())
    with pytest.raises(WorkdirError, match="in use"):
        Lock(tmp_path)
    for pid in (None, "x", 2**70):
        write(tmp_path, pid=pid)
        Lock(tmp_path).close()


def test_another_host_is_dead_after_ten_silent_minutes(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ncjax.runs.lock._BEAT", 0.01)
    write(tmp_path, host="elsewhere")
    with pytest.raises(WorkdirError, match="process 1 on elsewhere, since then"):
        Lock(tmp_path)
    now = time.time()
    os.utime(tmp_path / "run.lock", (now, now - 660))
    Lock(tmp_path).close()
    assert "no sign of life for 11 minutes" in capsys.readouterr().err


@pytest.mark.parametrize("jump", [-86_400, 86_400])
def test_the_clock_of_a_host_says_nothing(tmp_path, monkeypatch, jump):
    """It may be set, and differ from that of the host of the holder."""
    write(tmp_path, host="elsewhere")
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump)
    with pytest.raises(WorkdirError, match="process 1 on elsewhere"):
        Lock(tmp_path)


@pytest.mark.parametrize("jump", [-86_400, 86_400])
def test_a_holder_that_gives_signs_lives_whatever_their_times(
    tmp_path, monkeypatch, jump
):
    """The clock of the file system itself was set: all times there are others."""
    monkeypatch.setattr("ncjax.runs.lock._BEAT", 0.01)
    write(tmp_path, host="elsewhere")
    path, sleep = tmp_path / "run.lock", time.sleep
    old = time.time() - jump
    os.utime(path, (old, old))

    def beat(seconds):
        os.utime(path)
        sleep(seconds)

    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", beat)
        with pytest.raises(WorkdirError, match="process 1 on elsewhere"):
            Lock(tmp_path)
    os.utime(path, (old, old))
    Lock(tmp_path).close()  # it gives none
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_taken_over_is_noticed(tmp_path):
    """As after a pause of the host, in which another one has taken the folder."""
    with locked(tmp_path, "config.json", "run") as check:
        check()
        (tmp_path / "run.lock").unlink()
        check()
        assert json.loads((tmp_path / "run.lock").read_text())["pid"] == os.getpid()
        write(tmp_path, host="elsewhere", token="another")
        with pytest.raises(TrainingError, match=r"process 1 on elsewhere.*It stops"):
            check()
    assert (tmp_path / "run.lock").exists()  # that of the other


def test_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr("ncjax.runs.lock._BEAT", 0.01)
    lock = Lock(tmp_path)
    os.utime(tmp_path / "run.lock", (0, 0))
    deadline = time.monotonic() + 20
    while not (tmp_path / "run.lock").stat().st_mtime:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    lock.close()


def test_a_folder_that_was_made_and_not_claimed_is_as_good_as_new(tmp_path):
    for left in (".config.json.0123abcd", "run.lock"):
        (tmp_path / left).write_text("{")
    assert not claim(tmp_path, "config.json", holds="run")
    Record(tmp_path, {"seed": 1}, keep=0).close()
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]


def test_a_run_of_another_configuration_leaves_no_lock(tmp_path):
    Record(tmp_path, {"seed": 1}, keep=0).close()
    with pytest.raises(WorkdirError, match="another configuration"):
        Record(tmp_path, {"seed": 2}, keep=0)
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]


def test_a_lock_that_was_left_behind(tmp_path):
    assert not is_left_behind(tmp_path)
    (tmp_path / "run.lock").touch()
    assert not is_left_behind(tmp_path)  # it is being written
    write(tmp_path, pid=os.getpid())
    assert not is_left_behind(tmp_path)
    write(tmp_path, pid=2**22 + 1)  # more than there can be
    assert is_left_behind(tmp_path)
    write(tmp_path, host="elsewhere")
    assert not is_left_behind(tmp_path)
