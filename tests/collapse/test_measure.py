"""All metrics together: closed forms, definitions, invariances, bad input."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import collapse
from ncjax.collapse.registry import crowded
from ncjax.moments import class_moments
from tests.collapse.definitions import Definitions, references
from tests.collapse.problems import clusters, compiled, moments_of, simplex


def described(k=2, d=1):
    """The metrics that `collapse.measure` computes, by key."""
    return {key: collapse.METRICS[key] for key in collapse.available(k, d)}


def measured(features, labels, classifier, bias):
    """All metrics of made-up features [n, d] and a classifier."""
    moments = moments_of(features, labels)
    normalised = None
    if crowded(moments.num_classes, moments.feature_dim):
        normalised = moments_of(compiled.normalise(jnp.asarray(features)), labels)
    given = jnp.asarray(classifier), jnp.asarray(bias)
    return collapse.measure(moments, *given, normalised=normalised)


def defined(*data, convention=None):
    """All metrics by their definitions; the test of each metric has its own."""
    problem = Definitions(*data, convention=convention)
    return {key: function(problem) for key, function in references().items()}


def test_every_metric_has_a_definition():
    missing = {*collapse.available(), *collapse.available(9, 4)} - {*references()}
    assert not missing, (
        f"Add the definitions of {missing} to REFERENCES in the tests of their module."
    )


@pytest.mark.parametrize(
    ("k", "d", "dtype"),
    [(2, 1, np.float64), (10, 9, np.float64), (10, 32, np.float32)],
)
def test_exact_simplex_is_collapse(k, d, dtype, x64):
    """At an exact simplex every metric has the limit that it claims."""
    means = simplex(k, d).astype(dtype)
    common = np.full(d, 2.0, dtype)
    labels = np.repeat(np.arange(k), 3)
    features = (means + common)[labels]
    classifier = 3 * means
    bias = -(classifier.astype(np.float64) @ common).astype(dtype)
    got = measured(features, labels, classifier, bias)
    tolerance = 30 * np.finfo(dtype).eps
    for name, metric in described().items():
        limit = metric.limit(k, d)
        if limit is not None:
            np.testing.assert_allclose(
                got[name], limit, tolerance, tolerance * (limit == 0), err_msg=name
            )
    assert got["rank"] == k - 1
    moments = moments_of(features, labels)
    angles = compiled.principal_angles(moments, jnp.asarray(classifier))
    np.testing.assert_allclose(angles, 0, atol=tolerance)
    assert all(x.dtype == dtype for x in got.values())


@pytest.mark.parametrize(
    ("k", "d", "balanced"),
    [(6, 9, False), (9, 4, False), (2, 3, True)],
)
def test_matches_definitions(k, d, balanced, x64):
    data = clusters(k, d, balanced=balanced)
    got, want = measured(*data), defined(*data)
    assert set(got) == set(collapse.available(k, d))
    for name, value in got.items():
        exact = not name.startswith("one_vs_rest")  # which stops once it is certified
        np.testing.assert_allclose(
            value, want[name], rtol=1e-9 if exact else 1e-6, atol=1e-12, err_msg=name
        )


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_float32_is_enough(offset):
    """A common part 100 times the means, deviations 1e-3 of them."""
    features, labels, classifier, bias = clusters(10, 32, 50, 1e-3, offset=offset)
    features, classifier, bias = (
        x.astype(np.float32) for x in (features, classifier, bias)
    )
    got = measured(features, labels, classifier, bias)
    want = defined(features, labels, classifier, bias)
    for name in collapse.available():
        if name == "nc1_floor":  # of float64 in the definition
            continue
        # W mu_G is a sum of terms as large as the common part.
        atol = 3e-3 if name == "bias_collapse" else 3e-6
        rtol = 1e-3 if name == "vci" else 1e-5
        np.testing.assert_allclose(
            got[name],
            want[name],
            rtol=rtol,
            atol=atol * (want[name] > 1e-2),
            err_msg=name,
        )


def test_empty_classes_do_not_exist(x64):
    features, labels, classifier, bias = clusters()
    k, holes = 6, np.array([1, 2, 4, 5, 7, 8])  # classes 0, 3, 6, 9 have no samples
    wide, offsets = np.full((10, 9), 7.0), np.full(10, 7.0)
    wide[holes], offsets[holes] = classifier, bias
    full = moments_of(features, labels, k)
    sparse = moments_of(features, holes[labels], 10)
    want = collapse.measure(full, jnp.asarray(classifier), jnp.asarray(bias))
    got = collapse.measure(sparse, jnp.asarray(wide), jnp.asarray(offsets))
    for name in want:
        np.testing.assert_allclose(
            got[name], want[name], rtol=1e-10, atol=1e-13, err_msg=name
        )
    target = classifier @ classifier.T
    padded = np.ones((10, 10))
    padded[np.ix_(holes, holes)] = target
    np.testing.assert_allclose(
        compiled.gram_distance(sparse, jnp.asarray(padded)),
        compiled.gram_distance(full, jnp.asarray(target)),
        rtol=1e-10,
    )
    matrix = compiled.cdnv_matrix(sparse)
    np.testing.assert_allclose(
        matrix[jnp.ix_(jnp.asarray(holes), jnp.asarray(holes))],
        compiled.cdnv_matrix(full),
        rtol=1e-10,
    )
    assert np.isnan(matrix[0]).all()
    queries = jnp.asarray(features + 0.8)
    np.testing.assert_array_equal(
        compiled.nearest_mean(queries, sparse),
        holes[compiled.nearest_mean(queries, full)],
    )
    wrong = jnp.asarray(holes[(labels + 1) % 6])
    assert compiled.ncc_accuracy(jnp.asarray(features), wrong, sparse) < 0.5
    angles = compiled.principal_angles(sparse, jnp.asarray(wide))
    np.testing.assert_allclose(
        angles[:5], compiled.principal_angles(full, jnp.asarray(classifier)), atol=1e-12
    )
    assert np.isnan(angles[5:]).all()


@pytest.mark.parametrize("d", [9, 4])
@pytest.mark.parametrize("change", ["shift", "scale", "rotate", "permute", "scale W"])
def test_invariances(change, d, x64):
    """What leaves the geometry as it is changes the metrics that say so, no others."""
    features, labels, classifier, bias = clusters(d=d)
    before = measured(features, labels, classifier, bias)
    rng = np.random.default_rng(1)
    if change == "shift":
        features = features + rng.normal(size=d)
    elif change == "scale":
        features = 1e-3 * features
    elif change == "rotate":
        rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
        features, classifier = features @ rotation, classifier @ rotation
    elif change == "permute":
        order = rng.permutation(6)
        labels, inverse = order[labels], np.argsort(order)
        classifier, bias = classifier[inverse], bias[inverse]
    else:
        classifier = 50 * classifier
    after = measured(features, labels, classifier, bias)
    for name, metric in described(6, d).items():
        if change in metric.changes_with:
            assert not np.allclose(after[name], before[name], rtol=1e-3, atol=0), name
        else:
            exact = not name.startswith("one_vs_rest")
            np.testing.assert_allclose(
                after[name], before[name], rtol=1e-8 if exact else 1e-6, err_msg=name
            )


@pytest.mark.slow
def test_vmap_is_a_loop():
    names = "nc1 nc1_floor cdnv vci nc2_means max_angle_w uniformity_riesz nc3_etf "
    names = [*names.split(), "misalignment"]
    runs = [clusters(seed=seed, balanced=True) for seed in range(3)]
    features, labels, classifiers, biases = (
        jnp.stack([jnp.asarray(run[i]) for run in runs]) for i in range(4)
    )

    def run(features, labels, classifier, bias):
        moments = class_moments(features, labels, 6, largest_norm=True)
        results = collapse.measure(moments, classifier, bias, only=names)
        results["nc4"] = collapse.nc4(features, features @ classifier.T, moments)
        results["angle"] = collapse.principal_angles(moments, classifier)[-1]
        return results

    together = jax.jit(jax.vmap(run))(features, labels, classifiers, biases)
    single = jax.jit(run)
    for i in range(3):
        alone = single(features[i], labels[i], classifiers[i], biases[i])
        for name, value in alone.items():
            np.testing.assert_allclose(
                together[name][i], value, rtol=2e-5, atol=1e-6, err_msg=name
            )


@pytest.mark.slow
def test_gradients_match_differences(x64):
    features, labels, classifier, bias = clusters(4, 5, 3, balanced=True)
    labels = jnp.asarray(labels)
    names = [n for n in collapse.available() if collapse.METRICS[n].gradient]

    @jax.jit
    def values(features, classifier, bias):
        moments = class_moments(features, labels, 4, largest_norm=True)
        results = collapse.measure(moments, classifier, bias, only=names)
        return jnp.stack(
            [
                jnp.log(results[name]) if name == "snr" else results[name]
                for name in names
            ]
        )

    args = [jnp.asarray(x) for x in (features, classifier, bias)]
    rng = np.random.default_rng(0)
    step = [jnp.asarray(rng.normal(size=x.shape)) for x in args]
    jacobian = jax.jit(jax.jacrev(values, argnums=(0, 1, 2)))(*args)
    got = sum(np.tensordot(j, s, s.ndim) for j, s in zip(jacobian, step, strict=True))
    eps = 1e-5
    ahead = values(*(a + eps * s for a, s in zip(args, step)))
    behind = values(*(a - eps * s for a, s in zip(args, step)))
    for name, value, want in zip(names, got, (ahead - behind) / (2 * eps)):
        np.testing.assert_allclose(value, want, rtol=1e-5, atol=1e-7, err_msg=name)


def test_gradients_are_finite_at_collapse():
    """What has no singular vectors in it can be a regulariser up to the end."""
    means = jnp.asarray(simplex(4, 6), jnp.float32)
    labels = jnp.repeat(jnp.arange(4), 3)
    names = (
        "trace_ratio rnc1 cdnv nc2_means equinorm equiangularity max_angle uniformity "
    )
    names += "uniformity_riesz nc3_etf nc3_papyan nc3_cosine uniform_duality"

    def total(features, classifier):
        moments = class_moments(features, labels, 4, largest_norm=True)
        results = collapse.measure(moments, classifier, only=names.split())
        return sum(results.values())

    for gradient in jax.jit(jax.grad(total, (0, 1)))(means[labels], means):
        assert np.isfinite(gradient).all()


def test_undefined_is_nan_not_zero():
    features, labels, classifier, _ = clusters()
    one = moments_of(features[labels == 1].astype(np.float32), labels[labels == 1], 6)
    names = [
        "nc1",
        "nc1_floor",
        "trace_ratio",
        "rnc1",
        "cdnv",
        "vci",
        "nc2_means",
        "equinorm",
        "nc3_etf",
    ]
    got = collapse.measure(one, jnp.asarray(classifier, jnp.float32), only=names)
    for name in names:
        assert np.isnan(got[name]), name
    same = moments_of(np.ones((6, 3), np.float32), np.arange(6) % 2)
    assert np.isnan(compiled.nc1(same))


def test_bad_input_is_refused():
    features, labels, classifier, _ = clusters()
    moments = moments_of(features.astype(np.float32), labels)
    light = moments.replace(scatter=None)
    single = jax.eval_shape(
        lambda: class_moments(jnp.ones((3, 2)), jnp.zeros(3, int), 1)
    )
    for message, name, *args in [
        (r"shape \(9, 6\).*transpose a Linen", "nc3", moments, classifier.T),
        ("at least 2 classes, got 1", "nc1", single),
        ("scatter='none'", "nc1", light),
        ("6 rows, but `present` has 4", "nc2", moments, np.ones(4, bool)),
    ]:
        args = jax.tree.map(jnp.asarray, args) if name != "nc1" else args
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(getattr(collapse, name), *args)
    with pytest.raises(ValueError, match=r"shape \(3,\).*has 5 directions"):
        compiled.nc1(moments, within_variance=jnp.ones(3))


_HUGE = """
import resource, sys
import jax, jax.numpy as jnp
from ncjax import collapse
from ncjax.collapse.registry import crowded
from ncjax.moments import ClassMoments

