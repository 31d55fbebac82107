"""Folders of runs: older, missing, unfinished, damaged."""

import json

import pytest

from ncjax.comparison import CompareError, compare
from ncjax.config import default, resolved
from ncjax.config.stored import complete
from tests.comparison.folders import row, write


def test_a_run_of_an_older_version_has_todays_defaults():
    new = json.loads(json.dumps(resolved(default())))
    old = json.loads(json.dumps(new))
    del old["eval"]["pool"], old["data"]["long_tail"]
    assert complete(old) == complete(new)
    alien = {"loss": {"name": "alien", "x": 1}}
    assert {k for k in complete(alien) if k.startswith("loss")} == {
        "loss.name",
        "loss.x",
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: [p / "nowhere"], "There is no folder .*nowhere"),
        (lambda p: [f"{p}/no*"], "No folder of a run matches"),
        (lambda p: [p], "holds none: no config.json"),
        (lambda p: [write(p / "a", [row(1)])], "Nothing to compare: .*only run"),
        (lambda p: [write(p / "a", [row(1)]) / "config.json"], "is a file, not"),
        (
            lambda p: [write(p / "a", [row(1)]), write(p / "b", [], seed=1)],
            "b is unfinished: no epoch has been measured yet",
        ),
        (
            lambda p: [write(p / "a", [row(1)]), write(p / "b", [row(1)])],
            "a and .*b are the same run twice: both are cross_entropy with seed 0",
        ),
        (
            lambda p: [
                write(p / str(i), [{"epoch": 1, "x/y": 1.0}], seed=i) for i in (0, 1)
            ],
            "none of the usual metrics. Choose among theirs: .*x/y",
        ),
    ],
)
def test_bad_runs(tmp_path, make, message):
    with pytest.raises(CompareError, match=message):
        compare(make(tmp_path))


def test_damaged_runs(runs):
    (runs / "ce0" / "config.json").write_text("{")
    with pytest.raises(CompareError, match="ce0 is not one of ncjax, or is damaged"):
        compare(runs)
    (runs / "ce0" / "config.json").write_text("[1]")
    with pytest.raises(CompareError, match="ce0 is not one of ncjax"):
        compare(runs)


def test_a_last_line_cut_short_is_left_out(runs):
    with (runs / "ce0" / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 31, "test/err')
    assert compare(runs).groups[0].runs[0].last == 30
