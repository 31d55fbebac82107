"""The progress line of a run."""

import io
import re
import sys

import pytest

from ncjax.runs.progress import Progress


def test_progress_prints_whole_lines_in_a_log(capsys):
    bar = Progress(20)
    for epoch in range(1, 21):
        bar.update(epoch, {"loss": 0.123456, "NC1": 1e-3})
    bar.close()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1  # less than ten seconds: only the last epoch
    assert "20/20" in lines[0]
    assert "epoch/s" in lines[0]
    assert "loss 0.123 NC1 0.001" in lines[0]


class Terminal(io.StringIO):
    """Standard error of a program that runs in a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


def in_a_terminal(monkeypatch, columns=80):
    """Not a fixture: pytest changes standard error between these and their test."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    return sys.stderr


def shown(text):
    """What a terminal shows, without the codes that move its cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.mark.parametrize(("columns", "lines"), [(120, 5), (60, 8)])
def test_on_a_terminal_curves_are_drawn_in_place(monkeypatch, history, columns, lines):
    terminal = in_a_terminal(monkeypatch, columns)
    bar = Progress(20, history=history)
    bar.update(7, {"loss": 0.1})
    drawn = bar._view.lines()
    assert len(drawn) == lines
    assert max(map(len, drawn)) <= min(columns, 80)
    assert "7/20" in drawn[0]
    assert drawn[1] == "loss 0.1"
    assert re.search(r"NC1 1\.23e-05 +█▆▁", "\n".join(drawn[2:]))
    print("meanwhile", file=sys.stderr)
    bar.update(20, {"loss": 0.05})
    bar.close()
    text = shown(terminal.getvalue())
    assert "meanwhile" in text
    last = text.rstrip("\n").split("\n")[-2:]
    assert "20/20" in last[0]
    assert last[1].strip() == "loss 0.05"
    assert sys.stderr is terminal


def test_before_the_second_measurement_there_are_no_curves(monkeypatch, history):
    in_a_terminal(monkeypatch)
    del history.rows[1:]
    bar = Progress(20, history=history)
    bar.update(1, {})
    assert len(bar._view.lines()) == 1
    bar.close()


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("encoding", "ascii")])
def test_a_terminal_that_cannot_draw_gets_lines(monkeypatch, name, value):
    terminal = in_a_terminal(monkeypatch)
    if name == "TERM":
        monkeypatch.setenv(name, value)
    else:
        monkeypatch.setattr(Terminal, name, value)
    bar = Progress(2)
    bar.update(2, {"loss": 0.5})
    bar.close()
    assert terminal.getvalue().startswith("epoch 100% 2/2 ")
    assert "\x1b" not in terminal.getvalue()
