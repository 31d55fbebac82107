"""The metrics of several tasks, beside their definitions and at collapse."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import tasks
from ncjax.collapse import SecondPass
from ncjax.tasks import Sums, TaskPass, cross_cosines, cross_task, task_moments
from tests.tasks import definitions

SIZES = (3, 2)
FEATURES, LABELS, W = definitions.problem(SIZES, n=120, d=8)


@functools.partial(jax.jit, static_argnames="sizes")
def share(features, labels, sizes=SIZES):
    """`not_sum` alone, compiled once."""
    moments = task_moments(features, labels, sizes)
    empty = TaskPass.empty(moments, lambda m: SecondPass.empty(m, decisions=False))
    return empty.update(features, labels).compute()["not_sum"]


@pytest.fixture(scope="module")
def found():
    return tasks.measure_features(FEATURES, LABELS, SIZES, np.float32(W))


@pytest.mark.slow  # the quick sibling is a network, in tests/targets/test_tasks.py
def test_they_are_as_defined(found):
    want = definitions.not_sum(FEATURES, LABELS, SIZES)
    assert float(found["not_sum"]) == pytest.approx(want, rel=1e-5)
    each = [definitions.nc1(FEATURES, LABELS[:, t], k) for t, k in enumerate(SIZES)]
    for task, nc1 in enumerate(each):
        assert float(found[f"task{task}/nc1"]) == pytest.approx(nc1, rel=1e-4)
    assert float(found["nc1"]) == pytest.approx(np.mean(each), rel=1e-4)
    means = [
        definitions.class_means(FEATURES, LABELS[:, t], k) for t, k in enumerate(SIZES)
    ]
    rows = [x - x.mean(0) for x in np.split(W, np.cumsum(SIZES)[:-1])]
    for end, vectors in ("", means), ("_w", rows):
        cosines = definitions.cross_task(vectors)
        assert float(found[f"cross_task{end}"]) == pytest.approx(
            cosines.mean(), rel=1e-4
        )
        largest = float(found[f"cross_task{end}_max"])
        assert largest == pytest.approx(cosines.max(), rel=1e-4)
    decided = [(FEATURES @ x.T).argmax(1) for x in np.split(W, np.cumsum(SIZES)[:-1])]
    for task, (k, own) in enumerate(zip(SIZES, decided, strict=True)):
        raw = [FEATURES[LABELS[:, task] == c].mean(0) for c in range(k)]
        nearest = np.linalg.norm(FEATURES[:, None] - np.stack(raw), axis=2).argmin(1)
        assert float(found[f"task{task}/nc4"]) == pytest.approx((nearest != own).mean())


@pytest.mark.slow
def test_scale_shift_and_rotation_do_not_matter(found):
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))
    moved = np.float32(1e-12 * (FEATURES @ turn + 3))
    other = tasks.measure_features(moved, LABELS, SIZES, np.float32(W))
    for key in ("not_sum", "cross_task", "nc1", "nc2"):
        assert float(other[key]) == pytest.approx(float(found[key]), rel=2e-3), key


@pytest.mark.slow
def test_sums_are_0_whatever_the_correlation():
    _, labels, _ = definitions.problem(SIZES, n=120)
    exact = np.pad(definitions.one_hot(labels, SIZES), ((0, 0), (0, 3))) + 100
    moments = task_moments(jnp.float32(exact), labels, SIZES)
    assert share(np.float32(exact), labels) < 1e-10
    # One vector for each class at right angles, but correlated labels tilt the means.
    means = [np.asarray(moments.task(t).means) for t in (0, 1)]
    assert definitions.cross_task([x - x.mean(0) for x in means]).mean() > 0.1
    rows = np.asarray(jax.jit(Sums.of)(moments).vectors[:-1])
    parts = [rows[place] - rows[place].mean(0) for place in moments.places]
    assert definitions.cross_task(parts).max() < 1e-4


def test_what_is_no_sum_is_seen():
    """The product of two signs is no sum of them."""
    labels = np.tile(np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.int32), (30, 1))
    signs = np.float32(2 * labels - 1)
    features = np.pad(np.c_[signs, signs.prod(1)], ((0, 0), (0, 5)))
    assert float(share(features, labels)) == pytest.approx(1 / 3, rel=1e-6)


def test_labels_that_determine_each_other():
    labels = LABELS % 2 * np.int32([1, 0]) + LABELS[:, :1] % 2 * np.int32([0, 1])
    want = definitions.not_sum(FEATURES, labels, SIZES)
    assert float(share(FEATURES, labels)) == pytest.approx(want, rel=1e-5)


def test_other_examples_are_measured_beside_the_sums_of_the_training_set():
    cut = 60
    want = definitions.not_sum(
        FEATURES[:cut], LABELS[:cut], SIZES, (FEATURES[cut:], LABELS[cut:])
    )

    @jax.jit
    def found(features, labels):
        moments = task_moments(features[:cut], labels[:cut], SIZES)
        empty = TaskPass.empty(moments, lambda m: SecondPass.empty(m, decisions=False))
        once = empty.update(features[cut:90], labels[cut:90])
        return once.merge(empty.update(features[90:], labels[90:])).compute()

    assert float(found(FEATURES, LABELS)["not_sum"]) == pytest.approx(want, rel=1e-5)


def test_what_is_undefined_is_nan():
    assert np.isnan(share(0 * FEATURES, LABELS))
    assert np.isnan(cross_cosines(jnp.zeros((1, 2)), jnp.ones((1, 2)))).all()
    assert np.isnan(cross_task([jnp.ones((2, 3))])).all()  # a single task


@pytest.mark.parametrize(
    ("labels", "sizes", "error", "message"),
    [
        (LABELS.astype(float), SIZES, TypeError, "are float64, must be int32"),
        (LABELS[:, 0], SIZES, ValueError, r"shape \(120,\), must be \[n, 2\]"),
        (LABELS, (3, 2, 2), ValueError, r"shape \(120, 2\), must be \[n, 3\]"),
        (LABELS, (2, 2), ValueError, r"task 0 lie in 0\.\.2, must lie in 0\.\.1"),
        (LABELS, (3, 1), ValueError, "at least 2 classes of each"),
        (LABELS, (), ValueError, "at least one task is needed"),
    ],
)
def test_bad_labels_are_refused(labels, sizes, error, message):
    with pytest.raises(error, match=message):
        tasks.check_labels(labels, sizes)


def test_other_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"3 \+ 2 classes and 8 features W is"):
        tasks.measure_features(FEATURES, LABELS, SIZES, W[:-1])
    with pytest.raises(ValueError, match="NaN or infinite"):
        tasks.measure_features(FEATURES * np.nan, LABELS, SIZES)
    for weights, message in (
        ((1.0,), "1 weights for 2 tasks"),
        ((1.0, 0.0), "got 0.0"),
    ):
        with pytest.raises(ValueError, match=message):
            tasks.task_weights(weights, 2)
    assert tasks.task_weights((), 2) == (1.0, 1.0)
