"""The constant c of the UFM, found again from geometry or loss of an optimum."""

import numpy as np
import pytest

from ncjax.gram import gram_distance, gram_nc2, simplex_gram, unit_gram
from ncjax.hierarchy import BUILTIN, balanced
from ncjax.hierarchy.hxe import hxe_optimum
from ncjax.hierarchy.soft_labels import soft_label_optimum
from ncjax.ufm.match import class_loss, match_gram, match_loss, optimum_path
from tests.thin import thin

TREE = balanced(2, 3)

CLOSED = {
    "soft": ("soft_labels", {"beta": 4.0}, lambda c: soft_label_optimum(TREE, 4.0, c)),
    "height": ("hxe", {"alpha": 0.5}, lambda c: hxe_optimum(TREE, 0.5, c)),
    "depth": (
        "hxe",
        {"alpha": 1.0, "weighting": "depth"},
        lambda c: hxe_optimum(TREE, 1.0, c, "depth"),
    ),
}


@pytest.fixture(scope="module", params=thin(list(CLOSED), keep={1}))
def closed(request):
    """A path of optima on a balanced tree, and its closed form."""
    loss, options, optimum = CLOSED[request.param]
    return optimum_path(loss, hierarchy=TREE, **options), optimum


@pytest.mark.parametrize("c", thin([3.3e-5, 2.17e-3, 1.3e-2], keep={2}))
def test_c_is_recovered_from_the_gram_of_the_closed_form(closed, c):
    path, optimum = closed
    gram = optimum(c).gram
    found = match_gram(path, gram)
    assert found.state == "inside"
    np.testing.assert_allclose(found.c, c, rtol=1e-5)
    assert found.distance < 1e-6
    np.testing.assert_allclose(found.optimum.nc2, gram_nc2(gram), atol=1e-6)
    np.testing.assert_allclose(
        found.optimum.classifier_gram, unit_gram(gram), atol=1e-6
    )


@pytest.mark.parametrize("c", thin([3.3e-5, 2.17e-3, 1.3e-2], keep={2}))
def test_c_is_recovered_from_the_loss_of_the_closed_form(closed, c):
    path, optimum = closed
    logits = optimum(c).gram
    found = match_loss(path, float(class_loss(path.fit, logits)))
    assert found.state == "inside"
    np.testing.assert_allclose(found.c, c, rtol=1e-6)
    assert gram_distance(found.optimum.gram, logits) < 1e-6


@pytest.mark.parametrize(
    "free_bias", [True, pytest.param(False, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("loss", thin(["soft_labels", "hxe"], keep={1}))
def test_c_is_recovered_on_a_tree_without_symmetry(loss, free_bias):
    tree = BUILTIN["fashion_mnist"]()
    path = optimum_path(loss, hierarchy=tree, free_bias=free_bias)
    for c in (4e-4, 7e-3):
        found = match_gram(path, path.at(c).gram)
        np.testing.assert_allclose(found.c, c, rtol=1e-5)


@pytest.mark.slow
def test_class_sizes_count_by_their_ratios():
    sizes = np.array([10, 10, 10, 10, 2, 2, 2, 2])
    paths = [
        optimum_path("soft_labels", hierarchy=TREE, beta=10.0, sizes=s)
        for s in (sizes, 7 * sizes, 1)
    ]
    grams = [path.at(5e-3).gram for path in paths]
    assert gram_distance(grams[0], grams[1]) < 1e-9
    assert gram_distance(grams[0], grams[2]) > 0.01
    np.testing.assert_allclose(match_gram(paths[1], grams[0]).c, 5e-3, rtol=1e-5)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_the_simplex_does_not_determine_c(loss):
    path = optimum_path(loss, num_classes=5)
    found = match_gram(path, simplex_gram(5))
    assert found.state == "free"
    assert np.isnan(found.c)
    assert found.distance < 1e-5
    assert gram_distance(found.optimum.gram, simplex_gram(5)) < 1e-5


def test_cross_entropy_has_c_in_its_loss():
    # At the optimum every wrong class has probability c.
    path = optimum_path("cross_entropy", num_classes=5)
    found = match_loss(path, -np.log(1 - 4 * 3e-3))
    np.testing.assert_allclose(found.c, 3e-3, rtol=1e-6)
    np.testing.assert_allclose(found.optimum.loss, -np.log(1 - 4 * 3e-3))


def test_scale_and_a_common_vector_do_not_matter(closed):
    path, optimum = closed
    gram = optimum(1e-3).gram
    other = 7 * gram + np.arange(8.0)[:, None] + np.arange(8.0) + 3
    np.testing.assert_allclose(unit_gram(other), unit_gram(gram), atol=1e-12)
    np.testing.assert_allclose(match_gram(path, other).c, 1e-3, rtol=1e-5)


def test_relabelled_classes_are_another_geometry(closed):
    path, optimum = closed
    gram = optimum(1e-3).gram
    order = np.array([0, 4, 1, 5, 2, 6, 3, 7])
    assert match_gram(path, gram[np.ix_(order, order)]).distance > 0.05


@pytest.mark.slow
def test_c_beyond_the_range_is_said_to_be_at_its_edge():
    path = optimum_path("soft_labels", hierarchy=TREE, c_range=(1e-4, 1e-2))
    small, large = (soft_label_optimum(TREE, 4.0, c) for c in (1e-6, 4e-2))
    for optimum, end in ((small, 1e-4), (large, 1e-2)):
        for found in (
            match_gram(path, optimum.gram),
            match_loss(path, float(class_loss(path.fit, optimum.gram))),
        ):
            assert found.state == "edge"
            np.testing.assert_allclose(found.c, end, rtol=1e-5)


def test_merged_optima_are_left_out():
    # K c >= 1 is trivial.
    path = optimum_path("cross_entropy", num_classes=20)
    assert path.optima[-1].c < 1 / 20
    assert path.at(0.06) is None


def test_gram_distance_to_the_simplex_is_nc2():
    rows = np.random.default_rng(0).normal(size=(6, 9))
    gram = rows @ rows.T
    np.testing.assert_allclose(gram_distance(gram, np.eye(6)), gram_nc2(gram))
    assert gram_distance(gram, gram) == 0


def test_class_loss_weighs_classes_by_their_samples():
    path = optimum_path("mse", num_classes=2)
    logits = np.array([[1.0, 0.0], [0.0, 3.0]])  # losses 0 and 2
    assert class_loss(path.fit, logits) == 1
    assert class_loss(path.fit, logits, np.array([1, 3])) == 1.5


def test_bad_input(closed):
    path, _ = closed
    with pytest.raises(ValueError, match="optima are of 8 classes"):
        match_gram(path, np.eye(5))
    for bad in (np.ones((8, 8)), np.full((8, 8), np.nan)):
        with pytest.raises(ValueError, match="finite and not 0"):
            match_gram(path, bad)
    with pytest.raises(ValueError, match="must be finite"):
        match_loss(path, np.nan)
    with pytest.raises(ValueError, match="0 < least < most"):
        optimum_path("mse", num_classes=3, c_range=(1e-2, 1e-3))
    with pytest.raises(ValueError, match="all classes have merged at the opt"):
        optimum_path("cross_entropy", num_classes=20, c_range=(0.2, 0.9))
    with pytest.raises(ValueError, match="Unknown loss"):
        optimum_path("sce", num_classes=3)
