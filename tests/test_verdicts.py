"""The page of verdicts: up to date, complete, with commands that exist."""

import dataclasses
import re
from pathlib import Path

import pytest

from tests.benchmarks import verdicts

ROOT = Path(__file__).parents[1]
GOOD = verdicts.Verdict("a", "b", "1", "1.1", "[1, 1.2]", 3, "holds", "ncjax train")


def test_the_page_is_that_of_the_stored_verdicts():
    assert verdicts.PAGE.read_text() == verdicts.page(), (
        "run: python -m tests.benchmarks.verdicts"
    )


@pytest.mark.parametrize("study", verdicts.studies(), ids=lambda path: path.name)
def test_a_study_has_a_readme_and_commands_that_exist(study):
    assert (study / "README.md").is_file()
    for verdict in verdicts.read(study):
        for path in re.findall(r"(?:configs|launch)/\w+\.\w+", verdict.command):
            assert (ROOT / path).is_file(), path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict": "maybe"}, "Unknown verdict 'maybe'. Available: holds, does not"),
        ({"command": ""}, "has no command"),
        ({"interval": ""}, "3 seeds and no interval"),
    ],
)
def test_a_verdict_without_its_parts_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(GOOD, **change)
