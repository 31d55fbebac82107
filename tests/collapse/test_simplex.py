"""NC2 and the angles: definitions, known values, Gram matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import collapse
from tests.collapse.definitions import cosines
from tests.collapse.problems import clusters, compiled, moments_of
from tests.thin import thin

# Each metric of the module by its definition, for tests/collapse/test_measure.py.
REFERENCES = {
    "nc2": lambda x: {"nc2_means": x.nc2(x.m), "nc2_w": x.nc2(x.wc)}[x.convention.nc2],
    "nc2_means": lambda x: x.nc2(x.m),
    "equinorm": lambda x: x.equinorm(x.m),
    "equiangularity": lambda x: cosines(x.m).std(),
    "max_angle": lambda x: np.mean(np.abs(cosines(x.m) + 1 / (x.k - 1))),
    "nc2_w": lambda x: x.nc2(x.wc),
    "equinorm_w": lambda x: x.equinorm(x.wc),
    "equiangularity_w": lambda x: cosines(x.wc).std(),
    "max_angle_w": lambda x: np.mean(np.abs(cosines(x.wc) + 1 / (x.k - 1))),
}


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
    thin(
        [(2, 1.0644), (9, 0.7735), (64, 0.3669), (512, 0.1362), (2048, 0.0685)],
        keep={1, 3},
    ),
)
def test_nc2_of_random_means_is_small_in_many_dimensions(d, value):
    """Against averages of NumPy, K = 10, 20,000 trials (4,000 and 1,500 at the end)."""
    trials = 2000 if d < 100 else 200
    rows = jax.random.normal(jax.random.key(d), (trials, 10, d))
    values = jax.lax.map(lambda x: collapse.nc2(x - x.mean(0)), rows)
    error = 4 * values.std() / np.sqrt(trials)
    np.testing.assert_allclose(values.mean(), value, atol=error + 2e-4)


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
        compiled.gram_distance(moments, jnp.asarray(centred)),
        np.linalg.norm(want),
    )
    with pytest.raises(ValueError, match=r"target Gram matrix has shape \(5, 5\)"):
        compiled.gram_distance(moments, jnp.eye(5))


def test_relative_gram(x64):
    simplex = 7 * jnp.eye(4)
    found = collapse.relative_gram(simplex - simplex.mean(0))
    np.testing.assert_allclose(found, (4 * np.eye(4) - 1) / 3, atol=1e-12)
    rows = jnp.array([[3.0, 4.0], [0.0, 0.0], [5.0, 0.0]])
    present = jnp.array([True, False, True])
    want = [[1, 0, 0.6], [0, 0, 0], [0.6, 0, 1]]  # mean squared norm 25
    np.testing.assert_allclose(collapse.relative_gram(rows, present), want)
    assert np.isnan(collapse.relative_gram(0 * rows)).all()


def test_row_normalise(x64):
    classifier = clusters()[2]
    unit = classifier / np.linalg.norm(classifier, axis=1, keepdims=True)
    np.testing.assert_allclose(
        compiled.nc2(jnp.asarray(classifier), row_normalise=True),
        compiled.nc2(jnp.asarray(unit)),
    )
