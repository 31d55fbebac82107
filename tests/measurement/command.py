"""The command line `ncjax measure`, called in this process."""

import json

from ncjax.cli.measure import main


def run(arguments, capsys):
    status = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def measured(arguments, tmp_path, capsys):
    """What the command line writes as JSON."""
    status, _, error = run([*arguments, "--json", tmp_path / "out.json"], capsys)
    assert status == 0, error
    return json.loads((tmp_path / "out.json").read_text())
