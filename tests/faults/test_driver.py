"""The driver of fault injection: it finds what is wrong, and says so."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.faults import hurts
from tests.faults.driver import QUICK, arguments, attempt, hurt, main, schedule
from tests.faults.hurts import Ground
from tests.faults.lab import CUT, EPOCHS, Lab, lines, points
from tests.faults.outcomes import (
    FAILED,
    HARMLESS,
    RECOVERED,
    REFUSED,
    WRONG,
    Outcome,
    Tally,
    counts,
    table,
)
from tests.faults.said import Ran, fault, hung, remarks


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    root = tmp_path_factory.mktemp("ground")
    return Ground(Lab(root), root)


@pytest.fixture
def finished(ground, tmp_path):
    """A copy of the run that was never stopped."""
    ground.lab.copy(tmp_path / "run", 1, True)
    return tmp_path / "run"


def arrays(rng, folder):
    """The largest file of the newest checkpoint: its arrays."""
    files = (folder / "checkpoints" / f"{CUT - 1}" / "state" / "ocdbt.process_0").rglob(
        "*"
    )
    return max((x for x in files if x.is_file()), key=lambda x: x.stat().st_size)


@pytest.mark.slow
def test_a_silent_error_is_found(ground, monkeypatch):
    """Without the checksums of checkpoints a flipped bit is trained on."""
    monkeypatch.setattr(hurts, "any_file", arrays)
    monkeypatch.setattr(hurts, "stopped", lambda ground, _, run: ground.lab.copy(run))
    tally = Tally(None, 0)
    with monkeypatch.context() as without:
        without.setattr("ncjax.runs.checkpoints.broken", lambda *a, **k: "")
        for index in range(9):  # bits of what is not read are harmless
            found = attempt(ground, "flips", index, 0)
            tally.add("flips", index, found, 1.0)
            if found.result == WRONG:
                break
    assert tally.counts()["flips"][WRONG] == 1
    (*_, row) = tally.bad()
    assert (row["index"], row["said"]) == (index, False)
    found = attempt(ground, "flips", index, 0)
    assert (found.result, found.said) == (RECOVERED, True)


@pytest.mark.slow
def test_a_file_that_is_refused_is_put_back(ground, tmp_path):
    ground.lab.copy(tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    torn = path.read_bytes()[:100]
    found = hurts.damaged(ground, tmp_path / "run", path, torn, "torn")
    assert found == Outcome(REFUSED, True, "torn")


@pytest.mark.slow
def test_a_traceback_is_found(ground, tmp_path, monkeypatch):
    ground.lab.copy(tmp_path / "run")

    def fails(*args):
        raise OSError("as if")

    monkeypatch.setattr("ncjax.runs.record.Record.save", fails)
    path = tmp_path / "run" / "metrics.jsonl"
    found = hurts.damaged(ground, tmp_path / "run", path, b"", "emptied")
    assert found.result == FAILED
    assert "a traceback: OSError: as if" in found.note


def test_a_run_that_nothing_hurts_is_the_same(ground, finished):
    assert len(lines(finished)) == EPOCHS
    assert ground.lab.judge(finished) == ""


def one_digit(folder):
    path = folder / "metrics.jsonl"
    data = path.read_bytes()
    at = data.rindex(b"0.") + 2
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def a_row(folder):
    path = folder / "metrics.jsonl"
    path.write_bytes(path.read_bytes().split(b"\n", 1)[1])


def the_last_checkpoint(folder):
    shutil.rmtree(folder / "checkpoints" / str(EPOCHS))


def the_events(folder):
    (events,) = folder.glob("events.*")
    events.unlink()


def a_byte_of_the_events(folder):
    (events,) = folder.glob("events.*")
    data = bytearray(events.read_bytes())
    data[data.rindex(b"nc/nc1")] ^= 1
    events.write_bytes(data)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (one_digit, f"has {EPOCHS} lines, line {EPOCHS} differs"),
        (a_row, f"has {EPOCHS - 1} lines, line 1 differs"),
        (the_last_checkpoint, "no checkpoint of the last epoch"),
        (the_events, "TensorBoard lacks"),
        (a_byte_of_the_events, "TensorBoard lacks"),
    ],
)
def test_each_difference_is_seen(ground, finished, change, said):
    change(finished)
    assert said in ground.lab.judge(finished)


def test_other_parameters_are_seen(ground, finished, monkeypatch):
    (name, (kind, shape, data)), *_ = ground.lab._arrays[1].items()
    changed = data[:-1] + bytes([data[-1] ^ 1])
    monkeypatch.setitem(ground.lab._arrays[1], name, (kind, shape, changed))
    assert f"1 of {len(ground.lab._arrays[1])} arrays differ" in ground.lab.judge(
        finished
    )


def test_a_file_that_begins_anew_replaces_older_ones(finished):
    (events,) = finished.glob("events.*")
    shown = points(finished)
    assert {epoch for _, epoch in shown} == set(range(1, EPOCHS + 1))
    shutil.copy(events, finished / "events.out.tfevents.9999999999.again")
    assert points(finished) == shown
    data = events.read_bytes()
    events.write_bytes(data[: data.rindex(b"nc/nc1")])
    assert points(finished) == shown


PARAGRAPH = "error: The workdir is in use. Wait.\n"
TRACEBACK = 'Traceback (most recent call last):\n  File "x"\nOSError: no\n'


@pytest.mark.parametrize(
    ("ran", "allowed", "why"),
    [
        (Ran(0, "Compiling: x\nepoch 100% 3/3\n"), (0,), ""),
        (Ran(2, PARAGRAPH), (0, 2), ""),
        (Ran(2, PARAGRAPH), (0,), "exit status 2; it said 'error: The"),
        (Ran(2, PARAGRAPH * 2), (2,), "with 2 paragraphs"),
        (Ran(1, ""), (1,), "with 0 paragraphs"),
        (Ran(1, TRACEBACK), (1,), "exit status 1, a traceback: OSError: no"),
        (Ran(0, TRACEBACK), (0,), "a traceback: OSError: no"),
        (Ran(-11, ""), (0,), "exit status -11"),
        (Ran(0, "E0101 12:00 tensor.cc:3] x\n"), (0,), "stray lines: E0101"),
        (Ran(0, "/x/y.py:3: UserWarning: z\n"), (0,), "stray lines: /x/y.py"),
        (hung("Compiling: x"), (-9,), "has not ended"),
    ],
)
def test_what_was_not_promised_is_told(ran, allowed, why):
    assert why in fault(ran, *allowed)
    assert bool(fault(ran, *allowed)) == bool(why)


def test_what_not_every_run_says_is_a_remark():
    usual = "Going on after epoch 3.\nThe lock of x is taken over from process 1.\n"
    assert remarks(Ran(0, usual)) == []
    assert remarks(Ran(0, f"{usual}x is damaged.\n")) == ["x is damaged."]


def test_a_schedule_goes_on_where_it_was_stopped(ground, tmp_path, monkeypatch):
    made = []

    def kills(ground, rng, folder, most):
        made.append(rng.integers(10**6))
        return Outcome(RECOVERED, said=True, count=min(2, most))

    def flips(ground, rng, folder):
        return Outcome(HARMLESS)

    monkeypatch.setitem(hurts.KINDS, "kills", kills)
    monkeypatch.setitem(hurts.KINDS, "flips", flips)
    out, said = tmp_path / "results" / "out.json", []
    hurt(ground, {"kills": 3}, Tally(out, 7), 7, said.append)
    assert said[-1].startswith("kills 3/3, all 3/3")
    hurt(ground, {"kills": 6, "flips": 1}, Tally(out, 7), 7, said.append)
    assert len(made) == len(set(made)) == 4
    written = json.loads(out.read_text())
    assert written["seed"] == 7
    assert [row["index"] for row in written["rows"]] == [0, 1, 2, 3, 0]
    assert written["counts"] == counts(written["rows"])
    assert written["counts"]["kills"][RECOVERED] == 6
    with pytest.raises(ValueError, match="results of another seed: 7, now 8"):
        Tally(out, 8)


def test_the_table_is_printed(tmp_path, capsys):
    out = tmp_path / "out.json"
    tally = Tally(out, 0)
    tally.add("kills", 0, Outcome(RECOVERED, count=3), 1)
    tally.add("flips", 0, Outcome(WRONG, True), 1)
    assert main(["--table", f"--out={out}"]) == 0
    *_, kills, flips, total = capsys.readouterr().out.splitlines()
    assert kills == "| kills | 3 | 0 | 3 | 0 | 0 | 0 | 0 |"
    assert flips == "| flips | 1 | 1 | 0 | 0 | 0 | 1 | 0 |"
    assert total == table(tally.counts()).splitlines()[-1]
    assert total == "| all | 4 | 1 | 3 | 0 | 0 | 1 | 0 |"


def test_schedules():
    assert schedule(arguments([])).keys() == hurts.KINDS.keys()
    assert schedule(arguments(["--quick"])) == QUICK
    assert schedule(arguments(["--only=flips", "--most=9"])) == {"flips": 9}


@pytest.mark.slow
def test_the_quick_part(tmp_path):
    out = tmp_path / "out.json"
    driver = [sys.executable, "-m", "tests.faults.driver", "--quick", f"--out={out}"]
    ran = subprocess.run(driver, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    counted = json.loads(out.read_text())["counts"]
    assert all(counted[kind]["tried"] >= most for kind, most in QUICK.items())
