"""The folder of a sweep: what is refused, and that its programs stay as they were."""

import json

import pytest

from ncjax.config import default, validate
from ncjax.io import plain
from ncjax.runs.workdir import WorkdirError
from ncjax.sweeps.folder import as_before, claim_sweep
from ncjax.sweeps.plan import members, programs, read_fields

FIELDS = {"optimizer.learning_rate": "1e-3,1e-2,1e-1,1"}


def planned():
    config = default()
    fields = read_fields(config, FIELDS)
    config = validate(config)
    return config, fields, programs(members(config, fields, ()), fields)


def test_programs_are_those_of_the_first_time(tmp_path):
    """As many networks as fitted then train together, though now all would fit."""
    config, fields, (program,) = planned()
    first = program.split(2)
    made = claim_sweep(tmp_path, config, fields, (), first)
    found = claim_sweep(tmp_path, config, fields, (), [program])
    assert found["programs"] == plain(made["programs"])
    names = [[m.name for m in part.members] for part in first]
    again = as_before(found["programs"], [program])
    assert [[m.name for m in part.members] for part in again] == names
    assert len(names) == 2


def test_another_sweep_is_refused(tmp_path):
    config, fields, parts = planned()
    claim_sweep(tmp_path, config, fields, (), parts)
    before = (tmp_path / "sweep.json").read_text()
    other = {"optimizer.learning_rate": [1e-3]}
    with pytest.raises(WorkdirError, match="another sweep: its fields were"):
        claim_sweep(tmp_path, config, other, (), parts)
    assert (tmp_path / "sweep.json").read_text() == before


@pytest.mark.parametrize("text", ["", "[]", json.dumps({"fields": {}})])
def test_a_mark_that_cannot_be_read_is_an_error(tmp_path, text):
    config, fields, parts = planned()
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(WorkdirError, match=r"sweep\.json cannot be read"):
        claim_sweep(tmp_path, config, fields, (), parts)
