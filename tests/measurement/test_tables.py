"""Tables as pandas, NumPy, R and spreadsheets write them."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from ncjax.io import read_text
from ncjax.measurement import MeasureError, measure
from ncjax.measurement.readers import find, open_arrays
from tests.measurement.command import measured, run
from tests.measurement.features import FEATURES, LABELS, W

NAMES = ("label", "labels", "y", "target", "species", "class", "Class of")


def text_of(rows, delimiter, comma, ending):
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator=ending)
    for row in rows:
        fields = (repr(x) if isinstance(x, float) else str(x) for x in row)
        writer.writerow([x.replace(".", ",") if comma else x for x in fields])
    return file.getvalue()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_layout_gives_the_same_features_and_labels(data, tmp_path_factory):
    """A matrix and its labels in any place, with names, an index, in any dialect."""
    draw = data.draw
    n, d = draw(st.integers(8, 20)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    features = rng.normal(size=(n, d)).astype(np.float32)
    labels = rng.integers(0, 3, n)
    header = draw(st.sampled_from(["names", "numbers", "none"]))
    index = draw(st.sampled_from(["", "id", "Unnamed: 0", "index", None]))
    comma = draw(st.booleans())
    delimiter = draw(st.sampled_from(";\t" if comma else ",;\t"))
    place = draw(st.integers(0, d))
    table = [[float(x) for x in row] for row in features]
    for row, label in zip(table, labels, strict=True):
        row.insert(place, int(label))
    if header == "names":
        names = [f"f{i}" for i in range(d)]
        names.insert(place, draw(st.sampled_from(NAMES)))
    else:
        names = [str(i) for i in range(d + 1)]
    key = names[place]
    if index is not None:
        names = ["" if header == "numbers" else index, *names]
        table = [[i, *row] for i, row in enumerate(table)]
        if header == "none":
            key = str(place + 1)
    rows = table if header == "none" else [names, *table]
    ending = draw(st.sampled_from(["\n", "\r\n"]))
    text = text_of(rows, delimiter, comma, ending)
    text += draw(st.sampled_from(["", ending, ending * 3, (delimiter * d) + ending]))
    path = tmp_path_factory.mktemp("table") / "x.csv"
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    path.write_bytes(text.encode(encoding))
    arrays = open_arrays(path, key)
    source = find(arrays, "features", path)
    np.testing.assert_array_equal(source.load(), features, err_msg=text)
    np.testing.assert_array_equal(find(arrays, "labels", path, key).load(), labels)
    assert source.count() == n
    assert f"The features are {d} columns of" in " ".join(source.notes)


def write_table(path, labels=LABELS, name="species", header=True):
    names = ",".join([name, *(f"f{i}" for i in range(4))])
    rows = [
        ",".join(map(str, [y, *x]))
        for y, x in zip(labels, FEATURES[:, :4], strict=True)
    ]
    path.write_text("\n".join([names, *rows] if header else rows) + "\n")


@pytest.mark.parametrize("name", ["species", "class", "0"])
def test_the_column_of_the_labels_is_no_feature(name, tmp_path, capsys, few):
    want = measure(FEATURES[:, :4], LABELS)["nc1"]
    write_table(tmp_path / "x.csv", name=name, header=name != "0")
    data = measured([tmp_path / "x.csv", "--labels-key", name], tmp_path, capsys)
    assert data["measured"]["d"] == 4
    assert data["nc1"] == pytest.approx(want, rel=1e-5)
    notes = " ".join(data["measured"]["warnings"])
    first = "f0, f1, f2, f3" if name != "0" else "no line of names: 1, 2, 3, 4"
    assert "4 columns of" in notes
    assert first in notes.replace("\n", " ")
    assert f"labels are column '{name}'" in notes


def test_the_column_of_the_labels_in_parquet(tmp_path, capsys, few):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    columns = {"species": LABELS} | {f"f{i}": FEATURES[:, i] for i in range(4)}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    path = tmp_path / "x.parquet"
    data = measured([path, "--labels-key", "species"], tmp_path, capsys)
    assert data["measured"]["d"] == 4
    assert "4 columns of" in " ".join(data["measured"]["warnings"])


@pytest.mark.parametrize("features", ["npy", "csv", "headed"])
@pytest.mark.parametrize("index", [False, True])
def test_label_files_of_pandas(features, index, tmp_path, capsys, few):
    """A column that pandas heads `0`, above labels that begin with 0."""
    labels = np.sort(LABELS)
    x = FEATURES[np.argsort(LABELS, kind="stable"), :4]
    want = measure(x, labels)
    path = tmp_path / ("x.npy" if features == "npy" else "x.csv")
    if features == "npy":
        np.save(path, x)
    else:
        head = "0,1,2,3" if features == "headed" else ""
        np.savetxt(path, x, "%.9g", ",", header=head, comments="")
        path.write_text(path.read_text().lstrip("\n"))
    lines = [f"{i},{y}" if index else str(y) for i, y in enumerate(labels)]
    written = tmp_path / "y.csv"
    written.write_text("\n".join([",0" if index else "0", *lines]) + "\n\n\n")
    data = measured([path, "--labels", written], tmp_path, capsys)
    assert data["measured"]["n"] == len(labels)
    assert data["nc1"] == pytest.approx(want["nc1"], rel=1e-5)
    plain = tmp_path / "plain.txt"
    plain.write_text("\n".join(map(str, labels)))
    data = measured([path, "--labels", plain], tmp_path, capsys)
    assert data["nc1"] == pytest.approx(want["nc1"], rel=1e-5)


def loaded(tmp_path, text, what="features", key=None):
    (tmp_path / "x.csv").write_text(text)
    arrays = open_arrays(tmp_path / "x.csv", key)
    return find(arrays, what, "x.csv", key if what == "labels" else None).load()


def test_names_as_numpy_and_r_write_them(tmp_path):
    want = [[0.5, 1.5], [2.5, 3.5]]
    for text in (
        "# label,a,b\n0,0.5,1.5\n1,2.5,3.5\n",
        '"label" "a" "b"\n"1" 0 0.5 1.5\n"2" 1 2.5 3.5\n',
        "# made by hand\nlabel,a,b\n0,0.5,1.5\n1,2.5,3.5\n",
        "label\ta\tb\n0\t0.5\t1.5\n1\t2.5\t3.5\n",
    ):
        np.testing.assert_array_equal(loaded(tmp_path, text), want)
        np.testing.assert_array_equal(loaded(tmp_path, text, "labels"), [0, 1])


def test_a_first_row_is_no_header_for_a_text_in_it(tmp_path):
    rows = "a.png,0.5,1.5\nb.png,2.5,3.5\n"
    np.testing.assert_array_equal(loaded(tmp_path, rows), [[0.5, 1.5], [2.5, 3.5]])
    small = "0,1\n1,0\n2,2\n"  # whole numbers: as likely a row
    np.testing.assert_array_equal(loaded(tmp_path, small), [[0, 1], [1, 0], [2, 2]])


def test_text_labels_under_a_number(tmp_path):
    text = "0\ncat\ndog\n"
    assert loaded(tmp_path, text, "labels").tolist() == ["cat", "dog"]
    text = "species,0,1\ncat,0.5,1.5\ndog,2.5,3.5\n"
    np.testing.assert_array_equal(loaded(tmp_path, text), [[0.5, 1.5], [2.5, 3.5]])
    found = loaded(tmp_path, text, "labels", "species")
    assert found.tolist() == ["cat", "dog"]


def test_tables_that_cannot_be_read(tmp_path, capsys):
    with pytest.raises(MeasureError, match="decimal commas, and commas between"):
        loaded(tmp_path, 'label,a,b\n0,"1,5","2,5"\n')
    with pytest.raises(MeasureError, match="3 names, but 5 fields"):
        loaded(tmp_path, "label,a,b\n0,1.5,2.5,3.5,4.5\n")
    path = tmp_path / "latin.csv"
    lines = [f"{y},{x[0]},a" for y, x in zip(LABELS, FEATURES, strict=True)]
    lines[500] = lines[500].replace("a", "é")
    path.write_bytes("\n".join(["label,f,name", *lines]).encode("latin-1"))
    status, out, error = run([path], capsys)
    assert (status, out) == (2, "")
    assert "no text in UTF-8" in error
    assert len(error.strip().splitlines()) == 1


def test_blank_lines_at_the_end_are_silent(tmp_path, capfd, few, recwarn):
    np.save(tmp_path / "x.npy", FEATURES)
    lines = "\n".join(map(str, LABELS)) + "\n" * 70_000  # a chunk of them, and more
    (tmp_path / "y.txt").write_text(lines)
    arguments = [tmp_path / "x.npy", "--labels", tmp_path / "y.txt"]
    status, _, error = run([*arguments, "--batch-size", 600], capfd)
    assert status == 0
    assert error == ""
    assert not recwarn.list


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_class_names_of_every_encoding(encoding, tmp_path, capsys, few):
    names = ["é", "b", "c", "d", "e"]
    np.savez(tmp_path / "x.npz", x=FEATURES, y=np.array(names)[LABELS], W=W)
    path = tmp_path / "names.txt"
    path.write_bytes("\r\n".join(names).encode(encoding))
    data = measured([tmp_path / "x.npz", "--class-names", path], tmp_path, capsys)
    assert data["nc1"] == pytest.approx(measure(FEATURES, LABELS)["nc1"], rel=1e-5)
    assert read_text(path).split() == names


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le"])
def test_class_names_that_are_no_text(encoding, tmp_path, capsys):
    np.savez(tmp_path / "x.npz", x=FEATURES, y=LABELS)
    (tmp_path / "names.txt").write_bytes("é\nb\nc\nd\ne".encode(encoding))
    arguments = [tmp_path / "x.npz", "--class-names", tmp_path / "names.txt"]
    status, out, error = run(arguments, capsys)
    assert (status, out) == (2, "")
    assert "names.txt is no text in UTF-8" in error
    assert len(error.strip().splitlines()) == 1
