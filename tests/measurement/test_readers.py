"""Files of every format."""

import json
import sys

import ml_dtypes
import numpy as np
import pytest

from ncjax.measurement import measure
from tests.measurement.command import measured, run
from tests.measurement.features import FEATURES, LABELS, W
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


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "int8"])
@pytest.mark.parametrize("kind", ["npz", "npy", "safetensors"])
def test_labels_of_every_type(dtype, kind, tmp_path, capsys, few):
    arrays = {"features": FEATURES, "labels": LABELS.astype(dtype)}
    path = tmp_path / f"x.{kind}"
    if kind == "safetensors":
        pytest.importorskip("safetensors.numpy").save_file(arrays, path)
    elif kind == "npz":
        np.savez(path, **arrays)
    else:
        np.save(tmp_path / "y.npy", arrays["labels"])
        np.save(path, FEATURES)
    more = ["--labels", tmp_path / "y.npy"] if kind == "npy" else []
    data = measured([path, *more], tmp_path, capsys)
    assert data["nc1"] == pytest.approx(measure(FEATURES, LABELS)["nc1"], rel=1e-5)


def test_types_that_are_not_read_are_named(tmp_path, capsys):
    """Eight-bit floats, as large models are saved: the header and the bytes."""
    path = tmp_path / "x.safetensors"
    header = {
        "features": {"dtype": "F8_E4M3", "shape": [4, 2], "data_offsets": [0, 8]},
        "labels": {"dtype": "I8", "shape": [4], "data_offsets": [8, 12]},
    }
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(12))
    status, out, error = run([path], capsys)
    assert (status, out) == (2, "")
    assert "x.safetensors[features] is F8_E4M3, which is not read" in error
    assert "BF16" in error


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_weights_of_the_samples_are_no_classifier(shape, tmp_path, capsys, few):
    w = np.ones(len(LABELS), np.float32).reshape(shape)
    np.savez(tmp_path / "x.npz", x=FEATURES, y=LABELS, w=w)
    data = measured([tmp_path / "x.npz"], tmp_path, capsys)
    assert "nc3" not in data
    assert "[w] is no classifier" in " ".join(data["measured"]["warnings"])
    np.savez(tmp_path / "both.npz", x=FEATURES, y=LABELS, w=w, **{"fc.weight": W})
    if len(shape) == 1:
        data = measured([tmp_path / "both.npz"], tmp_path, capsys)
        assert data["nc3"] == pytest.approx(
            measure(FEATURES, LABELS, classifier=W)["nc3"], rel=1e-5
        )


def test_head_of_a_convolution_in_a_file(tmp_path, capsys, few):
    names = {"classifier": W[:, :, None, None]}
    np.savez(tmp_path / "x.npz", x=FEATURES, y=LABELS, **names)
    data = measured([tmp_path / "x.npz"], tmp_path, capsys)
    assert data["nc3"] == pytest.approx(
        measure(FEATURES, LABELS, classifier=W)["nc3"], rel=1e-5
    )


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
