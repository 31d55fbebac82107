"""Folders of made-up runs, of which reports are made."""

import json

import numpy as np

from ncjax.hierarchy import from_nested
from ncjax.io import to_json
from ncjax.runs.classes import Classes
from tests.runs.rows import row

NASTY = ("</script><script>alert(1)</script>", "a & b", '"quoted"', "<img src=x>")
TREE = from_nested({"one": list(NASTY[:2]), "two": list(NASTY[2:])}, NASTY)
SIMPLEX = (4 * np.eye(4) - 1) / 3


def measured(epoch, **more):
    """A row of four classes whose Gram matrix comes to be that of a simplex."""
    confusion = np.eye(4) * 9 + np.eye(4)[::-1]
    gram = SIMPLEX + np.diag([1.0, 0, 0, 0]) / epoch
    tables = {"nc/gram": gram.tolist(), "test/confusion": confusion.tolist()}
    found = row(epoch, 0.1 if epoch < 5 else 0.0, 1 / epoch**2)
    return (
        found
        | tables
        | {"test/level1_error": 0.05, "test/mistake_severity": 2.0}
        | more
    )


EPOCHS = (1, 2, 5, 10, 20)


def write_run(folder, rows=None, classes=None, **config):
    """The files that a training run leaves, but its checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [measured(epoch) for epoch in EPOCHS] if rows is None else rows
    made = {"command": "python -m ncjax.main <b>", "date": "2026-01-01T00:00:00+00:00"}
    content = {"num_epochs": 20, "seed": 0, "loss": {"name": "mse"}, "about": made}
    (folder / "config.json").write_text(json.dumps(content | config))
    lines = "".join(to_json(line) + "\n" for line in rows)
    (folder / "metrics.jsonl").write_text(lines)
    if classes is None:
        classes = Classes(NASTY, TREE, {}, SIMPLEX)
    classes.write(folder)
    return folder


def data_of(text):
    """What the script of a page reads."""
    begin = text.index('id="data">') + len('id="data">')
    return json.loads(text[begin : text.index("</script>", begin)])
