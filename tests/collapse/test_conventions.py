"""Presets against the public definitions, and what `measure` returns."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import collapse
from ncjax.collapse import PRESETS, Convention, Metric
from tests.collapse.problems import clusters, moments_of
from tests.collapse.test_measure import defined


def papyan2020(h, y, w, b):
    """Public notebook: truncated SVD of rank C-1, no 1/C, torch.std, squared NC3."""
    k = len(w)
    mu = np.stack([h[y == c].mean(0) for c in range(k)])
    m = (mu - mu.mean(0)).T  # [d, C]
    within = np.mean([np.outer(x - mu[c], x - mu[c]) for x, c in zip(h, y)], axis=0)
    vectors, values, _ = np.linalg.svd(m @ m.T / k)
    inverse = vectors[:, : k - 1] / values[: k - 1] @ vectors[:, : k - 1].T

    def coherence(v):  # [d, C]
        v = v / np.linalg.norm(v, axis=0)
        g = v.T @ v + np.ones((k, k)) / (k - 1)
        g -= np.diag(np.diag(g))
        return np.abs(g).sum() / (k * (k - 1))

    def equinorm(v):
        norms = np.linalg.norm(v, axis=0)
        return norms.std(ddof=1) / norms.mean()

    nc3 = np.linalg.norm(w.T / np.linalg.norm(w) - m / np.linalg.norm(m)) ** 2
    return {
        "nc1": np.trace(within @ inverse),
        "equinorm": equinorm(m),
        "equinorm_w": equinorm(w.T),
        "max_angle": coherence(m),
        "max_angle_w": coherence(w.T),
        "nc3": nc3,
        "nc3_papyan": nc3,
    }


def etf_distance(a):
    k = len(a)
    target = (np.eye(k) - np.ones((k, k)) / k) / np.sqrt(k - 1)
    return np.linalg.norm(a / np.linalg.norm(a) - target)


def zhu2021(h, y, w, b):
    """Mean over samples, NC2 of W as it is, NC3 of W times centred means, and b."""
    k, mean = len(w), h.mean(0)
    mu = np.stack([h[y == c].mean(0) for c in range(k)])
    within = np.mean([np.outer(x - mu[c], x - mu[c]) for x, c in zip(h, y)], axis=0)
    between = np.mean([np.outer(m - mean, m - mean) for m in mu], axis=0)
    return {
        "nc1": np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / k,
        "nc2": etf_distance(w @ w.T),
        "nc2_w": etf_distance(w @ w.T),
        "nc3": etf_distance(w @ (mu - mean).T),
        "bias_collapse": np.linalg.norm(w @ mean + b),
    }


def kothapalli2023(h, y, w, b):
    """The scalars of the review: mean of class means, NC2 of the means, NC3 = W M'."""
    k = len(w)
    mu = np.stack([h[y == c].mean(0) for c in range(k)])
    m = mu - mu.mean(0)
    within = np.mean([np.outer(x - mu[c], x - mu[c]) for x, c in zip(h, y)], axis=0)
    inverse = np.linalg.pinv(m.T @ m / k, rcond=1e-10)
    return {
        "nc1": np.trace(within @ inverse) / k,
        "nc2": etf_distance(m @ m.T),
        "nc3": etf_distance(w @ m.T),
    }


def wu2024(h, y, w, b):
    """Public package: also CDNV, log-kernel statistics, variance of <w_k, m_k>."""
    k = len(w)
    mu = np.stack([h[y == c].mean(0) for c in range(k)])
    m = mu - mu.mean(0)
    unit = m / np.linalg.norm(m, axis=1, keepdims=True)
    above = np.triu_indices(k, 1)
    spread = np.array([np.mean(np.sum((h[y == c] - mu[c]) ** 2, 1)) for c in range(k)])

    def squares(x):
        return np.sum((x[:, None] - x[None]) ** 2, axis=-1)[above]

    grid = np.log(squares(unit) ** -0.5)
    average = (spread[:, None] + spread)[above] / 2
    return kothapalli2023(h, y, w, b) | {
        "cdnv": np.mean(average / squares(mu)),
        "uniformity": grid.mean(),
        "uniformity_var": grid.var(),
        "uniform_duality": np.sum(w * m, axis=1).var(ddof=1),
    }


def zhao2026(h, y, w, b):
    """Public code: names of `log_results`, by its definitions; NC0 is not squared."""
    k = len(w)
    mu = np.stack([h[y == c].mean(0) for c in range(k)])
    m = mu - mu.mean(0)
    rows = w.sum(0)
    papyan = papyan2020(h, y, w, b)
    norms = ("equinorm", "equinorm_w", "max_angle", "max_angle_w")  # NC2n, NC2Wn, ...
    difference = w / np.linalg.norm(w) - m / np.linalg.norm(m)
    return {name: papyan[name] for name in norms} | {
        "nc0": np.linalg.norm(rows),
        "nc0_squared": rows @ rows / k,  # alpha of the text
        "nc1": kothapalli2023(h, y, w, b)["nc1"],
        "nc2": etf_distance(m @ m.T),
        "nc2_w": etf_distance(w @ w.T),
        "nc3_etf": etf_distance(w @ m.T),  # NC2M
        "nc3": np.linalg.norm(difference),
        "uniform_duality": np.sum(w * m, axis=1).var(ddof=1),
    }


PUBLIC = {
    "papyan2020": papyan2020,
    "zhu2021": zhu2021,
    "kothapalli2023": kothapalli2023,
    "wu2024": wu2024,
    "zhao2026": zhao2026,
}


