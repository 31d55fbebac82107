"""Each score against a twin in NumPy, written from its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from ncjax import ood
from ncjax.moments import class_moments

K, D, N = 4, 9, 200
rng = np.random.default_rng(2)
CENTRES = rng.normal(size=(K, D)) * 2
LABELS = np.arange(N) % K
CLASSES = jnp.int32(LABELS)
TRAIN = np.maximum(CENTRES[LABELS] + rng.normal(size=(N, D)) * 0.4 + 1, 0)
WEIGHTS, BIAS = CENTRES - 1, rng.normal(size=K)
FEATURES = np.concatenate([TRAIN[:20] + 0.1, rng.normal(size=(20, D)) * 3])
OPTIONS = {"neighbours": 7, "principal": 2, "main": 5, "nci_weight": 0.01}

MEANS = np.stack([TRAIN[k == LABELS].mean(0) for k in range(K)])
MEAN = TRAIN.mean(0)
LOGITS, TRAIN_LOGITS = FEATURES @ WEIGHTS.T + BIAS, TRAIN @ WEIGHTS.T + BIAS
DECIDED = LOGITS.argmax(1)
WITHIN = (TRAIN - MEANS[LABELS]).T @ (TRAIN - MEANS[LABELS]) / N


def known(scale=1.0, **options):
    train = jnp.float32(TRAIN * scale)
    moments = class_moments(train, CLASSES, K)
    arrays = jnp.float32(WEIGHTS / scale), jnp.float32(BIAS), train
    return fit(moments, *arrays, **(OPTIONS | options))


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def squares(x, inverse):
    return np.einsum("...i,ij,...j", x, inverse, x)


def mahalanobis(x=FEATURES):
    inverse = np.linalg.inv(WITHIN)
    return -np.min([squares(x - mean, inverse) for mean in MEANS], axis=0)


def knn():
    far = np.linalg.norm(unit(FEATURES)[:, None] - unit(TRAIN)[None], axis=2)
    return -np.sort(far, axis=1)[:, 6]


def vim():
    origin = -np.linalg.pinv(WEIGHTS) @ BIAS
    _, directions = np.linalg.eigh((TRAIN - origin).T @ (TRAIN - origin))
    rest = directions[:, : D - 5]
    residual = np.linalg.norm((TRAIN - origin) @ rest, axis=1)
    alpha = TRAIN_LOGITS.max(1).mean() / residual.mean()
    virtual = alpha * np.linalg.norm((FEATURES - origin) @ rest, axis=1)
    return logsumexp(LOGITS, axis=1) - virtual


def neco():
    _, directions = np.linalg.eigh(np.cov(TRAIN.T))
    return np.linalg.norm(unit(FEATURES) @ directions[:, -2:], axis=1)


def fdbd():
    found = []
    for z, c, h in zip(LOGITS, DECIDED, FEATURES, strict=True):
        far = [
            abs(z[c] - z[k]) / np.linalg.norm(WEIGHTS[c] - WEIGHTS[k])
            for k in range(K)
            if k != c
        ]
        found.append(np.mean(far) / np.linalg.norm(h - MEAN))
    return np.array(found)


TWINS = {
    "msp": lambda: np.log(softmax(LOGITS, axis=1).max(1)),
    "max_logit": lambda: LOGITS.max(1),
    "energy": lambda: logsumexp(LOGITS, axis=1),
    "react": lambda: logsumexp(
        np.minimum(FEATURES, np.percentile(TRAIN, 90)) @ WEIGHTS.T + BIAS, axis=1
    ),
    "knn": knn,
    "mahalanobis": mahalanobis,
    "relative_mahalanobis": lambda: (
        mahalanobis() + squares(FEATURES - MEAN, np.linalg.inv(np.cov(TRAIN.T, ddof=0)))
    ),
    "vim": vim,
    "neco": neco,
    "nci": lambda: (
        (WEIGHTS[DECIDED] * unit(FEATURES - MEAN)).sum(1)
        + 0.01 * np.abs(FEATURES).sum(1)
    ),
    "fdbd": fdbd,
}


fit = jax.jit(ood.fit, static_argnames=(*OPTIONS, "percentile"))


@jax.jit
def scores(train, weights, features):
    """All scores at once, from training features, a classifier and features."""
    moments = class_moments(train, CLASSES, K)
    known = ood.fit(moments, weights, jnp.float32(BIAS), train, **OPTIONS)
    return {name: score(known, features) for name, score in ood.SCORES.items()}


def at_scale(scale):
    arrays = TRAIN * scale, WEIGHTS / scale, FEATURES * scale
    return scores(*map(jnp.float32, arrays))


@pytest.mark.parametrize("name", ood.SCORES)
def test_each_is_its_definition(name):
    np.testing.assert_allclose(at_scale(1)[name], TWINS[name](), rtol=3e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-15, 1e15])
def test_the_scale_of_the_features_changes_no_order(scale):
    """With the classifier scaled back; NCI, lengths plus cosines, is left out."""
    there, here = at_scale(scale), at_scale(1)
    for name in set(ood.SCORES) - {"nci"}:
        assert np.isfinite(there[name]).all()
        a, b = (float(ood.auroc(x[name][:20], x[name][20:])) for x in (there, here))
        assert a == pytest.approx(b, abs=0.01), name


def test_directions_without_variance_do_not_count():
    """Under collapse a covariance has little but rounding in most directions."""
    flat = TRAIN.copy()
    flat[:, -3:] = 1.0
    moments = class_moments(jnp.float32(flat), CLASSES, K)
    found = fit(moments, jnp.float32(WEIGHTS), jnp.float32(BIAS), jnp.float32(flat))
    rows = np.linalg.norm(found.within, axis=1)
    assert (rows[:3] == 0).all()
    assert (rows[3:] > 0).all()
    values = ood.SCORES["mahalanobis"](found, jnp.float32(flat[:5]))
    assert np.isfinite(values).all()
    assert (values < 0).all()


def test_a_bank_with_gaps_is_that_of_its_rows():
    bank = np.full((2 * N, D), np.nan, np.float32)
    bank[::2] = TRAIN
    moments = class_moments(jnp.float32(TRAIN), CLASSES, K)
    there = jnp.arange(2 * N) % 2 == 0
    filled = jnp.where(there[:, None], bank, 0)
    found = fit(
        moments, jnp.float32(WEIGHTS), jnp.float32(BIAS), filled, there, **OPTIONS
    )
    for name in ("knn", "vim", "react"):
        np.testing.assert_allclose(
            ood.SCORES[name](found, jnp.float32(FEATURES)),
            ood.SCORES[name](known(), jnp.float32(FEATURES)),
            rtol=2e-5,
        )


def test_too_few_neighbours_in_the_bank_are_no_score():
    there = jnp.arange(N) < 3
    moments = class_moments(jnp.float32(TRAIN), CLASSES, K)
    arrays = jnp.float32(WEIGHTS), jnp.float32(BIAS), jnp.float32(TRAIN)
    found = fit(moments, *arrays, there, **OPTIONS)
    assert np.isnan(ood.SCORES["knn"](found, jnp.float32(FEATURES))).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neighbours": 201}, r"neighbours must be in 1\.\.200, got 201"),
        ({"principal": 10}, r"principal must be in 1\.\.9, got 10"),
        ({"main": 9}, r"main must be in 1\.\.8, got 9"),
        ({"percentile": 0.0}, r"percentile must be above 0, up to 100, got 0\.0"),
        ({"nci_weight": -1.0}, r"nci_weight must be at least 0 and finite, got -1"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        known(**options)


def test_arrays_that_do_not_fit_are_refused():
    moments = class_moments(jnp.float32(TRAIN[:, :5]), CLASSES, K)
    arrays = jnp.float32(WEIGHTS), jnp.float32(BIAS), jnp.float32(TRAIN)
    with pytest.raises(ValueError, match=r"weights has shape \(4, 9\).*\[4, 5\]"):
        ood.fit(moments, *arrays)
