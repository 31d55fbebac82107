"""One's own arrays with labels of several tasks."""

import numpy as np
import pytest

from ncjax.data import DataError, arrays
from ncjax.data.tasks import assemble_tasks

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(40, 6)).astype(np.float32)
LABELS = np.stack([np.arange(40) % 3, np.arange(40) % 2], 1)


def saved(folder, **more):
    path = folder / "mine.npz"
    np.savez(path, **({"images": IMAGES, "labels": LABELS} | more))
    return arrays(path=str(path), target="tasks")


def test_columns_are_tasks(tmp_path):
    found = saved(tmp_path)
    assert (found.target, found.tasks) == ("tasks", (3, 2))
    assert found.class_names[2:] == ("task0 2", "task1 0", "task1 1")
    assert len(found.train) + len(found.test) == 40
    assert found.train.labels.dtype == np.int32
    whole = np.concatenate([found.train.labels, found.test.labels])
    assert (np.sort(whole, 0) == np.sort(LABELS, 0)).all()
    named = saved(tmp_path, class_names=np.array(list("abcde")))
    assert named.class_names == tuple("abcde")
    given = saved(tmp_path, test_images=IMAGES[:5], test_labels=LABELS[:5])
    assert len(given.test) == 5
    assert assemble_tasks.__module__ == "ncjax.data.tasks"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"labels": LABELS * 1.0},
            r"float64 of shape \(40, 2\).*whole numbers \[n, T\]",
        ),
        ({"labels": LABELS[:, 0]}, r"shape \(40,\).*a column for each task"),
        ({"labels": LABELS[:9]}, r"40 images, but labels of shape \(9, 2\)"),
        ({"labels": LABELS - 1}, r"lie in -1\.\.1"),
        ({"labels": 2 * LABELS}, "no training example of task0 1, task0 3, task1 1"),
        (
            {"class_names": np.array(list("abc"))},
            r"3 class names for tasks of \(3, 2\)",
        ),
        (
            {"test_images": IMAGES[:5], "test_labels": LABELS[:5, :1]},
            r"\(40, 2\) and \(5, 1\); the training and the test set need the same",
        ),
    ],
)
def test_bad_labels_are_refused(tmp_path, more, message):
    with pytest.raises(DataError, match=message):
        saved(tmp_path, **more)