@pytest.mark.parametrize("preset", PUBLIC)
def test_presets_reproduce_public_definitions(preset, x64):
    data = clusters()  # unbalanced: mu_G of samples and of classes differ
    moments = moments_of(*data[:2])
    want = PUBLIC[preset](*data)
    got = collapse.measure(
        moments, *map(jnp.asarray, data[2:]), convention=preset, only=tuple(want)
    )
    assert list(got) == list(want)  # in the order asked for
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-9, err_msg=name)


def test_presets_differ(x64):
    """The same data: NC1 by K, NC2 of other things, NC3 by form."""
    data = clusters()
    moments, rest = moments_of(*data[:2]), tuple(map(jnp.asarray, data[2:]))
    names = (
        "nc1",
        "nc2",
        "nc3",
        "nc2_means",
        "nc2_w",
        "nc3_etf",
        "nc3_papyan",
        "equinorm",
    )
    values = {
        preset: collapse.measure(moments, *rest, convention=preset, only=names)
        for preset in ("default", "papyan2020", "zhu2021")
    }
    np.testing.assert_allclose(
        values["papyan2020"]["nc1"], 6 * values["default"]["nc1"], rtol=1e-12
    )
    np.testing.assert_allclose(
        values["papyan2020"]["equinorm"] / values["default"]["equinorm"],
        np.sqrt(6 / 5),
    )
    assert values["zhu2021"]["nc2"] == values["zhu2021"]["nc2_w"]
    assert values["zhu2021"]["nc2_means"] != values["default"]["nc2_means"]
    assert values["papyan2020"]["nc3"] == values["papyan2020"]["nc3_papyan"]
    assert values["default"]["nc3"] == values["default"]["nc3_etf"]


CHANGES = {
    "between": "samples",
    "global_mean": "samples",
    "row_normalise": True,
    "center_classifier": True,
    "squared": False,
    "normalise_duality": False,
    "duality_ddof": 1,
}


@pytest.mark.parametrize("names", [("between", "row_normalise", "squared"), CHANGES])
def test_options_match_definitions(names, x64):
    convention = Convention(**{name: CHANGES[name] for name in names})
    data = clusters()
    moments = moments_of(*data[:2])
    got = collapse.measure(moments, *map(jnp.asarray, data[2:]), convention=convention)
    want, plain = defined(*data, convention=convention), defined(*data)
    assert sum(not np.isclose(want[n], plain[n], rtol=1e-3) for n in want) > 4
    for name, value in want.items():
        if name in got and "rank" not in name:
            np.testing.assert_allclose(got[name], value, rtol=1e-9, err_msg=name)


def test_measure_gives_what_inputs_allow():
    features, labels, classifier, _ = clusters()
    light = moments_of(features.astype(np.float32), labels, scatter="none")
    names = collapse.available()
    needs = {"moments", "norm"}
    means = {n for n in names if collapse.METRICS[n].needs in needs}

    def keys(moments, *args, **options):
        run = functools.partial(collapse.measure, **options)
        return set(jax.eval_shape(run, moments, *args))

    assert keys(light) == means
    assert keys(light.replace(largest=None)) == means - {"rnc1"}
    assert keys(light, within_variance=jnp.ones(5)) == means | {"nc1"}
    full = light.replace(scatter=jnp.eye(9))
    scatter = {"vci", "effective_rank_within"}
    assert keys(full) == means | {"nc1"} | scatter
    rows = jnp.asarray(classifier, jnp.float32)
    assert keys(full, rows) == set(names)
    assert keys(light, rows) == set(names) - {"nc1"} - scatter
    assert keys(full, rows, only=("nc3", "rank")) == {"nc3", "rank"}
    assert keys(full, convention="zhu2021") == (means | {"nc1"} | scatter) - {"nc2"}
    results = jax.eval_shape(collapse.measure, full, rows)
    assert all(x.shape == () and x.dtype == jnp.float32 for x in results.values())


def test_a_metric_is_one_entry(monkeypatch):
    """What the docstring promises to a newcomer."""
    radius = Metric(
        "radius",
        "radius",
        function=lambda x: jnp.max(jnp.linalg.norm(x.means[0], axis=1)),
    )
    monkeypatch.setitem(collapse.METRICS, "radius", radius)
    features, labels, _, _ = clusters()
    got = collapse.measure(
        moments_of(features.astype(np.float32), labels), only=["radius"]
    )
    means = np.stack([features[labels == k].mean(0) for k in range(6)])
    want = np.linalg.norm(means - means.mean(0), axis=1).max()
    np.testing.assert_allclose(got["radius"], want, rtol=1e-6)


def test_bad_names():
    moments = moments_of(*clusters()[:2])
    with pytest.raises(ValueError, match=r"Unknown convention 'papyan'. Available: d"):
        collapse.measure(moments, convention="papyan")
    with pytest.raises(
        ValueError, match=r"Unknown metric 'nc9'. Did you mean 'nc\d'. Available: nc1, "
    ):
        collapse.measure(moments, only=["nc9"])
    with pytest.raises(ValueError, match="Unknown metric 'nc2_mean'"):
        collapse.measure(moments, convention=Convention(nc2="nc2_mean"))
    assert all(hash(c) is not None for c in PRESETS.values())
    with pytest.raises(dataclasses.FrozenInstanceError):
        PRESETS["default"].ddof = 1  # type: ignore
