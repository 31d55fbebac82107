"""Optima where the vectors of the classes do not learn: by hand, and proven."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from ncjax.gram import gram_distance
from ncjax.hierarchy import balanced, from_nested
from ncjax.losses import LOSSES
from ncjax.losses.predicted import frame_limit
from ncjax.ufm import Problem, frame_optimum, frames, solve_features
from ncjax.ufm.tables import FIXED

TREE = balanced(2, 2)
UNEVEN = from_nested({"a": ["b", "c"], "d": {}, "e": {"f": ["g", "h"], "i": {}}})


def loss_of(name, tree, outputs, **options):
    """Losses [K] in float64, by `ncjax.losses`."""
    if name == "hier_cos":
        options["hierarchy"] = tree
    else:
        options["vectors"] = frames.class_vectors(name, tree)
    with jax.enable_x64(True):
        outputs = jnp.asarray(outputs, jnp.float64)
        found = LOSSES[name](outputs, jnp.arange(len(outputs)), **options)
        return np.asarray(found)


@pytest.fixture(scope="module")
def haframe():
    """The optimum on the tree 2 x 2 with c = 1e-2, lambda = 0.04."""
    return frame_optimum("haframe", hierarchy=TREE, c=1e-2)


def test_haframe_by_hand(haframe):
    """Two numbers: how far along the contrast of siblings, and of the superclasses."""
    # m = -1/(4/(1 + x + 2 x^2) - 1) with x = e^(-3/2): the frame sums to 0.
    x = np.exp(-1.5)
    m = -1 / (4 / (1 + x + 2 * x**2) - 1)
    sibling, far = (1 - m) * x + m, (1 - m) * x**2 + m
    np.testing.assert_allclose(1 + sibling + 2 * far, 0, atol=1e-15)
    own = np.array([1, -1, 0, 0]) / 2**0.5
    above = np.array([1, 1, -1, -1]) / 2
    stretch = np.sqrt([1 - sibling, 1 + sibling - 2 * far])

    def value(ab):
        z = stretch[0] * ab[0] * own + stretch[1] * ab[1] * above
        off = z / np.hypot(*ab) - [1, sibling, far, far]
        return np.log(np.exp(z - z[0]).sum()) + off @ off + 0.02 * ab @ ab

    best = optimize.minimize(value, [3, 3], tol=1e-14, method="Nelder-Mead")
    np.testing.assert_allclose(haframe.objective, best.fun, rtol=1e-12)
    first = best.x[0] * own + best.x[1] * above
    np.testing.assert_allclose(haframe.outputs[0], first, atol=1e-6)
    assert haframe.gap < 1e-12
    losses = loss_of("haframe", TREE, haframe.outputs)
    np.testing.assert_allclose(haframe.losses, losses, rtol=1e-12)


def test_the_bound_of_haframe_holds_everywhere_and_is_met_at_the_optimum(haframe):
    vectors = frames.class_vectors("haframe", TREE)
    best = haframe.losses[0] + 0.02 * haframe.outputs[0] @ haframe.outputs[0]
    with jax.enable_x64(True):
        rows, gram = jnp.asarray(vectors.rows), jnp.asarray(vectors.gram)
        points = 3 * np.random.default_rng(0).normal(size=(100, 4))
        points = jnp.asarray(np.concatenate([points, haframe.outputs[:1]]))
        bound = jax.vmap(lambda e: frames._haframe_bound(e, 0, rows, gram, 0.04, 1.0))
        bounds = np.asarray(bound(points))
    assert bounds.max() <= best + 1e-12
    np.testing.assert_allclose(bounds[-1], best, atol=1e-12)
    assert np.median(bounds) < best - 0.1


def test_haframe_is_not_convex():
    """Along a line through 0 the cosines jump, and stay."""
    vectors = frames.class_vectors("haframe", TREE).rows
    line = np.array([[0.01], [-1.0], [-1.99]]) * vectors[0]
    ends_and_middle = [
        loss_of("haframe", TREE, np.tile(e, (4, 1)), cosine_weight=10.0)[0]
        for e in line
    ]
    first, middle, last = ends_and_middle
    assert middle > (first + last) / 2 + 1


@pytest.mark.slow
def test_haframe_without_matching_is_cross_entropy_with_a_fixed_classifier():
    c, rows = 1e-2, frames.class_vectors("haframe", UNEVEN).rows
    found = frame_optimum("haframe", hierarchy=UNEVEN, c=c, cosine_weight=0.0)
    problem = Problem.create(num_classes=6, lambda_w=1.0, lambda_h=c)
    features, value, _ = solve_features(problem, rows)
    np.testing.assert_allclose(found.objective, value, rtol=1e-12)
    np.testing.assert_allclose(found.outputs, features, atol=1e-9)
    assert found.gap < 1e-9


def test_hier_cos_with_two_leaves():
    """1/(1 + e^x) = lambda x on the own node, 0 on the other."""
    found = frame_optimum("hier_cos", hierarchy=balanced(2, 1), c=0.1)
    x = optimize.brentq(lambda x: 1 / (1 + np.exp(x)) - 0.2 * x, 0, 10, xtol=1e-15)
    np.testing.assert_allclose(found.outputs, x * np.eye(2), atol=1e-12)
    np.testing.assert_allclose(found.objective, np.log1p(np.exp(-x)) + 0.1 * x**2)
    assert found.gap < 1e-15


def test_no_step_from_the_optimum_of_hier_cos_lowers_it():
    """Also with other signs and off the path, on a tree without symmetry."""
    found = frame_optimum("hier_cos", hierarchy=UNEVEN, c=1e-3)
    decay = 6 * 1e-3

    def value(outputs):
        losses = loss_of("hier_cos", UNEVEN, outputs)
        return losses + decay / 2 * np.sum(outputs**2, axis=1)

    best = value(found.outputs)
    np.testing.assert_allclose(best.mean(), found.objective, rtol=1e-12)
    rng = np.random.default_rng(0)
    for size in (1e-3, 0.1, 1, 5):
        signs = rng.choice([-1, 1], found.outputs.shape)
        np.testing.assert_allclose(value(signs * found.outputs), best, atol=1e-12)
        steps = size * rng.normal(size=found.outputs.shape)
        assert np.all(value(signs * found.outputs + steps) > best)


def test_label_embeddings_are_the_vectors():
    found = frame_optimum("label_embedding", hierarchy=UNEVEN, c=1e-3)
    losses = loss_of("label_embedding", UNEVEN, 0.3 * found.outputs)
    np.testing.assert_allclose(losses, 0, atol=1e-12)
    gram = 1 - UNEVEN.distances()
    np.testing.assert_allclose(found.outputs @ found.outputs.T, gram, atol=1e-6)
    assert found.objective == 0
    assert np.isnan(found.gap)


@pytest.mark.slow
def test_where_all_merge_there_is_no_optimum():
    """A coordinate of its own would be 0, where the second term jumps."""
    chain = from_nested({"a": {"b": {}}, "c": {}})
    assert frame_optimum("hier_cos", hierarchy=chain, c=100.0) is None


def test_the_losses_of_fixed_vectors_are_these():
    assert set(FIXED) == set(frames.FRAMES)
    for name in FIXED:
        with pytest.raises(ValueError, match=r"does not learn.*frame_optimum"):
            Problem.create(name, hierarchy=TREE, lambda_w=1e-3, lambda_h=1e-3)


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        ("haframes", {}, r"Unknown loss of fixed vectors 'haframes'.*'haframe'\?"),
        ("haframe", {"gamma": 1.0}, "no option 'gamma'. Available: cosine_weight, fr"),
        ("haframe", {"frame_gamma": -1.0}, "frame_gamma must be above 0"),
        ("hier_cos", {"c": 0.0}, "c must be finite and more than 0, got 0.0"),
    ],
)
def test_bad_input(loss, options, message):
    with pytest.raises(ValueError, match=message):
        frame_optimum(loss, hierarchy=TREE, **({"c": 1e-3} | options))


def test_haframe_in_the_limit_keeps_directions_not_lengths():
    """Lengths go as 1/(1 - the largest inner product with another vector), slowly."""
    gram = frames.class_vectors("haframe", UNEVEN).gram
    limit, far = frame_limit("haframe", gram), []
    for c in (1e-4, 1e-8, 1e-12):
        outputs = frame_optimum("haframe", hierarchy=UNEVEN, c=c).outputs
        far.append(gram_distance(outputs @ outputs.T, limit))
    assert far[0] > far[1] > far[2]
    assert far[2] < 0.06
    assert gram_distance(outputs @ outputs.T, gram) > 0.1
