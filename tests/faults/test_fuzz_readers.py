"""Readers of files that hold anything: read, or refused in one line, fast and small.

The inputs are whole files with a few changes, as damage and mistakes make them, and
bytes that never were a file.
"""

import io
import itertools
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from ncjax.hierarchy import HierarchyError, read
from ncjax.measurement.data import Data
from ncjax.measurement.readers import find, open_arrays
from ncjax.options import InputError
from tests.faults.limits import peak

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype(np.float32)
Y = np.arange(12) % 3
SECONDS, BYTES = 5, 1e9
FEW = settings(max_examples=25, deadline=None, database=None)
MANY = settings(
    max_examples=300,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def bytes_of(save, *arrays, **named):
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def safetensors():
    entries, data = {}, b""
    for name, array, kind in (("features", X, "F32"), ("labels", Y, "I64")):
        place = [len(data), len(data) + array.nbytes]
        entries[name] = {"dtype": kind, "shape": array.shape, "data_offsets": place}
        data += array.tobytes()
    header = json.dumps(entries).encode()
    return len(header).to_bytes(8, "little") + header + data


def table(delimiter):
    rows = (delimiter.join(map(str, (*x, y))) for x, y in zip(X, Y, strict=True))
    return "\n".join([delimiter.join("abc") + delimiter + "label", *rows]).encode()


TREE = {"root": {"animal": ["cat", "dog"], "car": None}}
RECORD = {"name": "root", "children": [{"name": "a", "children": ["b", 1]}, "c"]}
LINKS = {"nodes": [{"id": 0}, {"id": 1}], "links": [{"source": 0, "target": 1}]}
PARENTS = [{"name": "cat", "parent": "animal"}, {"name": "animal", "parent": None}]
ARRAYS = {
    ".npy": [
        bytes_of(np.save, X),
        bytes_of(np.save, np.asfortranarray(X)),
        bytes_of(np.save, X.astype("<U9")),
    ],
    ".npz": [
        bytes_of(np.savez, features=X, labels=Y),
        bytes_of(np.savez_compressed, features=X, labels=Y),
    ],
    ".safetensors": [safetensors()],
    ".csv": [table(","), table(";"), b"0,1\n1,0\n"],
    ".txt": [b"\n".join(b"%d" % y for y in Y)],
}
TREES = {
    ".json": [json.dumps(x).encode() for x in (TREE, RECORD, LINKS, PARENTS, [1, [2]])],
    ".csv": [b"child,parent\ncat,animal\ndog,animal\nanimal,\n", b"a,b\nc,b\n"],
    ".nwk": [b"((cat:1,'a dog')animal[x]:1e3,car)root;"],
}
# What is put into files: marks of the formats, and numbers that are too large.
PIECES = st.sampled_from(
    [
        *(b"\0", b"\xff", b"\n", b"\r", b",", b";", b"'", b'"', b"(", b")", b"[", b"]"),
        *(
            b"{",
            b"}",
            b":",
            b"#",
            b"-",
            b"e9",
            b"nan",
            b"inf",
            b"1e400",
            b"null",
            b"-1",
        ),
        *(b"9" * 30, b"9" * 5000, b"[" * 2000, b"(" * 2000, b"x" * 2000, b"\xe2\x82"),
        *(
            b"\x93NUMPY\x02\0",
            b"PK\x03\x04",
            b"'|O'",
            b"'|V0'",
            b"99999999999",
            b"True",
        ),
        *(b"\xff" * 8, bytes(8), b"\x7f" + bytes(3), b"\xef\xbb\xbf", b"\xff\xfe"),
    ]
)


@st.composite
def files(draw, kinds):
    """An ending and the bytes of such a file."""
    kind = draw(st.sampled_from(sorted(kinds)))
    if draw(st.integers(0, 9)) == 0:
        return kind, draw(st.binary(max_size=200))
    content = draw(st.sampled_from(kinds[kind]))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        cut = draw(st.sampled_from([0, 0, 1, 2, 8, 50, len(content)]))
        piece = draw(PIECES | st.binary(max_size=4))
        content = content[:at] + piece + content[at + cut :]
    return kind, content


def tried(function, kind, content, refusals):
    """Whether a file is read; else it is refused in a line.  Both are cheap."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{kind}"
        path.write_bytes(content)
        began, before = time.process_time(), peak()
        try:
            function(path)
            done = True
        except refusals as error:
            message, done = str(error), False
            assert 0 < len(message) < 1000
            assert "\n" not in message
            assert "Traceback" not in message
        assert time.process_time() - began < SECONDS
        assert peak() - before < BYTES
        assert os.listdir(folder) == [path.name]
        return done


def read_arrays(path):
    """What `ncjax measure` does before it computes, and the first batches."""
    arrays = open_arrays(path)
    features = find(arrays, "features", path)
    labels = find(arrays, "labels", path, only=False)
    find(arrays, "classifier", path, only=False)
    if features is None:
        raise InputError("There are no features.")
    labels = labels if labels is not None else Y
    about = {"pool": "flatten", "names": None, "num_classes": None, "batch_size": None}
    data = Data(features, labels, "features", progress=False, **about)
    list(itertools.islice(data.read("batches"), 3))


def check_arrays(file):
    tried(read_arrays, *file, InputError)


def check_trees(file):
    tried(read, *file, HierarchyError)


def test_whole_files_are_read():
    for kind, contents in ARRAYS.items():
        for content in contents[:2]:
            assert tried(open_arrays, kind, content, InputError)
    for kind, contents in TREES.items():
        assert tried(read, kind, contents[0], HierarchyError)


@FEW
@given(files(ARRAYS))
def test_files_of_arrays(file):
    check_arrays(file)


@FEW
@given(files(TREES))
def test_files_of_trees(file):
    check_trees(file)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ARRAYS)
def test_many_files_of_arrays(kind):
    MANY(given(files({kind: ARRAYS[kind]}))(check_arrays))()


@pytest.mark.slow
@pytest.mark.parametrize("kind", TREES)
def test_many_files_of_trees(kind):
    MANY(given(files({kind: TREES[kind]}))(check_trees))()
