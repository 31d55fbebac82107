"""Target frames: their inner products, the file formats, and what is refused."""

import numpy as np
import pytest

from ncjax.classifiers.frames import TARGETS, frame_rows, orthonormal, root_of_gram
from ncjax.classifiers.vectors import frame_gram
from tests.losses.trees import CIFAR


def rows_of(target, num_classes=10, **options):
    usual = {"file": "", "norm": 1.0, "hierarchy": CIFAR}
    usual |= {"frame_gamma": 3.0, "distance": "height"}
    return frame_rows(num_classes, target=target, **usual | options)


@pytest.fixture
def saved(tmp_path):
    def save(table):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npy"
        np.save(path, table)
        return str(path)

    return save


def test_inner_products_of_the_targets(saved):
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(10, 4))
    given = codes @ codes.T
    size = np.trace(given) / 10  # the mean of the squared lengths, which `norm` sets
    cases = {
        "simplex": (10 / 9 * (np.eye(10) - 0.1), 9, ""),
        "orthogonal": (np.eye(10), 10, ""),
        "tree": (frame_gram(CIFAR, 3.0), 9, ""),
        "vectors": (given / size, 4, saved(codes)),
    }
    for target, (gram, rank, file) in cases.items():
        rows = rows_of(target, file=file)
        assert rows.shape == (10, rank), target
        np.testing.assert_allclose(rows @ rows.T, gram, atol=1e-12, err_msg=target)
    rows = rows_of("gram", file=saved(given.astype(np.float32)), norm=3.0)
    assert rows.shape[1] <= 10
    np.testing.assert_allclose(rows @ rows.T, 9 * given / size, atol=1e-5)
    assert set(cases) | {"gram", "code"} == set(TARGETS)


def test_root_of_a_gram_matrix_without_full_rank():
    """Row k has a new direction only if it does not depend on those before it."""
    gram = np.array([[4.0, 2, 0], [2, 1, 0], [0, 0, 9]])
    np.testing.assert_allclose(root_of_gram(gram), [[2, 0], [1, 0], [0, 3]])
    simplex = np.eye(200) - 1 / 200
    rows = root_of_gram(simplex)
    assert rows.shape == (200, 199)
    np.testing.assert_allclose(rows @ rows.T, simplex, atol=1e-12)


def test_the_basis_is_orthonormal_and_always_the_same():
    basis = orthonormal(7, 3, 5)
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-14)
    # A run goes on with these numbers: they must never change.
    known = orthonormal(2, 1, 0)[:, 0]
    np.testing.assert_allclose(known, [0.97522402, 0.22121958], atol=1e-8)
    assert not np.allclose(basis, orthonormal(7, 3, 6))


def test_bad_targets(saved, tmp_path):
    bent = np.eye(10) - 0.5
    lopsided = np.eye(10)
    lopsided[0, 1] = 0.1
    text = tmp_path / "text.npy"
    text.write_text("no numbers")
    cases = [
        (
            "cube",
            {},
            "'cube'. Available: simplex, orthogonal, tree, code, vectors, gram",
        ),
        ("simplex", {"norm": 0.0}, "norm must be positive and finite, got 0"),
        ("simplex", {"file": "a.npy"}, "'simplex' takes no file"),
        ("gram", {}, "'gram' needs file, got file = ''"),
        ("gram", {"file": saved(np.eye(9))}, r"shape \(9, 9\); 10 classes need \(10"),
        ("gram", {"file": saved(bent)}, "semi-definite; the least eigenvalue .* -4"),
        ("gram", {"file": saved(lopsided)}, "must be symmetric"),
        ("gram", {"file": saved(np.zeros((10, 10)))}, "of zeros has no directions"),
        ("vectors", {"file": saved(np.eye(9))}, r"has 9 vectors.*10 classes need"),
        ("vectors", {"file": saved(np.zeros((10, 2)))}, "'vectors' are all 0"),
        ("vectors", {"file": saved(np.full((10, 2), np.nan))}, "not real and finite"),
        ("vectors", {"file": saved(np.zeros(10))}, "must hold one matrix"),
        ("vectors", {"file": str(text)}, "cannot be read as a .npy file"),
        ("vectors", {"file": str(tmp_path / "no.npy")}, "cannot be read as a .npy"),
        ("tree", {"hierarchy": None}, "'tree' needs a class tree, and there is none"),
    ]
    for target, options, message in cases:
        with pytest.raises(ValueError, match=message):
            rows_of(target, **options)
    with pytest.raises(ValueError, match="span 3 dimensions, and the features have 2"):
        orthonormal(2, 3, 0)
