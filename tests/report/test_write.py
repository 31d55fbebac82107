"""Reports on request, and of a run that goes on."""

import pytest

from ncjax.report import live, write
from ncjax.report.live import Live
from ncjax.report.read import ReportError
from ncjax.report.write import KINDS, write_report
from tests.report.made import write_run


def test_the_report_lies_in_the_folder_or_where_it_is_asked_for(tmp_path):
    folder = write_run(tmp_path / "run")
    assert write_report(folder) == folder / "report.html"
    out = write_report(folder, tmp_path / "mine.html")
    assert 'href="run/metrics.jsonl"' in out.read_text()


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_folder_is_known_by_a_file(tmp_path, name):
    (tmp_path / name).write_text("{}")
    assert write_report(tmp_path).stat().st_size > 1_000_000


def test_folders_that_hold_no_run(tmp_path):
    with pytest.raises(ReportError, match=r"There is no run in .*: no sweep.json, "):
        write_report(tmp_path)
    write_run(tmp_path / "mine")
    with pytest.raises(ReportError, match="It has runs below it: mine"):
        write_report(tmp_path)
    with pytest.raises(ReportError, match="There is no folder"):
        write_report(tmp_path / "none")
    with pytest.raises(ReportError, match="is a file: give the folder"):
        write_report(tmp_path / "mine" / "config.json")


def test_a_run_that_goes_on_gets_one_now_and_then(tmp_path, monkeypatch):
    folder, now, said = write_run(tmp_path / "run"), [0.0], []
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    report = Live(folder, said.append)
    report.refresh()
    assert not (folder / "report.html").exists()
    now[0] = 61
    report.refresh()
    first = (folder / "report.html").stat().st_mtime_ns
    now[0] = 90
    report.refresh()
    report.write(again=False)
    assert (folder / "report.html").stat().st_mtime_ns == first
    report.write()
    assert (folder / "report.html").stat().st_mtime_ns > first
    assert said == []


def test_what_goes_wrong_ends_no_run_and_is_said_once(tmp_path, monkeypatch):
    folder, said = write_run(tmp_path / "run"), []

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "write_whole", full)
    report = Live(folder, said.append)
    report.write()
    report.write()
    (text,) = said
    assert "report.html could not be written: OSError" in text
    assert f"`ncjax report {folder}` tries again" in text


def test_only_one_process_writes(tmp_path):
    folder = write_run(tmp_path / "run")
    Live(folder, print, alone=False).write()
    Live(None, print).write()
    assert not (folder / "report.html").exists()
