"""The command line: what it writes, its options, bad files, large files."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import ncjax
from ncjax.cli.measure import main
from ncjax.measurement import MeasureError
from tests.measurement.command import measured, run
from tests.measurement.features import FEATURES, LABELS, W, nan, save_npz


def test_outputs(tmp_path, capsys):
    path = save_npz(tmp_path / "all.npz")
    status, out, error = run(
        [path, "--json", tmp_path / "o.json", "--figure", tmp_path / "o.svg"], capsys
    )
    assert status == 0, error
    assert "spread within classes" in out
    assert (tmp_path / "o.svg").read_bytes().startswith(b"<?xml")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all.npz", "o.json", "o.svg"]
    made = json.loads((tmp_path / "o.json").read_text())["about"]
    assert made["ncjax"] == ncjax.__version__
    assert made["devices"]["kind"] == "cpu"


@pytest.mark.slow
def test_other_options(tmp_path, capsys):
    path = save_npz(tmp_path / "all.npz", labels=None, cls=LABELS)
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\ne\n")
    data = measured(
        [
            *(path, "--labels-key", "cls", "--preset", "papyan2020"),
            *("--test-features", path, "--ood-features", path),
            *("--num-classes", 5, "--class-names", tmp_path / "names.txt"),
        ],
        tmp_path,
        capsys,
    )
    assert data["measured"]["preset"] == "papyan2020"
    assert data["test_accuracy"] == data["accuracy"]
    assert data["neco_auroc"] == pytest.approx(0.5)


def bad_files(tmp_path):
    """Arguments and message, by name."""
    good = save_npz(tmp_path / "good.npz")
    np.save(tmp_path / "x.npy", FEATURES)
    whole = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:5000])
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "not.npy").write_bytes(b"hello there")
    (tmp_path / "not.npz").write_bytes(b"hello there")
    (tmp_path / "not.safetensors").write_bytes(b"\xff" * 40)
    (tmp_path / "names.csv").write_text("label,a,b\n")
    (tmp_path / "holes.csv").write_text("label,a,b\n0,1,2\n1,,3\n")
    (tmp_path / "x.json").write_text("[]")
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    np.savez(tmp_path / "none.npz")
    nans = save_npz(tmp_path / "nans.npz", features=nan)
    turned = save_npz(tmp_path / "turned.npz", classifier=W.T, bias=None)
    many = tmp_path / "many.npz"
    np.savez(many, **{"a.weight": W, "b.weight": W})
    x = tmp_path / "x.npy"
    return {
        "missing": ([tmp_path / "no.npy"], "There is no file"),
        "empty": ([tmp_path / "empty.npy"], "is empty"),
        "cut": ([tmp_path / "cut.npy"], "is cut off: it has 5,000 bytes of 28,928"),
        "npy": ([tmp_path / "not.npy"], "Cannot read .* as .npy"),
        "npz": ([tmp_path / "not.npz"], "Cannot read .* as .npz"),
        "safetensors": ([tmp_path / "not.safetensors"], "no .safetensors file"),
        "objects": ([tmp_path / "objects.npy"], "holds Python objects"),
        "no rows": ([tmp_path / "names.csv"], "is empty"),
        "no arrays": ([tmp_path / "none.npz"], "is empty"),
        "holes": ([tmp_path / "holes.csv"], "between lines 2 and 3"),
        "ending": ([tmp_path / "x.json"], "'.json'. Available: .npy, .npz"),
        "no labels": ([x], "has no labels. Give --labels"),
        "nan": ([nans], "first is row 17"),
        "transposed": ([turned], "transpose it"),
        "key": ([good, "--labels-key", "z"], "no array 'z'. Available: features"),
        "many": ([good, "--classifier", many], "2 weight matrices; .*--classifier-key"),
        "folder": ([good, "--json", tmp_path / "no" / "o.json"], "--json=.*/no"),
        "figure": ([good, "--figure", tmp_path / "o.gif"], "'.gif'. Available: .png"),
        "test": ([good, "--test-labels", x], "no --test-features"),
        "classes": ([good, "--num-classes", 4], "must agree"),
    }


@pytest.mark.parametrize(
    "case",
    [
        *("missing", "empty", "cut", "npy", "npz", "safetensors", "objects", "no rows"),
        *("no arrays", "holes", "ending", "no labels", "nan", "transposed", "key"),
        *("many", "folder", "figure", "test", "classes"),
    ],
)
def test_bad_files(case, tmp_path, capsys):
    arguments, message = bad_files(tmp_path)[case]
    before = sorted(tmp_path.iterdir())
    outputs = ["--json", tmp_path / "bad.json", "--figure", tmp_path / "bad.png"]
    if "--json" not in arguments and "--figure" not in arguments:
        arguments = [*arguments, *outputs]
    status, out, error = run(arguments, capsys)
    assert status == 2
    assert out == ""
    assert error.startswith("error: ")
    assert len(error.strip().splitlines()) == 1
    with pytest.raises(MeasureError, match=message):
        raise MeasureError(error)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message", "words"),
    [
        ([], "(600, 2, 2, 3), but", "Say how feature maps become vectors: --pool=mean"),
        (["--pool", "first"], "(600, 2, 2, 3)", "--pool=first takes tokens"),
        (["--batch-size", "0"], "--batch-size must be at least 1, got 0", ""),
        (["--num-classes", "1"], "The number of classes is 1 by --num-classes", ""),
        (["--labels-key", "text"], "as --class-names=FILE (one name a line)", ""),
    ],
)
def test_messages_speak_of_flags_and_of_whole_files(
    arguments, message, words, tmp_path, capsys
):
    maps = FEATURES.reshape(600, 2, 2, 3)
    text = np.array(list("abcde"))[LABELS]
    np.savez(tmp_path / "class_names.npz", features=maps, labels=LABELS, text=text)
    status, out, error = run([tmp_path / "class_names.npz", *arguments], capsys)
    assert (status, out) == (2, "")
    assert message in error
    assert words in error
    for argument in ("pool='", "batch_size", "num_classes", " class_names"):
        assert argument not in error


def test_nothing_is_left_of_a_failed_write(tmp_path, capsys, monkeypatch):
    path = save_npz(tmp_path / "all.npz")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    status, _, error = run([path, "--json", tmp_path / "o.json"], capsys)
    assert status == 2
    assert "No space left" in error
    assert [p.name for p in tmp_path.iterdir()] == ["all.npz"]


def test_unknown_options_and_help(capsys):
    assert main(["x.npy", "--preset", "none"]) == 2
    assert "kothapalli2023" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "ncjax measure features.npy --labels=" in capsys.readouterr().out


def test_module_runs_without_a_warning():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "ncjax", "measure", "--help"],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[1],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("usage: ncjax measure")


_LARGE = """
import resource, sys
import numpy as np
from ncjax.cli.measure import main
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
main([sys.argv[1]])  # a small file of the same width, so that all is compiled
before = peak()
assert main(sys.argv[2:]) == 0
print("grown by KiB", peak() - before)
"""


@pytest.mark.slow
def test_larger_than_memory(tmp_path):
    """1.5 GB are measured in far less."""
    n, k, d = 750_000, 10, 512
    rng = np.random.default_rng(0)
    means = rng.normal(size=(k, d)).astype(np.float32)
    labels = rng.integers(0, k, n).astype(np.int32)
    file = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, shape=(n, d))
    noise = 0.1 * rng.normal(size=(10_000, d)).astype(np.float32)
    for start in range(0, n, 10_000):
        file[start : start + 10_000] = means[labels[start : start + 10_000]] + noise
    file.flush()
    del file
    np.save(tmp_path / "y.npy", labels)
    np.savez(tmp_path / "head.npz", W=means - means.mean(0), b=np.zeros(k, np.float32))
    small = save_npz(
        tmp_path / "s.npz",
        features=means,
        labels=np.arange(k),
        classifier=means,
        bias=None,
    )
    done = subprocess.run(
        [
            *(sys.executable, "-c", _LARGE, small, str(tmp_path / "x.npy")),
            *("--labels", str(tmp_path / "y.npy")),
            *("--classifier", str(tmp_path / "head.npz")),
        ],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[1],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    grown = int(done.stdout.split("grown by KiB")[1])
    assert grown < 600_000
    nc1 = [x for x in done.stdout.splitlines() if x.split()[:1] == ["nc1"]][-1]
    centred = means.astype(np.float64) - means.astype(np.float64).mean(0)
    values, along = np.linalg.svd(centred, full_matrices=False)[1:]
    expected = np.sum(((noise @ along[: k - 1].T) ** 2).mean(0) / values[: k - 1] ** 2)
    assert float(nc1.split()[1]) == pytest.approx(expected, rel=2e-2)
