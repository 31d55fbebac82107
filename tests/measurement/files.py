"""Features, labels and classifier in files of every format."""

import numpy as np
import pytest

from tests.measurement.features import FEATURES, LABELS, B, D, N, W, save_npz


def write(tmp_path, kind):
    """Features, labels and classifier in one format; arguments of the command line."""
    arrays = {"features": FEATURES, "labels": LABELS, "classifier": W, "bias": B}
    head = np.savez(tmp_path / "head.npz", W=W, b=B) or tmp_path / "head.npz"
    table = np.column_stack([LABELS, FEATURES])
    columns = ["label", *(f"f{i}" for i in range(D))]
    if kind in ("npy", "fortran", "txt"):
        x = np.asfortranarray(FEATURES) if kind == "fortran" else FEATURES
        np.save(tmp_path / "x.npy", x)
        np.save(tmp_path / "y.npy", LABELS)
        np.savetxt(tmp_path / "y.txt", LABELS, fmt="%d")
        y = tmp_path / ("y.txt" if kind == "txt" else "y.npy")
        return [tmp_path / "x.npy", "--labels", y, "--classifier", head]
    if kind == "npz":
        return [save_npz(tmp_path / "all.npz")]
    if kind == "compressed":
        np.savez_compressed(tmp_path / "all.npz", **arrays)
        return [tmp_path / "all.npz"]
    if kind == "safetensors":
        numpy = pytest.importorskip("safetensors.numpy")
        numpy.save_file(arrays, tmp_path / "all.safetensors")
        return [tmp_path / "all.safetensors"]
    if kind == "torch":
        torch = pytest.importorskip("torch")
        tensors = {k: torch.from_numpy(v) for k, v in arrays.items()}
        torch.save({k: tensors[k] for k in ("features", "labels")}, tmp_path / "x.pt")
        state = {
            "conv.weight": torch.zeros(3, 3, 1, 1),
            "fc.weight": tensors["classifier"],
            "fc.bias": tensors["bias"],
        }
        torch.save({"state_dict": state}, tmp_path / "model.pth")
        return [tmp_path / "x.pt", "--classifier", tmp_path / "model.pth"]
    if kind == "csv":
        names = ",".join(columns)
        np.savetxt(tmp_path / "x.csv", table, "%.9g", ",", header=names, comments="")
        return [tmp_path / "x.csv", "--classifier", head]
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    if kind == "parquet":
        data = dict(zip(columns, [LABELS, *FEATURES.T], strict=True))
    else:
        data = {"label": LABELS, "embedding": list(FEATURES), "id": np.arange(N)}
    pq.write_table(pa.table(data), tmp_path / "x.parquet")
    return [tmp_path / "x.parquet", "--classifier", head]