k, d = 100_000, 512
rows = jax.random.normal(jax.random.key(0), (2, k, d))
moments = ClassMoments(
    count=jnp.full(k, 10.0), pivot=rows[0], offset=1e-3 * rows[1],
    spread=jnp.ones(k), scatter=jnp.eye(d), resolution=jnp.asarray(2.0**-23),
    largest=jnp.max(jnp.sum(rows[0]**2, 1)),
)
results = collapse.measure(moments, rows[1], jnp.zeros(k))
results["nearest"] = collapse.nearest_mean(rows[0, :5], moments)[4]
for name, value in results.items():
    print(name, float(value))
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.slow
def test_hundred_thousand_classes_in_four_gibibytes():
    """Every metric at K = 100,000, d = 512, where one K x K matrix is 40 GB."""
    done = subprocess.run(
        [sys.executable, "-c", _HUGE], capture_output=True, text=True, check=True
    )
    lines = (line.split() for line in done.stdout.splitlines())
    got = {name: float(value) for name, value in lines}
    assert set(collapse.available()) <= set(got)
    assert got["peak"] < 4  # GiB
    assert got["rank"] == 512
    # K random directions: the floor of NC2, cosines of variance 1/d, V = 1/2d^2 ...
    floor = np.sqrt(2 - 2 * np.sqrt(512 / 99_999))
    np.testing.assert_allclose(got["nc2"], floor, rtol=1e-3)
    np.testing.assert_allclose(got["equiangularity"], 512**-0.5, rtol=1e-3)
    np.testing.assert_allclose(got["max_angle"], np.sqrt(2 / np.pi / 512), rtol=1e-3)
    np.testing.assert_allclose(got["cdnv"], 0.1 / 1020, rtol=1e-3)
    np.testing.assert_allclose(got["uniformity"], -0.5 * np.log(2), atol=2e-3)
    np.testing.assert_allclose(got["nc3"], np.sqrt(2), rtol=1e-2)
    assert got["nearest"] == 4
