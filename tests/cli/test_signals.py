"""Signals: a training stops after an epoch, the other commands at once, with a line."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ncjax.cli.signals import NUMBERS, Interrupted, interrupts
from ncjax.cli.usage import command

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def usual_signals():
    """As a terminal gives them; a job in the background ignores SIGINT."""
    before = {n: signal.signal(n, signal.SIG_DFL) for n in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


USUAL = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}


class Process:
    """A Python process, whose standard error is followed."""

    def __init__(self, *arguments, **options):
        self.popen = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
            **USUAL | options,
        )
        self.said = ""

    def wait_for(self, text):
        while text not in self.said:
            line = self.popen.stderr.readline().decode()
            assert line, f"it ended before it said {text!r}: {self.said}"
            self.said += line

    def send(self, number):
        self.popen.send_signal(number)

    def end(self):
        """The exit status; all that was said is then known."""
        self.said += self.popen.communicate(timeout=200)[1].decode()
        return self.popen.returncode


# Trains in epochs of a tenth of a second, each a call that runs no Python, as of XLA.
TRAINS = """\
import hashlib, sys, time
from ncjax.cli.signals import StopAfterEpoch

def say(text):
    print(text, file=sys.stderr, flush=True)

def work(rounds):
    hashlib.pbkdf2_hmac("sha256", b"", b"", rounds)

