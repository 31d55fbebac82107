"""The progress line of a run."""

from ncjax.runs.progress import Progress


def test_progress_prints_whole_lines_in_a_log(capsys):
    bar = Progress(20)
    for epoch in range(1, 21):
        bar.update(epoch, {"loss": 0.123456, "NC1": 1e-3})
    bar.close()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1  # less than ten seconds: only the last epoch
    assert "20/20" in lines[0]
    assert "epoch/s" in lines[0]
    assert "loss 0.123 NC1 0.001" in lines[0]
