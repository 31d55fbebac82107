"""Files of every format."""

import sys

import ml_dtypes
import numpy as np
import pytest

from ncjax.measurement import measure
from tests.measurement.command import measured, run
from tests.measurement.features import FEATURES, LABELS
from tests.measurement.files import write


@pytest.mark.parametrize(
    "kind",
    [
        *("npy", "fortran", "txt", "npz", "compressed", "safetensors", "torch"),
        *("csv", "parquet", "lists"),
    ],
)
def test_formats(kind, plain, tmp_path, capsys):
    arguments = write(tmp_path, kind)
    data = measured([*arguments, "--batch-size", 600], tmp_path, capsys)
    for name, value in plain.to_dict().items():
        if name != "measured":
            assert data[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    assert data["measured"]["source"] == str(arguments[0])
    assert data["measured"]["dtype"] == "float32"


@pytest.mark.parametrize(
    "kind", ["npy", "fortran", "compressed", "safetensors", "csv", "lists"]
)
def test_formats_in_chunks(kind, tmp_path):
    """Readers give the rows in order, no more at a time than asked for."""
    from ncjax.measurement.readers import find, open_arrays

    path = write(tmp_path, kind)[0]
    chunks = list(find(open_arrays(path), "features", path).chunks(128))
    assert max(map(len, chunks)) == 128
    np.testing.assert_allclose(np.concatenate(chunks), FEATURES, rtol=1e-6)


def test_bfloat16_files(tmp_path, capsys, few):
    numpy = pytest.importorskip("safetensors.numpy")
    half = FEATURES.astype(ml_dtypes.bfloat16)
    expected = measure(half, LABELS).values
    numpy.save_file({"x": half, "y": LABELS}, tmp_path / "half.safetensors")
    np.save(tmp_path / "half.npy", half)
    np.save(tmp_path / "y.npy", LABELS)
    for arguments in (
        [tmp_path / "half.safetensors"],
        [tmp_path / "half.npy", "--labels", tmp_path / "y.npy"],
    ):
        data = measured(arguments, tmp_path, capsys)
        assert data["nc1"] == pytest.approx(expected["nc1"], rel=1e-5)
        assert data["measured"]["dtype"] == "bfloat16"


def test_tables_leave_out_what_is_no_feature(tmp_path, capsys, few):
    lines = [",path,label,a,b,c"]
    rows = zip(LABELS, FEATURES[:, :3], strict=True)
    lines += [
        f'{i},"f,{i}.png",{y},{a},{b},{c}' for i, (y, (a, b, c)) in enumerate(rows)
    ]
    path = tmp_path / "x.csv"
    path.write_text("\n".join(lines) + "\n")
    data = measured([path], tmp_path, capsys)
    assert data["measured"]["d"] == 3
    assert data["nc1"] == pytest.approx(
        measure(FEATURES[:, :3], LABELS)["nc1"], rel=1e-4
    )
    notes = " ".join(data["measured"]["warnings"])
    assert "no features: '', 'path'" in notes
    assert "read as float32" in notes


def test_torch_files_need_torch(tmp_path, capsys, monkeypatch):
    (tmp_path / "x.pt").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "torch", None)
    status, _, error = run([tmp_path / "x.pt"], capsys)
    assert status == 2
    assert "needs PyTorch" in error
    (tmp_path / "x.parquet").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    status, _, error = run([tmp_path / "x.parquet"], capsys)
    assert status == 2
    assert "needs pyarrow" in error