began = time.monotonic()
work(10**5)
second = int(10**5 / (time.monotonic() - began))
rounds = {"short": second // 10, "long": 100 * second}
with StopAfterEpoch() as stop:
    say("compiles")
    work(rounds[sys.argv[1]])
    for epoch in range(1, 1 + int(sys.argv[3])):
        if stop():
            break
        say(f"epoch {epoch}")
        work(rounds[sys.argv[2]])
    say(f"saved after {stop()}")
say("left")
sys.exit(stop() and 128 + stop())
"""


@pytest.mark.parametrize("number", NUMBERS)
def test_the_epoch_under_way_is_finished(number):
    process = Process("-c", TRAINS, "short", "short", "500")
    process.wait_for("epoch 2")
    process.send(number)
    assert process.end() == 128 + number
    name = signal.Signals(number).name
    told = f"{name}: the training stops after the epoch that is under way"
    assert process.said.count(told) == 1
    *went_on, saved, left = process.said.partition(told)[2].splitlines()[1:]
    assert len(went_on) <= 1  # it had asked just before
    assert (saved, left) == (f"saved after {int(number)}", "left")


def test_a_second_signal_ends_it_at_once_in_the_midst_of_an_epoch():
    """The first is said in the midst of it, too."""
    process = Process("-c", TRAINS, "short", "long", "500")
    process.wait_for("epoch 1")
    process.send(signal.SIGINT)
    process.wait_for("A second signal ends it at once")
    process.send(signal.SIGTERM)
    assert process.end() == 128 + signal.SIGTERM
    assert process.said.endswith(
        "SIGTERM: ended at once; the newest checkpoint is whole.\n"
    )


def test_before_the_first_epoch_it_ends_at_once_in_the_midst_of_compiling():
    process = Process("-c", TRAINS, "long", "short", "500")
    process.wait_for("compiles")
    process.send(signal.SIGTERM)
    assert process.end() == 128 + signal.SIGTERM
    assert process.said.endswith(
        "stopped before the training began; nothing is lost.\n"
    )
    assert process.said.count("\n") == 3


def test_a_hangup_that_is_ignored_stays_so():
    """As `nohup` has it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    process = Process("-c", TRAINS, "short", "short", "4")
    process.wait_for("epoch 1")
    process.send(signal.SIGHUP)
    assert process.end() == 0
    assert "SIGHUP" not in process.said
    assert process.said.endswith("epoch 4\nsaved after 0\nleft\n")


FORKS = """\
import os, signal, time
from ncjax.cli.signals import StopAfterEpoch

with StopAfterEpoch() as stop:
    assert stop() == 0
    ready, tell = os.pipe()
    worker = os.fork()
    if worker == 0:
        os.write(tell, b"!")
        time.sleep(60)
        os._exit(0)
    os.read(ready, 1)
    os.kill(worker, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == -signal.SIGTERM
    assert stop() == 0
assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
"""


def test_a_forked_worker_ends_at_its_signal_and_stops_nothing():
    process = Process("-c", FORKS)
    assert process.end() == 0, process.said
    assert process.said == ""


@pytest.mark.parametrize("number", NUMBERS)
def test_other_commands_end_with_a_line(number, capsys):
    before = [signal.getsignal(n) for n in NUMBERS]

    @command("Stopped; nothing was written.")
    def main(argv):
        signal.raise_signal(number)
        raise AssertionError("it went on")

    assert main([]) == 128 + number
    assert capsys.readouterr().err == "\nStopped; nothing was written.\n"
    assert [signal.getsignal(n) for n in NUMBERS] == before


def test_what_is_raised_names_the_signal():
    with interrupts(), pytest.raises(Interrupted, match="SIGHUP") as caught:
        signal.raise_signal(signal.SIGHUP)
    assert caught.value.number == signal.SIGHUP


TRAIN = [
    *("-m", "ncjax", "train", "--config.num_epochs=400", "--config.eval.epochs=(2,)"),
    *("--config.model.widths=(16, 8)", "--config.data.examples_per_class=30"),
    *("--config.batch_size=50", "--config.hierarchy.name=none"),
    "--config.checkpoint.every_epochs=400",
]


def rows_of(folder):
    return [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]


def train_until(folder, process, epoch=3):
    """Waits until a run has trained so far."""
    path = folder / "metrics.jsonl"
    deadline = time.monotonic() + 100
    while not path.exists() or len(path.read_text().splitlines()) < epoch:
        assert time.monotonic() < deadline
        assert process.popen.poll() is None
        time.sleep(0.01)


def stop(folder, number, *flags):
    """A run that gets a signal once it has trained for some epochs."""
    process = Process(*TRAIN, *flags, f"--workdir={folder}")
    train_until(folder, process)
    process.send(number)
    return process


@pytest.mark.slow  # in process: tests/training/test_faults.py
def test_a_run_is_stopped_and_saved(tmp_path):
    process = stop(tmp_path, signal.SIGTERM)
    assert process.end() == 143
    last = rows_of(tmp_path)[-1]["epoch"]
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [str(last)]
    assert process.said.endswith(
        f"\nStopped after epoch {last}, which is saved. (SIGTERM) The same command "
        f"with --workdir={tmp_path} continues from the last checkpoint.\n"
    )
    assert not (tmp_path / "run.lock").exists()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Rows of the runs that are stopped below, but never stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert Process(*TRAIN, f"--workdir={folder}").end() == 0
    return rows_of(folder)


# Takes the terminal that is its input for its own, and becomes another program.
TAKES_TERMINAL = """\
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def hung_up(folder):
    """The exit status of a run whose terminal is closed under it."""
    ours, theirs = pty.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    command = ("-c", TAKES_TERMINAL, *TRAIN, f"--workdir={folder}")
    process = Process(*command, start_new_session=True, **streams)
    os.close(theirs)
    train_until(folder, process)
    os.close(ours)
    return process.popen.wait(200)


@pytest.mark.slow
@pytest.mark.parametrize("number", [*NUMBERS, "hangup"])
def test_a_stopped_run_goes_on_to_the_same_numbers(whole, tmp_path, number):
    if number == "hangup":
        assert hung_up(tmp_path) == 128 + signal.SIGHUP
    else:
        assert stop(tmp_path, number).end() == 128 + number
    rows = rows_of(tmp_path)
    assert 3 <= len(rows) < 400
    assert rows == whole[: len(rows)]
    again = Process(*TRAIN, f"--workdir={tmp_path}")
    assert again.end() == 0
    assert f"Going on after epoch {len(rows)}." in again.said
    assert rows_of(tmp_path) == whole


@pytest.mark.slow
@pytest.mark.parametrize("after", ["Compiling", "Compiled"])
def test_two_signals_in_a_row_do_no_damage(whole, tmp_path, after):
    process = Process(*TRAIN, f"--workdir={tmp_path}")
    process.wait_for(after)
    process.send(signal.SIGTERM)
    process.send(signal.SIGINT)
    assert process.end() in (128 + signal.SIGTERM, 128 + signal.SIGINT)
    again = Process(*TRAIN, f"--workdir={tmp_path}")
    assert again.end() == 0
    assert f"The lock of {tmp_path} is taken over from process" in again.said
    assert rows_of(tmp_path) == whole


@pytest.mark.slow
def test_seeds_stop_and_go_on(tmp_path):
    flags = "--config.num_seeds=2"
    assert stop(tmp_path / "cut", signal.SIGTERM, flags).end() == 143
    folders = [tmp_path / "cut", tmp_path / "whole"]
    for folder in folders:
        assert Process(*TRAIN, flags, f"--workdir={folder}").end() == 0
    for name in ("", "seeds/0", "seeds/1"):
        cut, whole = (rows_of(folder / name) for folder in folders)
        assert cut == whole


@pytest.mark.slow
def test_a_sweep_stops_in_its_second_program_and_goes_on(tmp_path):
    flags = ["--sweep.loss.name=mse,cross_entropy"]
    process = Process(*TRAIN, *flags, f"--workdir={tmp_path / 'cut'}")
    process.wait_for("Program 2 of 2")
    process.wait_for("Compiled")
    process.send(signal.SIGTERM)
    assert process.end() == 143
    assert ". (SIGTERM) The same command with" in process.said
    folders = [tmp_path / "cut", tmp_path / "whole"]
    for folder in folders:
        assert Process(*TRAIN, *flags, f"--workdir={folder}").end() == 0
    assert len(list((folders[0] / "members").iterdir())) == 2
    for member in (folders[0] / "members").iterdir():
        assert rows_of(member) == rows_of(folders[1] / "members" / member.name)
