"""The look-out: who is gone is named once, and who says goodbye is not gone."""

import socket
import threading

import pytest

from ncjax.cluster import watch


class Ended(BaseException):
    """Stands for the end of this process."""


@pytest.fixture
def ends(monkeypatch):
    """What the look-out has ended this process for, instead of ending it."""
    found = []

    def end(peers, who):
        found.append(who)
        raise Ended

    monkeypatch.setattr(watch, "_over", threading.Event())
    monkeypatch.setattr(watch, "_end", end)
    return found


@pytest.fixture
def peers():
    """Connections to two processes, and their own ends."""
    pairs = [socket.socketpair() for _ in range(2)]
    yield (
        [("Process 1 on a", pairs[0][0]), ("Process 2 on b", pairs[1][0])],
        [theirs for _, theirs in pairs],
    )
    for pair in pairs:
        for end in pair:
            end.close()


def test_all_say_goodbye(peers, ends):
    ours, theirs = peers
    for end in theirs:
        end.sendall(watch._BYE)
        end.close()
    watch._watch(ours)
    assert ends == []


@pytest.mark.parametrize("number", [0, 1])
def test_one_is_gone(peers, ends, number):
    ours, theirs = peers
    theirs[1 - number].sendall(watch._BYE)
    theirs[number].close()
    with pytest.raises(Ended):
        watch._watch(ours)
    assert ends == [ours[number][0]]


def test_process_0_says_that_one_is_gone(peers, ends):
    ours, theirs = peers
    theirs[0].sendall(watch._GONE)
    with pytest.raises(Ended):
        watch._watch(ours[:1])
    assert ends == [""]


def test_a_process_that_gives_up_by_itself_says_nothing_of_others(peers, ends):
    ours, theirs = peers
    watch.give_up(0.0)
    theirs[0].close()
    theirs[1].sendall(watch._BYE)
    watch._watch(ours)
    assert ends == []


def test_goodbye_is_said_to_all_and_the_last_word(peers, ends):
    ours, theirs = peers
    watch._say_goodbye(ours)
    assert [end.recv(9) for end in theirs] == [watch._BYE] * 2
    for end in theirs:
        end.close()
    watch._watch(ours)
    assert ends == []


def test_a_thread_watches_real_connections(ends, monkeypatch):
    gone = threading.Event()
    monkeypatch.setattr(watch, "_end", lambda peers, who: gone.set())
    monkeypatch.setattr(watch.atexit, "register", lambda *_: None)
    with socket.create_server(("localhost", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
        watch.watch([("Process 1 on a", ours)])
        assert not gone.is_set()
        theirs.close()
        assert gone.wait(60)
        ours.close()


def test_the_end(peers, monkeypatch, capfd):
    def leave(status):
        raise Ended(status)

    monkeypatch.setattr(watch.os, "_exit", leave)
    ours, theirs = peers
    with pytest.raises(Ended, match="1"):
        watch._end(ours, "Process 2 on b")
    said = capfd.readouterr().err
    assert said.startswith("\nerror: Process 2 on b is gone: it was killed, ")
    assert said.endswith("goes on from the last checkpoint.\n")
    assert [end.recv(1) for end in theirs] == [watch._GONE] * 2
    with pytest.raises(Ended, match="1"):
        watch._end(ours[:1], "")
    assert capfd.readouterr().err == ""
