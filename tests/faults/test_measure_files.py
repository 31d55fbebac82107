"""`ncjax measure` of files that lie about their size, unpack to much, or never end.

Each is refused in a second and a gigabyte, in one paragraph.
"""

import json
import os
import re
import socket
import zipfile
import zlib

import numpy as np
import pytest

from ncjax.cli.measure import main
from tests.faults.limits import assert_refused, cheap

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 8)).astype(np.float32)
Y = np.arange(200) % 5


@pytest.fixture(scope="module", autouse=True)
def _started():
    """The first command also loads what each needs."""
    main(["nowhere.npy"])


def npy(path, shape, there=64, dtype="<f4", fortran=False):
    """A .npy file whose header says anything; `there` bytes follow it."""
    header = f"{{'descr': {dtype!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    path.write_bytes(start + header.encode() + bytes(there))
    return path


def bomb(path, gigabytes, **others):
    """An .npz whose member `features` unpacks to zeros of 1000 times its size."""
    block = 2**26
    packer = zlib.compressobj(9, wbits=-15)
    zeros = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    blocks = gigabytes * 10**9 // block
    npy(head := path.with_suffix(".npy"), (blocks * block // 32, 8), 0)
    first = packer.compress(head.read_bytes()) + packer.flush(zlib.Z_FULL_FLUSH)
    data = first + blocks * zeros + packer.flush()
    np.savez(path, **others)
    with zipfile.ZipFile(path, "a") as archive:
        member = zipfile.ZipInfo("features.npy")
        member.compress_type, member.CRC = zipfile.ZIP_DEFLATED, 0
        member.file_size = head.stat().st_size + blocks * block
        member.compress_size = len(data)
        archive.fp.seek(archive.start_dir)
        member.header_offset = archive.fp.tell()
        archive.fp.write(member.FileHeader(zip64=True) + data)
        archive.filelist.append(member)
        archive.start_dir, archive._didModify = archive.fp.tell(), True
    head.unlink()
    return path


def safetensors(path, header, there=6400):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(there))
    return path


def tensor(shape, begin=0, end=6400, dtype="F32"):
    return {"features": {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}}


def npz(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


def damaged(path, at):
    """A compressed file of which bytes somewhere are others."""
    npz(path, features=RNG.normal(size=(200, 8)), labels=Y)
    content = bytearray(path.read_bytes())
    place = int(at * len(content))
    content[place : place + 40] = bytes(range(40))
    path.write_bytes(content)
    return path


def labelled(folder, labels, *more):
    """Features in one file and these labels in another."""
    np.save(folder / "x.npy", X)
    if isinstance(labels, str):
        (folder / "y.txt").write_text(labels)
        return [folder / "x.npy", "--labels", folder / "y.txt", *more]
    np.save(folder / "y.npy", labels)
    return [folder / "x.npy", "--labels", folder / "y.npy", *more]


def wide(path, columns, rows=3):
    """A table of very many columns, with or without names."""
    path.write_text(("0," * (columns - 1) + "1\n") * rows)
    return path


def piped(path):
    os.mkfifo(path)
    return path


def foldered(path):
    path.mkdir()
    return path


def linked(path, to):
    path.symlink_to(to)
    return path


def bound(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))
    return path


def emptied(path):
    path.touch()
    return path


def sparse(path):
    with open(path, "wb") as file:
        file.truncate(10**11)
    return path


HUGE = 10**12
# What it is: a function of a folder that gives the arguments -> what the message says.
CASES = {
    "shape larger than the file": (lambda f: [npy(f / "x.npy", (HUGE, 8))], "cut off"),
    "shape beyond all numbers": (
        lambda f: [npy(f / "x.npy", (10**30, 8))],
        "cut off|Cannot read",
    ),
    "negative shape": (lambda f: [npy(f / "x.npy", (-5, 8))], "is damaged"),
    "shape of a bool": (lambda f: [npy(f / "x.npy", (True, 8))], "damaged|Cannot"),
    "numbers of no bytes": (
        lambda f: [npy(f / "x.npy", (HUGE, 8), dtype="|S0")],
        "is damaged",
    ),
    "rows of width 0": (
        lambda f: [
            npy(f / "x.npy", (HUGE, 0)),
            "--labels",
            npy(f / "y.npy", (HUGE, 0)),
        ],
        "",
    ),
    "labels of width 0": (
        lambda f: [*labelled(f, "")[:1], "--labels", npy(f / "y.npy", (HUGE, 0))],
        "",
    ),
    "no rows": (lambda f: [npy(f / "x.npy", (0, 10**18)), "--labels", f / "x.npy"], ""),
    "header of nothing": (lambda f: [sparse(f / "x.npy")], "Cannot read"),
    "npz bomb": (
        lambda f: [bomb(f / "x.npz", 2, labels=Y)],
        "60,817,408 rows, but there are 200 labels",
    ),
    "npz bomb as labels": (
        lambda f: labelled(
            f, "", "--labels", bomb(f / "y.npz", 2), "--labels-key", "features"
        ),
        "rows, but there are|would unpack",
    ),
    "npz bomb as classifier": (
        lambda f: [*labelled(f, Y), "--classifier", bomb(f / "w.npz", 2)],
        "would unpack",
    ),
    "npz bomb as outliers": (
        lambda f: [*labelled(f, Y), "--ood-features", bomb(f / "o.npz", 2)],
        "would unpack",
    ),
    "zip of zeros": (lambda f: [sparse(f / "x.npz")], "Cannot read"),
    "safetensors, shape": (
        lambda f: [safetensors(f / "x.safetensors", tensor([HUGE, 8]))],
        "is damaged: it lies at",
    ),
    "safetensors, place": (
        lambda f: [
            safetensors(f / "x.safetensors", tensor([200, 8], HUGE, HUGE + 6400))
        ],
        "is cut off",
    ),
    "safetensors, place below 0": (
        lambda f: [safetensors(f / "x.safetensors", tensor([200, 8], -8, 6392))],
        "is damaged",
    ),
    "safetensors, places of text": (
        lambda f: [safetensors(f / "x.safetensors", tensor([200, 8], "0", "6400"))],
        "is damaged",
    ),
    "safetensors, broken shape": (
        lambda f: [safetensors(f / "x.safetensors", tensor([200.5, "8"]))],
        "is damaged",
    ),
    "safetensors, no shape": (
        lambda f: [safetensors(f / "x.safetensors", tensor(None))],
        "is damaged|Cannot read",
    ),
    "safetensors, a list": (
        lambda f: [safetensors(f / "x.safetensors", [1])],
        "is damaged|no .safetensors|Cannot read",
    ),
    "safetensors, nested": (
        lambda f: [safetensors(f / "x.safetensors", b"[" * 10**5 + b"]" * 10**5)],
        "Cannot read|no .safetensors",
    ),
    "safetensors, length": (lambda f: [sparse(f / "x.safetensors")], "no .safetensors"),
    "one large label": (
        lambda f: labelled(f, np.where(np.arange(200) == 7, 2147483646, Y)),
        "2,147,483,647 classes by the largest label, but only 200 rows",
    ),
    "one label beyond all": (
        lambda f: labelled(f, np.uint64(Y) + 2**63),
        "out of range",
    ),
    "labels beyond all in text": (
        lambda f: labelled(f, "1e300\n" + "0\n" * 199),
        "out of range",
    ),
    "infinite labels": (lambda f: labelled(f, "inf\n" + "0\n" * 199), "out of range"),
    "no labels": (lambda f: labelled(f, "nan\n" + "0\n" * 199), "hold nan"),
    "long label": (
        lambda f: labelled(f, "a\n" * 10**5 + "x" * 10**6),
        "a label of 1,000,000 characters",
    ),
    "longer label": (lambda f: labelled(f, "x" * 10**7), "a line of more than"),
    "many classes": (
        lambda f: labelled(f, Y, "--num-classes", 10**9),
        "1,000,000,000 classes by --num-classes, but only 200 rows",
    ),
    "many classes, by a float": (
        lambda f: labelled(f, Y, "--num-classes=1e9"),
        "invalid int value: '1e9'",
    ),
    "many classes, very many": (
        lambda f: labelled(f, Y, "--num-classes", 10**30),
        "classes by --num-classes",
    ),
    "large batch": (lambda f: labelled(f, Y[:9], "--batch-size", 10**18), "rows, but"),
    "wide table": (
        lambda f: [wide(f / "x.csv", 10**6)],
        "more than 131,072 columns: save",
    ),
    "wider table": (lambda f: [wide(f / "x.csv", 10**7, 1)], "line of more than"),
    "labels in a wide table": (
        lambda f: [*labelled(f, "")[:1], "--labels", wide(f / "y.csv", 10**6)],
        "more than 131,072 columns: save",
    ),
    "zeros as text": (lambda f: [sparse(f / "x.csv")], "line of more than"),
    "empty": (lambda f: [emptied(f / "x.csv")], "is empty"),
    "folder": (
        lambda f: [foldered(f / "x.npy")],
        "fol",
    ),
    "pipe": (lambda f: [piped(f / "x.npy")], "is a pipe; a file is needed"),
    "pipe of labels": (
        lambda f: [*labelled(f, "")[:1], "--labels", piped(f / "z.txt")],
        "is a pipe; a file is needed",
    ),
    "pipe of names": (
        lambda f: labelled(f, Y, "--class-names", piped(f / "names")),
        "is a pipe; a file is needed",
    ),
    "names without end": (
        lambda f: labelled(f, Y, "--class-names", "/dev/zero"),
        "is a device; a file is needed",
    ),
    "large file of names": (
        lambda f: labelled(f, Y, "--class-names", sparse(f / "names")),
        "100,000,000,000 bytes; text of",
    ),
    "socket": (lambda f: [bound(f / "x.npz")], "is a socket; a file is needed"),
    "device": (
        lambda f: [linked(f / "x.npy", "/dev/zero")],
        "is a device; a file is needed",
    ),
    "link to itself": (
        lambda f: [linked(f / "x.npy", f / "x.npy")],
        "Cannot read",
    ),
    "parquet": (lambda f: [sparse(f / "x.parquet")], "Cannot read"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_at_once(case, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, message = CASES[case]
    arguments = list(map(str, make(tmp_path)))
    before = sorted(tmp_path.iterdir())
    with cheap():
        status = main([*arguments, "--json", "out.json"])
    said = capsys.readouterr()
    assert_refused(status, said)
    assert re.search(message, said.err), said.err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("at", [0.1, 0.3, 0.5, 0.7, 0.85, 0.95])
def test_damaged_archives(at, tmp_path, capsys):
    """A changed byte may only be found where the file ends."""
    with cheap(seconds=4):
        status = main([str(damaged(tmp_path / "x.npz", at))])
    assert_refused(status, capsys.readouterr())


@pytest.mark.slow
def test_labels_of_a_large_table_of_few_rows_are_read_in_bounded_memory(tmp_path):
    """The lines of a wide table are not all held, though there are few of them."""
    from ncjax.measurement.readers import open_arrays

    line = "1," + "0.12345678," * 10**5 + "0\n"
    with open(tmp_path / "x.csv", "w") as file:
        file.writelines(line for _ in range(200))  # 220 MB
    with cheap(seconds=60, gigabytes=0.6):
        labels = open_arrays(tmp_path / "x.csv")["0"].load()
    assert labels.tolist() == [1] * 200
