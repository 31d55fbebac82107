"""Command lines and config files that hold anything: refused in one paragraph, or run.

A run is stopped where it would begin to write.
"""

import contextlib
import io
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from jaxtyping import TypeCheckError

import ncjax
from ncjax.cli import program
from ncjax.options import flat
from ncjax.ufm.run.fields import default as ufm_default

CHECKS = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
FEW = settings(
    max_examples=25, deadline=None, database=None, suppress_health_check=CHECKS
)
MANY = settings(FEW, max_examples=350)


class Ran(BaseException):
    """A command has come to where it writes, or has measured."""


@pytest.fixture(autouse=True)
def _stopped(monkeypatch):
    def stop(*_, **__):
        raise Ran

    monkeypatch.setattr("ncjax.training.loop.Record", stop)
    monkeypatch.setattr("ncjax.sweeps.run.locked", stop)
    monkeypatch.setattr("ncjax.runs.workdir.claim", stop)
    monkeypatch.setattr("ncjax.cli.measure.measure", stop)


def check(arguments, files=None):
    """Runs a command in a new folder: it runs, or is refused and writes nothing."""
    before, out, err = os.getcwd(), io.StringIO(), io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for name, content in (files or {}).items():
                Path(name).write_bytes(content)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                status = program.main(arguments)
        except Ran:
            status = None
        except TypeCheckError as error:
            # Tests alone check types; a config may have an int in the place of a float.
            if not re.search(r"Expected type: (float|tuple\[int \| str)", str(error)):
                raise
            status = None
        finally:
            left = sorted(os.listdir(folder))
            os.chdir(before)
    assert left == sorted(files or {})
    assert status in (None, 0, 2), status
    if status == 2:
        assert out.getvalue() == ""
        lines = [x for x in err.getvalue().splitlines() if not x.startswith("Loading")]
        told = [line for line in lines if line.startswith("error: ")]
        assert len(told) == 1, lines
        assert told == lines[-1:]
        assert not re.search("Traceback", told[0])
        assert len(told[0]) < 5000


FIELDS = sorted(flat(ncjax.default().to_dict()))
UFM_FIELDS = sorted(flat(ufm_default().to_dict()))
SECTIONS = sorted({name.partition(".")[0] for name in FIELDS})
VALUES = st.sampled_from(
    [
        *(
            "",
            "0",
            "-1",
            "1",
            "2",
            "1e14",
            "1e-30",
            "nan",
            "inf",
            "-inf",
            "1e400",
            "None",
        ),
        *(
            "True",
            "false",
            "()",
            "(1,)",
            "(0,)",
            "('a',)",
            "[1]",
            "{}",
            "(1, 'a')",
            "((1,),)",
        ),
        *(
            "100000000000000",
            "9" * 30,
            "9" * 5000,
            "x" * 5000,
            "mse",
            "adam",
            "cifar10",
        ),
        *(
            "synthetic",
            "cosine",
            "bfloat16",
            "__import__('os')",
            "'",
            '"',
            "\\",
            "%s",
            "é💥",
        ),
        *(
            "0x10",
            "1_000",
            "1,2",
            "..",
            "/",
            "/dev/null",
            "a=b",
            "--",
            "\n",
            " ",
            "{0}",
        ),
    ]
)
WORDS = VALUES | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20
)


def overrides(fields):
    names = st.sampled_from(fields) | st.sampled_from(
        ["", ".", "loss..name", "no.field"]
    )
    return st.builds("--config.{}={}".format, names, WORDS)


SWEEPS = st.builds("--sweep.{}={}".format, st.sampled_from(FIELDS), WORDS)
RANGES = st.sampled_from(
    ["0..1:3", "1e-3..1e-1:2", "lin:0..1:2", "1..", "..:9", ",,", "1,2"]
)
FILES = {
    "x.npy": lambda: save(np.save, np.ones((6, 2))),
    "y.npy": lambda: save(np.save, np.arange(6) % 2),
    "t.csv": lambda: b"a,b,label\n1,2,0\n2,1,1\n",
    "bad.npz": lambda: b"PK\x03\x04",
    "empty.txt": lambda: b"",
}


