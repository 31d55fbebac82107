"""The page of a run: whole, of one epoch, without a test set, of K = 2 and 1000."""

import numpy as np
import pytest

from ncjax.hierarchy import from_nested
from ncjax.report.run import write_run as page_of
from ncjax.runs.classes import Classes
from tests.report.made import NASTY, data_of, measured, write_run


def text_of(folder):
    return page_of(folder, folder / "report.html").render()


def test_a_whole_run(tmp_path):
    text = text_of(write_run(tmp_path / "run"))
    for part in (
        "curves",
        "class-means",
        "mistakes",
        "numbers",
        "what-was-run",
        "files",
    ):
        assert f'<section id="{part}">' in text
    assert "<b>collapsed</b>: NC1 fell" in text
    assert "python -m ncjax.main &lt;b&gt;" in text
    assert "What is missing" not in text
    assert not any(nasty in text for nasty in NASTY if nasty != "a & b")
    data = data_of(text)
    assert len(data["geometry"]["cosines"]) == 5
    assert {"confusion-0", "confusion-1", "severity", "heights"} <= data[
        "charts"
    ].keys()


def test_an_empty_run(tmp_path):
    text = text_of(write_run(tmp_path / "run", []))
    assert "no verdict" in text
    assert "epoch 0 of 20" in text
    assert '<section id="curves">' not in text


def test_one_epoch_without_a_test_set(tmp_path):
    row = measured(1)
    row |= {key: np.nan for key in row if key.startswith("test/")}
    text = text_of(write_run(tmp_path / "run", [row], Classes()))
    names = [trace["name"] for trace in data_of(text)["charts"]["curve-0"]["data"]]
    assert names == ["train"]
    assert '<section id="mistakes">' not in text


@pytest.mark.parametrize("count", [2, 60, pytest.param(1000, marks=pytest.mark.slow)])
def test_few_and_many_classes(tmp_path, count):
    names = [f"class number {k} with a name" for k in range(count)]
    half = count // 2
    tree = from_nested({"a": names[:half], "b": names[half:]}, names)
    gram = np.eye(count) - 1 / count
    row = measured(1, **{"nc/gram": gram, "test/confusion": np.eye(count)})
    folder = write_run(tmp_path / "run", [row], Classes(names, tree, {}, gram))
    text = text_of(folder)
    assert len(text) < 6_000_000
    assert '<section id="class-means">' in text


def test_why_there_are_no_class_means(tmp_path):
    row = {k: v for k, v in measured(1).items() if k != "nc/gram"}
    config = {"eval": {"gram": 32}, "data": {"name": "digits"}}
    text = text_of(write_run(tmp_path / "run", [row], **config))
    assert "the run is of an older version" in text
    config["eval"] = {"gram": 3}
    text = text_of(write_run(tmp_path / "run", [row], **config))
    assert "they are kept for up to 3 classes" in text


def test_fields_that_are_not_at_their_defaults(tmp_path):
    text = text_of(
        write_run(tmp_path / "run", optimizer={"name": "sgd", "momentum": 0.25})
    )
    assert "<td>optimizer.momentum</td><td>0.25</td><td>0.9</td>" in text


def test_a_recorder(tmp_path):
    config = {"recorder": {"num_classes": 4}, "lr": 0.1, "num_epochs": 90}
    text = text_of(write_run(tmp_path / "run", **config))
    assert "recorded run" in text
    assert "not finished" not in text  # it knows of no plan
    assert "<td>lr</td><td>0.1</td>" in text


def test_fields_that_differ_from_the_recipe(tmp_path):
    recipe = {"file": "mine.py:<b>", "changed": {"loss.name": "hxe"}}
    made = {"command": "x", "recipe": recipe}
    text = text_of(write_run(tmp_path / "run", about=made))
    assert "differ from the recipe <code>mine.py:&lt;b&gt;" in text
    assert "<td>loss.name</td><td>&#x27;mse&#x27;</td><td>&#x27;hxe&#x27;" in text
    made["recipe"] = recipe | {"changed": {}}
    text = text_of(write_run(tmp_path / "run", about=made))
    assert "as in the recipe <code>mine.py" in text
    made["recipe"] = {"changed": 3}  # of a file that is damaged
    assert "recipe" not in text_of(write_run(tmp_path / "run", about=made))
