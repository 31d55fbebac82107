"""What a run tells a classifier, and the codes that it is told for."""

import numpy as np
import pytest

import ncjax
from ncjax.classifiers import Setting, fixed, nearest
from ncjax.classifiers.frames import MOST_SEARCHED, describe_rows


def never(name, make):
    raise AssertionError(f"{name} was searched")


def test_a_code_has_the_dimensions_of_the_features():
    """In closed form: a polygon, part of a cross-polytope, a simplex."""
    setting = Setting(lambda: 3, never)
    cases = {(6, 3): 1.0, (5, 3): 1.0, (4, 3): 4 / 3, (3, 3): 1.5}
    for (number, dim), margin in cases.items():
        rows = fixed(number, setting=setting, target="code").vectors.rows
        assert rows.shape == (number, min(dim, number - 1))
        code = ncjax.codes.describe(rows)
        assert code.margin == pytest.approx(margin, abs=1e-9), (number, dim)
    # A layer before the classifier has the last word on the width.
    rows = fixed(9, setting=setting, target="code", project=2).vectors.rows
    assert ncjax.codes.describe(rows).angle == pytest.approx(40)
    np.testing.assert_allclose(fixed(9, target="code", project=2).vectors.rows, rows)
    gram = nearest(9, target="code", project=2).gram
    np.testing.assert_allclose(gram, rows @ rows.T, atol=1e-12)


def test_a_code_that_is_searched_is_kept():
    asked = []

    def keep(name, make):
        asked.append((name, make))
        return np.random.default_rng(0).normal(size=(9, 4))

    classifier = fixed(9, setting=Setting(lambda: 4, keep), target="code", norm=2.0)
    ((name, make),) = asked
    assert name == "code-9x4"
    size = np.sum(classifier.vectors.rows**2) / 9
    assert size == pytest.approx(4)
    assert callable(make)
    wrong = Setting(lambda: 4, lambda name, make: np.eye(4))
    with pytest.raises(ValueError, match=r"code-9x4 has shape \(4, 4\), not \(9, 4\)"):
        fixed(9, setting=wrong, target="code")


@pytest.mark.slow
def test_what_is_searched():
    made = Setting().keep("any", lambda progress: np.ones(3))
    np.testing.assert_array_equal(made, np.ones(3))
    rows = fixed(10, target="code", project=4).vectors.rows
    said = describe_rows("code", rows)
    assert said.startswith(
        "The code of 10 vectors in 4 dimensions has a margin of 0.83"
    )
    assert "best known" in said


def test_what_is_refused():
    with pytest.raises(ValueError, match="their number is not known here"):
        fixed(4, target="code")
    with pytest.raises(ValueError, match="'code' cannot be had: In 1 dimension there"):
        fixed(4, target="code", project=1)
    fixed(2, target="code", project=1)
    many = MOST_SEARCHED + 1
    with pytest.raises(
        ValueError, match="at most 1,000 classes, and there are 1,001 in"
    ):
        fixed(many, target="code", project=20)
    fixed(many, target="code", project=2)  # a polygon
    assert describe_rows("simplex", np.eye(3)) == ""
