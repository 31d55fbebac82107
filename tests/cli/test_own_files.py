"""Files of a user's that are run, `--config=FILE` and `--register=FILE`, with mistakes.

Whatever they do: one paragraph that names the file and the line, exit status 2, and
nothing is written.
"""

import re

import pytest

from ncjax.cli import program

DEEP = f"def get_config(preset=''):\n    return {'(' * 10**4}1{')' * 10**4}\n"
# What stands in the file -> what the message must say, in which line.
FILES = {
    "a syntax error": ("x = 1\ndef get_config(:\n", "SyntaxError: .*", 2),
    "a tab too many": ("x = 1\n\tx = 2\n", "IndentationError: .*", 2),
    "an error": ("\n\n1 / 0\n", "ZeroDivisionError: .*", 3),
    "an error in a library": ("import json\njson.loads('x')\n", "Expecting value.*", 2),
    "an error of one's own": (
        "class Bad(BaseException): pass\n\nraise Bad('one\\ntwo')\n",
        "Bad: one two",
        3,
    ),
    "an error that has no text": (
        "class Bad(Exception):\n    def __str__(self): 1 / 0\nraise Bad\n",
        "Bad: .*",
        3,
    ),
    "an error with a long text": ("raise ValueError('long ' * 10**5)", ".*", 1),
    "an exit": ("import sys\nsys.exit(3)\n", r"ends the program, by sys.exit\(3\)", 2),
    "a good exit": ("raise SystemExit\n", r"ends the program, by sys.exit\(None\)", 1),
    "a missing module": ("\nimport nowhere_to_be_found\n", "No module named.*", 2),
    "no function": ("x = 1\n", r"must define a function get_config\(.*", 1),
    "nothing": ("", r"must define a function get_config\(.*", 1),
    "no function of that name": ("get_config = 1\n", "must define a function.*", 1),
    "too many brackets": (DEEP, "(MemoryError|RecursionError|SyntaxError).*", None),
    "zeros": ("x = 1\0\n", "is no text", 1),
    "other bytes": (b"x = 1\ny = '\xff'\n", ".*utf-8.*", None),
    "a program": (bytes(range(256)) * 99, ".*", None),
    "an archive": (b"PK\x03\x04" + bytes(99), "is no text", 1),
    "no encoding": ("# coding: klingon\n", "SyntaxError: .*klingon.*", None),
}
FUNCTIONS = {
    "an error": ("1 / 0", "ZeroDivisionError: .*", 4),
    "an exit": ("raise SystemExit(3)", r"ends the program, by sys.exit\(3\)", 4),
    "no end": ("return get_config(preset)", "RecursionError: .*", 4),
    "nothing": ("pass", "its get_config returned None, but must.*", 3),
    "a dict": ("return {'a': 1}", r"its get_config returned \{'a': 1\}, but must.*", 3),
    "itself": ("c.unlock(); c.loss = c; return c", "RecursionError: .*", None),
    "much": ("return 'x' * 10**6", "its get_config returned 'xxx.*", 3),
    "a mistake of ours": ("c.optimizer.momentun = 1\n    return c", ".*momentun.*", 4),
}


def refused(arguments, capsys, folder, monkeypatch):
    """The message of a command that is refused in an empty folder."""
    monkeypatch.chdir(folder)
    assert program.main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert list(folder.iterdir()) == []
    assert re.fullmatch("error: [^\n]*\n", said.err)
    assert len(said.err) < 4100
    return said.err


@pytest.mark.parametrize("command", ["train --config", "ufm --config"])
@pytest.mark.parametrize("what", FILES)
def test_a_config_file(what, command, tmp_path, capsys, monkeypatch):
    check_file(FILES[what], command, "config file", tmp_path, capsys, monkeypatch)


@pytest.mark.parametrize("command", ["compare run --register", "measure --register"])
@pytest.mark.parametrize("what", [x for x in FILES if not re.match("no(thing| f)", x)])
def test_a_file_that_registers(what, command, tmp_path, capsys, monkeypatch):
    given = "file given by --register"
    check_file(FILES[what], command, given, tmp_path, capsys, monkeypatch)


def check_file(case, command, given, tmp_path, capsys, monkeypatch):
    text, message, line = case
    file, folder = tmp_path / "mine.py", tmp_path / "empty"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    folder.mkdir()
    said = refused(f"{command}={file}".split(), capsys, folder, monkeypatch)
    assert re.search(f"The {given} cannot be used: .*{message}", said)
    where = rf"{re.escape(str(file))}\"?, line {line or r'[0-9]+'}\b"
    assert re.search(where, said), said


@pytest.mark.parametrize("what", FUNCTIONS)
def test_the_function_of_a_config_file(what, tmp_path, capsys, monkeypatch):
    body, message, line = FUNCTIONS[what]
    text = (
        f"import ncjax\nc = ncjax.default()\ndef get_config(preset=''):\n    {body}\n"
    )
    case = text, message, line
    check_file(case, "train --config", "config file", tmp_path, capsys, monkeypatch)


def test_a_preset_that_the_function_does_not_take(tmp_path, capsys, monkeypatch):
    file, folder = tmp_path / "mine.py", tmp_path / "empty"
    file.write_text("\ndef get_config():\n    pass\n")
    folder.mkdir()
    flag = f"--config={file}:smoke"
    said = refused(["train", flag], capsys, folder, monkeypatch)
    assert "takes 0 positional arguments but 1 was given" in said
    assert f'(File "{file}", line 1)' in said


def test_a_mistake_in_a_module_beside_it(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "empty"
    folder.mkdir()
    (tmp_path / "beside_mine.py").write_text("\n\nx = {}['key']\n")
    (tmp_path / "mine.py").write_text("import beside_mine\n")
    flag = f"--config={tmp_path / 'mine.py'}"
    said = refused(["train", flag], capsys, folder, monkeypatch)
    assert f"KeyError: 'key' (File \"{tmp_path / 'beside_mine.py'}\", line 3)" in said
