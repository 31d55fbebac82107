"""metrics.jsonl read whatever has become of it."""

import math
import warnings

import pytest

from ncjax.runs.journal import Journal, parse, read, read_rows

GOOD = '{"epoch": 1, "x": 0.5}\n{"epoch": 2, "x": null}\n'


def test_rows_that_nothing_has_happened_to(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_rows(path) == []
    path.write_text(GOOD)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = read_rows(path)
    assert first == {"epoch": 1, "x": 0.5}
    assert math.isnan(second["x"])


@pytest.mark.parametrize(
    ("content", "epochs", "problems"),
    [
        (b'{"epoch": 1}{"epoch": 2}\n', [1, 2], []),  # the end of a line is lost
        (b'{"epoch": 1}\n\n{"epoch": 2}', [1, 2], []),
        (b'{"epoch": 1}\n{"epoch": 1}\n', [1], []),
        (b'{"epoch": 1, "x": 1}\n{"epoch": 1, "x": 2}\n', [1], ["line 2 has other"]),
        (b'{"epoch": 2}\n{"epoch": 1}\n', [1, 2], ["line 2 has epoch 1 after epoch 2"]),
        (b'{"epoch": 1}\n{"epo', [1], ["line 2 ends in the middle of a row"]),
        (b'{"epo\n{"epoch": 2}\n', [2], ["line 1 is not a row"]),
        (b'{"epoch": 1, "\xff": 2}\n', [], ["line 1 is not a row"]),
        (b'[1]\n{"epoch": ""}\n5\n', [], [f"line {i} is not a row" for i in "123"]),
        (b"[" * 100_000, [], ["line 1 ends in the middle of a row"]),
        (b"\0" * 50, [], ["line 1 ends in the middle of a row"]),
    ],
)  # fmt: skip
def test_damage_is_named(tmp_path, content, epochs, problems):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(content)
    rows, found = read(path)
    assert [row["epoch"] for row in rows] == epochs
    assert len(found) == len(problems)
    assert all(map(str.startswith, found, problems))
    assert Journal(tmp_path).latest == (epochs[-1] if epochs else 0)


def test_readers_are_warned_but_of_a_row_that_is_being_written(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(GOOD + '{"epoch": 3, ')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_rows(path)) == 2
    path.write_text('{"epoch"\n' * 7 + GOOD)
    with pytest.warns(UserWarning, match=r"line 5 is not a row, and 2 more\."):
        assert len(read_rows(path)) == 2


def test_a_damaged_journal_without_a_checkpoint_is_kept_beside(tmp_path):
    path = tmp_path / "metrics.jsonl"
    bad = '{"epoch": 1\n{"epoch": 2}\n{"epoch": 3}\n'
    for away in ("metrics.jsonl.damaged", "metrics.jsonl.damaged-2"):
        path.write_text(bad)
        rows, said = Journal(tmp_path).resume(2)
        assert [row["epoch"] for row in rows] == [2]
        assert path.read_text() == '{"epoch": 2}\n'
        assert said.endswith(f"the file as it was is now {away}.")
        assert (tmp_path / away).read_text() == bad


def test_a_journal_goes_on(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(GOOD + '{"epoch": 3}\n{"epo')
    journal = Journal(tmp_path)
    rows, said = journal.resume(2)
    assert (len(rows), said) == (2, "")
    journal.append([{"epoch": 3}])
    assert path.read_text() == journal.text == GOOD + '{"epoch": 3}\n'
    assert Journal(tmp_path).resume(3, sealed=journal.text)[1] == ""
    path.write_text(GOOD)
    rows, said = Journal(tmp_path).resume(3, sealed=journal.text)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert "is damaged in line 3: it is restored" in said
    assert path.read_text() == journal.text


def test_a_line_of_a_run():
    assert list(parse('{"epoch": 1}')) == [{"epoch": 1}]
    with pytest.raises(ValueError, match="not a row"):
        list(parse('{"step": 1}'))
