"""movie.jsonl: small, read back as written, named where it is damaged."""

import json

import numpy as np
import pytest

from ncjax.runs.frames import NAME, read_frames, rows_of_frames
from ncjax.runs.journal import Journal
from ncjax.runs.record import Record

RNG = np.random.default_rng(0)
NAMES = tuple("abcdefghij")


def arrays(*lead, spread=1e-6):
    return {
        "means": RNG.normal(size=(*lead, 10, 9)),
        "deviations": spread * RNG.normal(size=(*lead, 300, 9)),
        "weights": RNG.normal(size=(*lead, 10, 9)),
        "weight_norm": np.ones(lead),
    }


def lines(*epochs, **found):
    watched = NAMES, np.arange(300) % 10
    rows = [{"epoch": epoch, "nc/nc1": 0.1} for epoch in epochs]
    return [x for row in rows for x in rows_of_frames([row], arrays() | found, watched)]


def test_frames_are_read_back_to_three_digits_however_small(tmp_path):
    found = arrays(spread=1e-9)
    Journal(tmp_path, NAME).append(lines(3, **found))
    (frame,) = read_frames(tmp_path)
    assert (frame.at, frame.nc1, frame.names) == (3.0, 0.1, NAMES)
    assert frame.place.tolist() == [i % 10 for i in range(300)]
    for name in ("means", "deviations", "weights"):
        most = np.abs(found[name]).max()
        np.testing.assert_allclose(getattr(frame, name), found[name], atol=1e-3 * most)
    assert (tmp_path / NAME).stat().st_size < 9000


def test_many_networks_have_a_frame_each():
    rows = [{"epoch": 2, "nc/nc1": x} for x in (0.1, 0.2)]
    found = rows_of_frames(rows, arrays(2), (NAMES, np.arange(300) % 10))
    assert [row["nc1"] for row in found] == [0.1, 0.2]
    assert found[0]["means"] != found[1]["means"]
    assert rows_of_frames(rows, {}, None) == []


def test_what_is_not_finite_is_nan(tmp_path):
    Journal(tmp_path, NAME).append(lines(1, means=np.full((10, 9), np.inf)))
    (frame,) = read_frames(tmp_path)
    assert np.isnan(frame.means).all()
    assert np.isfinite(frame.weights).all()


def test_a_changed_character_is_found(tmp_path):
    Journal(tmp_path, NAME).append(lines(1, 2))
    text = (tmp_path / NAME).read_text()
    place = text.index('"data": "') + 20
    other = "A" if text[place] != "A" else "B"
    (tmp_path / NAME).write_text(text[:place] + other + text[place + 1 :])
    with pytest.warns(UserWarning, match="line 1 is not a row"):
        assert [frame.at for frame in read_frames(tmp_path)] == [2]


def epochs(folder):
    return [json.loads(x)["epoch"] for x in (folder / NAME).read_text().splitlines()]


def test_a_run_that_goes_on_repeats_no_frame_and_says_which_are_lost(tmp_path, capsys):
    folder, config = tmp_path / "run", {"eval": {"movie": True}}
    record = Record(folder, config, keep=0)
    record.resume(0)
    for epoch in (1, 2, 3):
        record.add([{"epoch": epoch, "nc/nc1": 0.1}], lines(epoch))
    record.close()
    again = Record(folder, config, keep=0)
    again.resume(2)
    assert epochs(folder) == [1, 2]
    again.add([{"epoch": 3, "nc/nc1": 0.1}], lines(3))
    again.close()
    assert epochs(folder) == [1, 2, 3]
    assert capsys.readouterr().err == ""
    kept = (folder / NAME).read_text().splitlines(keepends=True)
    (folder / NAME).write_text(kept[0] + kept[2])
    third = Record(folder, config, keep=0)
    third.resume(3)
    third.close()
    assert f"{NAME} has no frame of the epochs 2: they were" in capsys.readouterr().err


def test_frames_of_seeds_lie_in_their_folders(tmp_path):
    alone = {f"seeds/{seed}": {"seed": seed} for seed in (4, 5)}
    record = Record(tmp_path / "run", {"num_seeds": 2}, alone, keep=0)
    record.resume(0)
    rows = [{"epoch": 1, "nc/nc1": x} for x in (0.1, 0.2)]
    record.add(rows, [*lines(1), *lines(1)])
    record.add([{**row, "epoch": 2} for row in rows])  # which was not measured
    record.add([rows[0] | {"epoch": 3}, None], [*lines(3), None])
    record.close()
    folders = [tmp_path / "run" / "seeds" / seed for seed in ("4", "5")]
    assert [epochs(folder) for folder in folders] == [[1, 3], [1]]
    assert not (tmp_path / "run" / NAME).exists()
