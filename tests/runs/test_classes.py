"""classes.json, written and read again."""

import numpy as np
import pytest

from ncjax.hierarchy import balanced
from ncjax.runs.classes import NAME, Classes, read_classes

TREE = balanced((2, 2))


def test_what_is_written_is_read_again(tmp_path):
    limit, gram = {"nc/nc2": 0.5}, np.eye(4) - 0.25
    Classes(TREE.class_names, TREE, limit, gram).write(tmp_path)
    found = read_classes(tmp_path)
    assert found.names == TREE.class_names
    assert found.tree == TREE
    assert found.limit == limit
    np.testing.assert_array_equal(found.geometry, gram)
    before = (tmp_path / NAME).stat().st_mtime_ns
    Classes(TREE.class_names, TREE, limit, gram).write(tmp_path)
    assert (tmp_path / NAME).stat().st_mtime_ns == before
    Classes(("a", "b")).write(tmp_path)
    found = read_classes(tmp_path)
    assert (found.names, found.tree, found.limit) == (("a", "b"), None, {})
    assert found.geometry is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"names": ["a"], "tree": 3, "limit": {}, "geometry": null}',
        '{"names": ["a", "b"], "tree": null, "limit": {}, "geometry": [[1]]}',
        '{"names": ["a", "b"], "tree": null, "limit": {"x": "y"}, "geometry": null}',
    ],
)
def test_damage(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    with pytest.raises(ValueError):  # noqa: PT011
        read_classes(tmp_path)
    (tmp_path / NAME).unlink()
    with pytest.raises(FileNotFoundError):
        read_classes(tmp_path)
