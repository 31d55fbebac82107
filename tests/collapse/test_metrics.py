"""Metrics against closed forms, invariances and plain NumPy float64 loops."""

import functools
import itertools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from ncjax import collapse
from ncjax.collapse import tiles
from ncjax.moments import class_moments


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def simplex(k, d, seed=0):
    """Unit rows [k, d] of a randomly rotated simplex ETF; d >= k - 1."""
    rng = np.random.default_rng(seed)
    _, _, basis = np.linalg.svd(np.eye(k) - 1 / k)
    rows = basis[: k - 1].T @ np.linalg.qr(rng.normal(size=(d, k - 1)))[0].T
    return rows * np.sqrt(k / (k - 1))


def clusters(k=6, d=9, n=20, std=0.1, seed=0, offset=3.0, balanced=False):
    """Features, labels, classifier, bias, in float64; classes unequally large."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(k, d)) + offset
    counts = np.full(k, n) if balanced else rng.integers(1, 2 * n, k)
    counts[0] = n if balanced else 1  # a singleton
    labels = rng.permutation(np.repeat(np.arange(k), counts))
    features = means[labels] + std * rng.normal(size=(len(labels), d))
    return features, labels, rng.normal(size=(k, d)) + 0.3, rng.normal(size=k)


_class_moments = jax.jit(class_moments, static_argnames=("num_classes", "scatter"))


def moments_of(features, labels, k=None, scatter="pooled"):
    k = int(labels.max() + 1 if k is None else k)
    return _class_moments(
        jnp.asarray(features), jnp.asarray(labels), num_classes=k, scatter=scatter
    )


measure = collapse.measure


class Compiled:
    """The package, each function compiled whole: eager primitives take seconds."""

    def __getattr__(self, name):
        def call(*args, **options):
            static = [k for k, v in options.items() if not isinstance(v, jax.Array)]
            return self._jit(name, *static)(*args, **options)

        return call

    @staticmethod
    @functools.cache
    def _jit(name, *static):
        return jax.jit(getattr(collapse, name), static_argnames=static)


compiled = Compiled()


def reference(features, labels, classifier, bias, convention=None):
    """Every metric of `measure`, from the definitions, by loops, in float64."""
    c = collapse.PRESETS["default"] if convention is None else convention
    h = np.asarray(features, np.float64)
    w = np.asarray(classifier, np.float64)
    k, n, d = len(w), len(h), h.shape[1]
    pairs = list(itertools.combinations(range(k), 2))
    mu = np.stack([h[labels == j].mean(0) for j in range(k)])
    share = np.array([np.mean(labels == j) for j in range(k)])
    mu_g = mu.mean(0) if c.global_mean == "classes" else h.mean(0)
    m = mu - mu_g
    within = sum(np.outer(x - mu[y], x - mu[y]) for x, y in zip(h, labels)) / n
    p = np.full(k, 1 / k) if c.between == "classes" else share
    between = sum(p[j] * np.outer(m[j], m[j]) for j in range(k))
    u, s, vt = np.linalg.svd(between)
    rank = min(k - 1, d)
    inverse = (vt[:rank].T / s[:rank]) @ u[:, :rank].T
    variance = np.array(
        [np.mean(np.sum((h[labels == j] - mu[j]) ** 2, 1)) for j in range(k)]
    )
    target = (np.eye(k) - 1 / k) / np.sqrt(k - 1)
    wc = w - w.mean(0) if c.center_classifier else w

    def unit(x):
        return x / np.linalg.norm(x)

    def rows(x):
        return np.stack([unit(r) for r in x])

    def etf(a, b):
        return np.linalg.norm(unit(a @ b.T) - target)

    def nc2(x):
        x = rows(x) if c.row_normalise else x
        return etf(x, x)

    def equinorm(x):
        norms = [np.linalg.norm(r) for r in x]
        return np.std(norms, ddof=c.ddof) / np.mean(norms)

    def cosines(x):
        return np.array([unit(x[i]) @ unit(x[j]) for i, j in pairs])

    def distances(x):
        return np.array([np.linalg.norm(unit(x[i]) - unit(x[j])) for i, j in pairs])

    v = np.array(
        [
            (variance[i] + variance[j]) / (2 * np.sum((mu[i] - mu[j]) ** 2))
            for i, j in pairs
        ]
    )
    products = np.array([wc[j] @ m[j] for j in range(k)])
    cosine = np.array([unit(w[j]) @ unit(m[j]) for j in range(k)])
    cosine_c = np.array([unit(wc[j]) @ unit(m[j]) for j in range(k)])
    duality = cosine_c if c.normalise_duality else products
    nc1 = np.trace(within @ inverse) / (k if c.divide_by_classes else 1)
    papyan = np.linalg.norm(unit(wc) - unit(m))
    m0 = mu - mu.mean(0)
    nuclear = np.linalg.norm(w.T @ m0, "nuc")
    size = np.linalg.norm(w) * np.linalg.norm(m0)
    exponent = d - 2 or 1
    centred_rows = np.sqrt(s[:rank])
    del cosine
    result = {
        "rank": rank,
        "numerical_rank": centred_rows.sum() ** 2 / np.sum(centred_rows**2),
        "nc1": nc1,
        "trace_ratio": np.trace(within) / np.trace(between),
        "cdnv": v.mean(),
        "snr": np.mean(1 / (2 * v)),
        "vci": 1 - np.trace(np.linalg.pinv(within + between) @ between) / rank,
        "nc2_means": nc2(m),
        "equinorm": equinorm(m),
        "equiangularity": cosines(m).std(),
        "max_angle": np.mean(np.abs(cosines(m) + 1 / (k - 1))),
        "uniformity": np.mean(-np.log(distances(m))),
        "uniformity_var": np.var(-np.log(distances(m))),
        "uniformity_riesz": np.log(np.mean(distances(m) ** -exponent)) / exponent,
        "nc2_w": nc2(wc),
        "equinorm_w": equinorm(wc),
        "equiangularity_w": cosines(wc).std(),
        "max_angle_w": np.mean(np.abs(cosines(wc) + 1 / (k - 1))),
        "nc3_etf": etf(wc, m),
        "nc3_papyan": papyan**2 if c.squared else papyan,
        "nc3_cosine": np.mean(1 - cosine_c),
        "uniform_duality": np.var(duality, ddof=c.duality_ddof),
        "shape_residual": 1 - nuclear / size,
        "misalignment": (nuclear - np.sum(w * m0)) / size,
        "bias_collapse": np.linalg.norm(w @ mu_g + bias),
    }
    return result | {"nc2": result[c.nc2], "nc3": result[c.nc3]}


ZERO_AT_COLLAPSE = [
    "nc1 trace_ratio cdnv vci nc2_means equinorm equiangularity max_angle",
    "uniformity_var nc2_w equinorm_w equiangularity_w max_angle_w nc3_etf nc3_papyan",
    "nc3_cosine uniform_duality shape_residual misalignment bias_collapse nc2 nc3",
]


@pytest.mark.parametrize(
    ("k", "d", "dtype"),
    [(2, 1, np.float64), (10, 9, np.float64), (10, 32, np.float32)],
)
def test_exact_simplex_is_collapse(k, d, dtype, x64):
    means = simplex(k, d).astype(dtype)
    common = np.full(d, 2.0, dtype)
    labels = np.repeat(np.arange(k), 3)
    features = (means + common)[labels]
    classifier = 3 * means
    bias = -(classifier.astype(np.float64) @ common).astype(dtype)
    moments = moments_of(features, labels)
    got = measure(moments, jnp.asarray(classifier), jnp.asarray(bias))
    atol = 30 * np.finfo(dtype).eps
    for name in " ".join(ZERO_AT_COLLAPSE).split():
        np.testing.assert_allclose(got[name], 0, atol=atol, err_msg=name)
    assert got["rank"] == k - 1
    assert np.isinf(got["snr"])
    np.testing.assert_allclose(got["numerical_rank"], k - 1, rtol=atol)
    even = -0.5 * np.log(2 * k / (k - 1))
    np.testing.assert_allclose(got["uniformity"], even, rtol=atol)
    np.testing.assert_allclose(got["uniformity_riesz"], even, rtol=atol)
    angles = compiled.principal_angles(moments, jnp.asarray(classifier))
    np.testing.assert_allclose(angles, 0, atol=atol)
    assert all(x.dtype == dtype for x in got.values())


@pytest.mark.parametrize(
    ("k", "d", "balanced"),
    [(6, 9, False), (9, 4, False), (2, 3, True)],
)
def test_matches_definitions(k, d, balanced, x64):
    data = clusters(k, d, balanced=balanced)
    features, labels, classifier, bias = data
    moments = moments_of(features, labels)
    got = measure(moments, jnp.asarray(classifier), jnp.asarray(bias))
    want = reference(*data)
    assert set(want) | {"nc1_floor"} == set(got)
    for name, value in want.items():
        np.testing.assert_allclose(
            got[name], value, rtol=1e-9, atol=1e-12, err_msg=name
        )


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_float32_is_enough(offset):
    """A common part 100 times the means, deviations 1e-3 of them."""
    features, labels, classifier, bias = clusters(10, 32, 50, 1e-3, offset=offset)
    data = [x.astype(np.float32) for x in (features, classifier, bias)]
    moments = moments_of(data[0], labels)
    got = measure(moments, jnp.asarray(data[1]), jnp.asarray(data[2]))
    want = reference(data[0], labels, data[1], data[2])
    for name, value in want.items():
        # W mu_G is a sum of terms as large as the common part.
        atol = 3e-3 if name == "bias_collapse" else 3e-6
        rtol = 1e-3 if name == "vci" else 1e-5
        np.testing.assert_allclose(
            got[name], value, rtol=rtol, atol=atol * (value > 1e-2), err_msg=name
        )


def test_empty_classes_do_not_exist(x64):
    features, labels, classifier, bias = clusters()
    k, holes = 6, np.array([1, 2, 4, 5, 7, 8])  # classes 0, 3, 6, 9 have no samples
    wide, offsets = np.full((10, 9), 7.0), np.full(10, 7.0)
    wide[holes], offsets[holes] = classifier, bias
    full = moments_of(features, labels, k)
    sparse = moments_of(features, holes[labels], 10)
    want = measure(full, jnp.asarray(classifier), jnp.asarray(bias))
    got = measure(sparse, jnp.asarray(wide), jnp.asarray(offsets))
    for name in want:
        np.testing.assert_allclose(
            got[name], want[name], rtol=1e-10, atol=1e-13, err_msg=name
        )
    target = classifier @ classifier.T
    padded = np.ones((10, 10))
    padded[np.ix_(holes, holes)] = target
    for center in (False, True):
        np.testing.assert_allclose(
            compiled.gram_distance(sparse, jnp.asarray(padded), center=center),
            compiled.gram_distance(full, jnp.asarray(target), center=center),
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


@pytest.mark.parametrize("change", ["shift", "scale", "rotate", "permute", "scale W"])
def test_invariances(change, x64):
    features, labels, classifier, bias = clusters()
    before = reference(features, labels, classifier, bias)
    rng = np.random.default_rng(1)
    changed = {"snr"}  # nothing of this set is compared
    if change == "shift":
        features = features + rng.normal(size=9)
        changed = {"bias_collapse"}
    elif change == "scale":
        features, changed = 1e-3 * features, {"bias_collapse"}
    elif change == "rotate":
        rotation = np.linalg.qr(rng.normal(size=(9, 9)))[0]
        features, classifier, changed = features @ rotation, classifier @ rotation, {}
    elif change == "permute":
        order = rng.permutation(6)
        labels, changed = order[labels], {}
        inverse = np.argsort(order)
        classifier, bias = classifier[inverse], bias[inverse]
    else:
        classifier, changed = 50 * classifier, {"bias_collapse"}
    got = measure(
        moments_of(features, labels), jnp.asarray(classifier), jnp.asarray(bias)
    )
    for name, value in before.items():
        if name not in changed:
            np.testing.assert_allclose(got[name], value, rtol=1e-8, err_msg=name)
    for name in changed:
        assert not np.allclose(got[name], before[name], rtol=1e-3)


def test_nc1_and_cdnv_at_a_simplex(x64):
    """NC1 <= 2 CDNV, (K-1)/K trace ratio; equal if Sigma_W lies in the span."""
    k, d, n = 5, 8, 7
    rng = np.random.default_rng(0)
    means, labels = simplex(k, d), np.repeat(np.arange(k), n)
    noise = 0.1 * rng.normal(size=(k, n, d))
    noise -= noise.mean(1, keepdims=True)
    inside = noise @ means.T @ np.linalg.pinv(means.T)
    for deviations, equal in [(noise, False), (inside, True)]:
        features = means[labels] + deviations.reshape(-1, d)
        got = measure(moments_of(features, labels), only=("nc1", "cdnv", "trace_ratio"))
        np.testing.assert_allclose(
            2 * got["cdnv"], (k - 1) / k * got["trace_ratio"], rtol=1e-10
        )
        slack = 2 * got["cdnv"] - got["nc1"]
        assert abs(slack) < 1e-13 if equal else slack > 1e-3


@pytest.mark.parametrize(
    ("d", "value"),
    [(1, 1.15470), (2, 1.02820), (5, 0.71364), (8, 0.33820), (9, 0)],
)
def test_least_nc2_of_few_dimensions(d, value, x64):
    _, _, basis = np.linalg.svd(np.eye(10) - 0.1)
    rows = jnp.asarray(basis[:d].T)
    np.testing.assert_allclose(compiled.nc2(rows), value, atol=6e-6)


@pytest.mark.parametrize(
    ("d", "value"),
    [(2, 1.0644), (9, 0.7735), (64, 0.3669), (512, 0.1362), (2048, 0.0685)],
)
def test_nc2_of_random_means_is_small_in_many_dimensions(d, value):
    """Against averages of NumPy, K = 10, 20,000 trials (4,000 and 1,500 at the end)."""
    trials = 2000 if d < 100 else 200
    rows = jax.random.normal(jax.random.key(d), (trials, 10, d))
    values = jax.lax.map(lambda x: collapse.nc2(x, center=True), rows)
    error = 4 * values.std() / np.sqrt(trials)
    np.testing.assert_allclose(values.mean(), value, atol=error + 2e-4)


def test_nc3_of_unrelated_and_of_opposite_classifier():
    features, labels, _, _ = clusters(10, 64, 5, 0.1)
    moments = moments_of(features.astype(np.float32), labels)
    rows = jax.random.normal(jax.random.key(0), (2000, 10, 64))
    values = jax.jit(jax.vmap(lambda w: collapse.nc3(moments, w)))(rows)
    np.testing.assert_allclose(values.mean(), 1.4155, atol=4e-3)
    means = jnp.asarray(simplex(10, 64), jnp.float32)
    moments = moments_of(means, np.arange(10))
    np.testing.assert_allclose(compiled.nc3(moments, -2 * means), 2, rtol=1e-6)
    np.testing.assert_allclose(compiled.nc3_papyan(moments, -means), 4, rtol=1e-6)


@pytest.mark.parametrize("std", [1e-1, 1e-2, 1e-3, 1e-4])
def test_nc1_survives_float32(std):
    """Means of norm 40: raw second moments are wrong by a factor 30 at std 1e-3."""
    rng = np.random.default_rng(0)
    means, labels = 5 * rng.normal(size=(10, 64)), np.repeat(np.arange(10), 500)
    features = means[labels] + std * rng.normal(size=(5000, 64))
    features = features.astype(np.float32)
    moments = moments_of(features, labels)
    with jax.enable_x64(True):
        exact = compiled.nc1(moments_of(features.astype(np.float64), labels))
    np.testing.assert_allclose(compiled.nc1(moments), exact, rtol=1e-5)
    _, directions = compiled.between_basis(moments)
    variance = compiled.within_variance(
        jnp.asarray(features), jnp.asarray(labels), moments, directions
    )
    light = moments_of(features, labels, scatter="none")
    got = compiled.nc1(light, within_variance=variance)
    np.testing.assert_allclose(got, exact, rtol=1e-5)


@functools.partial(jax.jit, static_argnames=("between", "divide_by_classes"))
def _nc1_in(moments, basis, **options):
    return collapse.nc1(moments, basis=basis, **options)


@pytest.mark.parametrize("between", ["classes", "samples"])
@pytest.mark.parametrize("smallest", [1.0, 1e-3, 1e-5, 1e-9])
def test_nc1_of_more_classes_than_dimensions(smallest, between):
    """One direction of the means ever weaker: solved, and dropped at the same point."""
    rng = np.random.default_rng(0)
    means, labels = rng.normal(size=(80, 16)), np.arange(1000) % 75  # 5 of them empty
    means[:, 0] *= smallest
    features = means[labels] + 1e-2 * rng.normal(size=(1000, 16))
    with jax.enable_x64(True):
        moments = moments_of(features, labels, 80)
        basis = compiled.between_basis(moments, between=between)
        for option in (True, False):
            options = {"between": between, "divide_by_classes": option}
            want = _nc1_in(moments, basis, **options)
            got = compiled.nc1(moments, **options)
            np.testing.assert_allclose(got, want, rtol=1e-9)
    features = features.astype(np.float32)
    with jax.enable_x64(True):
        exact = compiled.nc1(moments_of(features.astype(np.float64), labels, 80))
    moments = moments_of(features, labels, 80)
    np.testing.assert_allclose(compiled.nc1(moments), exact, rtol=1e-5)


@pytest.mark.parametrize("present", [16, 17])
def test_nc1_of_more_classes_of_which_few_are_there(present):
    rng = np.random.default_rng(0)
    means, labels = rng.normal(size=(40, 16)), np.arange(680) % present
    features = (means[labels] + 1e-2 * rng.normal(size=(680, 16))).astype(np.float32)
    few, many = (moments_of(features, labels, k) for k in (present, 40))
    want = _nc1_in(few, compiled.between_basis(few))
    np.testing.assert_allclose(compiled.nc1(many), want, rtol=1e-4)


def test_within_variance_masks_and_blocks(x64, monkeypatch):
    features, labels, _, _ = clusters()
    moments = moments_of(features, labels)
    directions = compiled.between_basis(moments)[1]
    labels = np.concatenate([labels, [-1, 6, 0]])
    features = np.concatenate([features, np.ones((3, 9))])
    weights = np.ones(len(labels))
    weights[-1] = 0
    want = np.einsum("ri,ij,rj->r", directions, moments.within_cov, directions)
    for rows in (4096, 7):
        monkeypatch.setattr(collapse.variability, "_ROWS", rows)
        arrays = [jnp.asarray(x) for x in (features, labels, weights)]
        # A new function: what was compiled before holds the old constant.
        got = jax.jit(
            lambda h, y, w: collapse.within_variance(h, y, moments, directions, w)
        )(*arrays)
        np.testing.assert_allclose(got, want, rtol=1e-10)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_nc1_floor_is_nc1_of_rounding(dtype):
    rng = np.random.default_rng(0)
    means, labels = rng.normal(size=(10, 64)), np.repeat(np.arange(10), 200)
    ulp = float(jnp.finfo(dtype).eps) * 2.0 ** np.floor(np.log2(np.abs(means)))

    def rounded(share):
        noise = share * ulp[labels] * rng.normal(size=(2000, 64))
        features = jnp.asarray(means[labels] + noise, jnp.float32)
        with jax.enable_x64(True):  # float32 must not be rounded before its time
            features = jnp.asarray(means[labels] + noise).astype(dtype)
        moments = moments_of(features, labels)
        return compiled.nc1(moments), compiled.nc1_floor(moments)

    for share in (0.1, 0.2):  # of an ulp: less than the rounding error
        nc1, floor = rounded(share)
        assert 0.5 < nc1 / floor < 2
    nc1, floor = rounded(1e-3)  # classes round to one number: below the floor
    assert nc1 < 0.1 * floor
    nc1, floor = rounded(10)
    assert nc1 > 100 * floor


def test_vci_is_blind_to_linear_maps(x64):
    features, labels, _, _ = clusters()
    mixed = features @ np.random.default_rng(1).normal(size=(9, 9))
    got = measure(moments_of(features, labels), only=("vci", "nc1"))
    other = measure(moments_of(mixed, labels), only=("vci", "nc1"))
    np.testing.assert_allclose(got["vci"], other["vci"], rtol=1e-8)
    assert abs(got["nc1"] - other["nc1"]) > 0.1 * got["nc1"]


def test_vci_of_singular_within_covariance(x64):
    """ReLU features have dead coordinates; few samples leave directions empty."""
    features, labels, _, _ = clusters(4, 12, 20)
    features[:, :3] = 0
    moments = moments_of(features, labels)
    within, k = np.asarray(moments.within_cov), 4
    centred = np.asarray(compiled.centred_means(moments))
    between = centred.T @ centred / k
    want = 1 - np.trace(np.linalg.pinv(within + between) @ between) / 3
    np.testing.assert_allclose(compiled.vci(moments), want, rtol=1e-8)


def test_numerical_rank(x64):
    rows = np.diag([3.0, 4.0, 0.0])[:, :2]
    np.testing.assert_allclose(compiled.numerical_rank(jnp.asarray(rows)), 49 / 25)
    flat = jnp.outer(jnp.arange(1.0, 6), jnp.arange(1.0, 4))
    np.testing.assert_allclose(compiled.numerical_rank(flat), 1, rtol=1e-7)


def test_gram_distance(x64):
    features, labels, classifier, _ = clusters()
    moments = moments_of(features, labels)
    centring = np.eye(6) - 1 / 6
    target = classifier @ classifier.T
    rows = jnp.asarray(classifier)
    np.testing.assert_allclose(
        compiled.gram_distance(moments, jnp.asarray(centring)),
        compiled.nc2(moments),
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        compiled.gram_distance(rows, jnp.asarray(3 * target)), 0, atol=1e-12
    )
    centred = centring @ target @ centring
    means = np.asarray(compiled.centred_means(moments))
    gram = means @ means.T
    want = gram / np.linalg.norm(gram) - centred / np.linalg.norm(centred)
    np.testing.assert_allclose(
        compiled.gram_distance(moments, jnp.asarray(target), center=True),
        np.linalg.norm(want),
    )
    with pytest.raises(ValueError, match=r"target Gram matrix has shape \(5, 5\)"):
        compiled.gram_distance(moments, jnp.eye(5))


def test_center_and_row_normalise(x64):
    classifier = clusters()[2]
    centred = classifier - classifier.mean(0)
    unit = classifier / np.linalg.norm(classifier, axis=1, keepdims=True)
    for name in ("nc2", "equinorm", "equiangularity", "max_angle"):
        metric = getattr(compiled, name)
        np.testing.assert_allclose(
            metric(jnp.asarray(classifier), center=True), metric(jnp.asarray(centred))
        )
        assert metric(jnp.asarray(classifier)) != metric(jnp.asarray(centred))
    np.testing.assert_allclose(
        compiled.nc2(jnp.asarray(classifier), row_normalise=True),
        compiled.nc2(jnp.asarray(unit)),
    )


def test_uniformity_of_wide_features_in_float32():
    """The energy itself, distance^-510, is 0 or infinite in float32."""
    rows = np.random.default_rng(0).normal(size=(30, 512))
    rows[1] = rows[0] + 0.5 * rows[1]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    distances = scipy.spatial.distance.pdist(unit)
    got = compiled.riesz_kernel(jnp.asarray(rows, jnp.float32))
    want = scipy.special.logsumexp(-510 * np.log(distances)) - np.log(len(distances))
    np.testing.assert_allclose(got, want / 510, rtol=1e-5)
    near = compiled.riesz_kernel(jnp.asarray(rows, jnp.float32), exponent=1e-3)
    mean, variance = compiled.log_kernel(jnp.asarray(rows, jnp.float32))
    np.testing.assert_allclose(near, mean, atol=1e-3)
    np.testing.assert_allclose(mean, -np.log(distances).mean(), rtol=1e-5)
    np.testing.assert_allclose(variance, np.log(distances).var(), rtol=1e-4)
    with pytest.raises(ValueError, match="log_kernel"):
        collapse.riesz_kernel(jnp.asarray(rows), exponent=0.0)


@pytest.mark.parametrize(("k", "d"), [(4, 9), (9, 4)])
def test_principal_angles_match_scipy(k, d, x64):
    features, labels, classifier, _ = clusters(k, d)
    moments = moments_of(features, labels)
    centred = classifier - classifier.mean(0)
    got = compiled.principal_angles(
        moments, jnp.asarray(classifier), center_classifier=True
    )
    r = min(k - 1, d)
    means = np.asarray(compiled.centred_means(moments))
    bases = [np.linalg.svd(x)[2][:r].T for x in (means, centred)]
    want = np.sort(scipy.linalg.subspace_angles(*bases))
    np.testing.assert_allclose(got, want, atol=1e-12)
    # W not centred has rank K: angles of subspaces of different dimension.
    got = compiled.principal_angles(moments, jnp.asarray(classifier))
    bases[1] = np.linalg.svd(classifier)[2][: min(k, d)].T
    want = np.sort(scipy.linalg.subspace_angles(*bases))
    np.testing.assert_allclose(got, want, atol=1e-12)


def test_small_angles_in_float32():
    """Alone, arccos resolves 3e-4; a rotation by 1e-5 must show."""
    means = np.zeros((3, 4))
    means[:, :2] = simplex(3, 2)
    moments = moments_of(means.astype(np.float32), np.arange(3))
    turned = means.copy()
    turned[:, 2] = 1e-5 * means[:, 1]
    angles = compiled.principal_angles(moments, jnp.asarray(turned, jnp.float32))
    np.testing.assert_allclose(angles, [0, 1e-5], atol=2e-7)


@pytest.mark.parametrize(("k", "d"), [(4, 9), (9, 4)])
def test_rotation_splits_duality(k, d, x64):
    features, labels, classifier, _ = clusters(k, d)
    moments = moments_of(features, labels)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(d, d)))[0]
    means = np.asarray(compiled.centred_means(moments))
    turned = jnp.asarray(5 * means @ rotation)
    np.testing.assert_allclose(compiled.shape_residual(moments, turned), 0, atol=1e-12)
    for rows in (turned, jnp.asarray(classifier)):
        np.testing.assert_allclose(
            compiled.shape_residual(moments, rows)
            + compiled.misalignment(moments, rows),
            compiled.nc3_papyan(moments, rows) / 2,
        )


@pytest.mark.parametrize("d", [4, 20])
def test_tiles_equal_one_block(d, x64, monkeypatch):
    """K = 11 by blocks of 4; d = 4 has the K > 2d identities, d = 20 has not."""
    features, labels, classifier, bias = clusters(11, d)
    names = "cdnv snr nc2_means equiangularity max_angle_w uniformity uniformity_var "
    names = [*names.split(), "uniformity_riesz", "nc3_etf"]
    want = reference(features, labels, classifier, bias)
    monkeypatch.setattr(tiles, "BLOCK", 4)
    monkeypatch.setattr(tiles, "DIFFERENCES", 1)
    # A new function: what `measure` has compiled holds the old constants.
    tiled = jax.jit(lambda *args: collapse.measure(*args, only=names))
    moments, rows = moments_of(features, labels), jnp.asarray(classifier)
    assert "while" in tiled.lower(moments, rows).as_text()
    got = tiled(moments, rows)
    for name in names:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-9, err_msg=name)


@pytest.mark.slow
def test_vmap_is_a_loop():
    names = "nc1 nc1_floor cdnv vci nc2_means max_angle_w uniformity_riesz nc3_etf "
    names = [*names.split(), "misalignment"]
    runs = [clusters(seed=seed, balanced=True) for seed in range(3)]
    features, labels, classifiers, biases = (
        jnp.stack([jnp.asarray(run[i]) for run in runs]) for i in range(4)
    )

    def run(features, labels, classifier, bias):
        moments = class_moments(features, labels, 6)
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
    names = [n for n in collapse.METRICS if n not in ("rank", "nc1_floor", "vci")]

    @jax.jit
    def values(features, classifier, bias):
        moments = class_moments(features, labels, 4)
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
    names = "trace_ratio cdnv nc2_means equinorm equiangularity max_angle uniformity "
    names += "uniformity_riesz nc3_etf nc3_papyan nc3_cosine uniform_duality"

    def total(features, classifier):
        moments = class_moments(features, labels, 4)
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
        "cdnv",
        "vci",
        "nc2_means",
        "equinorm",
        "nc3_etf",
    ]
    got = measure(one, jnp.asarray(classifier, jnp.float32), only=names)
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
from ncjax.moments import ClassMoments

k, d = 100_000, 512
rows = jax.random.normal(jax.random.key(0), (2, k, d))
moments = ClassMoments(
    count=jnp.full(k, 10.0), pivot=rows[0], offset=1e-3 * rows[1],
    spread=jnp.ones(k), scatter=jnp.eye(d), resolution=jnp.asarray(2.0**-23),
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
    assert set(collapse.METRICS) <= set(got)
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