def save(function, array):
    function(file := io.BytesIO(), array)
    return file.getvalue()


CONTENTS = {name: make() for name, make in FILES.items()}
MEASURE = st.builds(
    "--{}={}".format,
    st.sampled_from(
        [
            *("labels", "classifier", "bias", "test-features", "test-labels", "json"),
            *("ood-features", "preset", "figure", "batch-size", "num-classes", "pool"),
            *(
                "class-names",
                "features-key",
                "labels-key",
                "classifier-key",
                "checkpoint",
            ),
            *("one-vs-rest", "register", "nothing"),
        ]
    ),
    st.sampled_from(sorted(CONTENTS)) | WORDS,
)
LINES = {
    "train": st.lists(overrides(FIELDS), min_size=1, max_size=3).map(
        lambda more: ["train", "--config=digits:smoke", *more]
    ),
    "words": st.tuples(
        st.sampled_from(["train", "ufm", "compare", "prepare", "measure", "x"]),
        st.lists(WORDS, min_size=1, max_size=3),
    ).map(lambda line: [line[0], *line[1]]),
    "sweeps": st.lists(
        SWEEPS | st.builds("--sweep.{}={}".format, st.sampled_from(FIELDS), RANGES),
        min_size=1,
        max_size=2,
    ).map(lambda more: ["train", "--config=digits:smoke", *more]),
    "ufm": st.lists(overrides(UFM_FIELDS), min_size=1, max_size=3).map(
        lambda more: ["ufm", "--config=ufm_ce:smoke", *more]
    ),
    "measure": st.lists(MEASURE, max_size=4).map(
        lambda more: ["measure", "x.npy", "--labels=y.npy", *more]
    ),
}
EXPRESSIONS = st.sampled_from(
    [
        *(
            "None",
            "0",
            "-1",
            "1",
            "10**30",
            "float('nan')",
            "float('inf')",
            "True",
            "''",
        ),
        *("'mse'", "()", "(1,)", "[1]", "{}", "{'a': 1}", "b'x'", "1j", "object()"),
        *("lambda: 0", "int", "set()", "__import__('numpy').ones(3)", "..."),
        *("__import__('numpy').float32(1)", "'x' * 10**5", "c", "type(c)({'a': 1})"),
    ]
)
STATEMENTS = (
    st.builds("c.{} = {}".format, st.sampled_from(FIELDS + SECTIONS), EXPRESSIONS)
    | st.builds("del c.{}".format, st.sampled_from(FIELDS + SECTIONS))
    | st.builds("c['{}'] = {}".format, WORDS.map(repr), EXPRESSIONS)
    | st.builds("return {}".format, EXPRESSIONS)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)


@st.composite
def config_files(draw):
    start = draw(st.sampled_from(["", ".unlock()", ".copy_and_resolve_references()"]))
    lines = draw(st.lists(STATEMENTS, min_size=1, max_size=3))
    body = "".join(f"    {line}\n" for line in lines)
    return (
        f"import ncjax\ndef get_config(preset=''):\n    c = ncjax.default(){start}\n"
        f"    c.num_epochs = 2\n{body}    return c\n"
    ).encode()


def check_line(arguments):
    check(arguments, CONTENTS if arguments[0] == "measure" else None)


def check_config(content):
    check(["train", "--config=mine.py"], {"mine.py": content})


@FEW
@given(st.one_of(*LINES.values()))
def test_command_lines(arguments):
    check_line(arguments)


@FEW
@given(config_files())
def test_config_files(content):
    check_config(content)


@pytest.mark.slow
@pytest.mark.parametrize("kind", LINES)
def test_many_command_lines(kind):
    MANY(given(LINES[kind])(check_line))()


@pytest.mark.slow
def test_many_config_files():
    MANY(given(config_files())(check_config))()
