"""Feature maps and tokens as vectors."""

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from ncjax.measurement import MeasureError, measure, pool_tokens
from ncjax.measurement.pooling import shaped
from tests.measurement.features import FEATURES, LABELS, D, N

TOKENS = np.arange(24.0).reshape(2, 4, 3)
MASK = np.array([[0, 1, 1, 0], [1, 1, 1, 1]])


def test_one_token_and_the_mean():
    for pool, want in [("first", TOKENS[:, 0]), ("last", TOKENS[:, -1])]:
        np.testing.assert_array_equal(pool_tokens(TOKENS, pool), want)
        np.testing.assert_array_equal(shaped(TOKENS, pool, "features"), want)
    np.testing.assert_array_equal(pool_tokens(TOKENS, "mean"), TOKENS.mean(1))


def test_tokens_that_are_padding_do_not_count():
    holes = TOKENS.copy()
    holes[MASK == 0] = np.nan
    want = {
        "first": [TOKENS[0, 1], TOKENS[1, 0]],
        "last": [TOKENS[0, 2], TOKENS[1, 3]],
        "mean": [TOKENS[0, 1:3].mean(0), TOKENS[1].mean(0)],
    }
    for pool, rows in want.items():
        np.testing.assert_array_equal(pool_tokens(holes, pool, MASK), rows)
        found = pool_tokens(jnp.asarray(holes), pool, MASK.astype(bool).tolist())
        np.testing.assert_allclose(found, rows)
    half = holes.astype(ml_dtypes.bfloat16)
    assert pool_tokens(half, "last", MASK).dtype == ml_dtypes.bfloat16
    np.testing.assert_allclose(pool_tokens(half, "mean", MASK), want["mean"], rtol=1e-2)


def test_bad_tokens():
    with pytest.raises(MeasureError, match=r"tokens \[n, tokens, d\].*\(2, 3\)"):
        pool_tokens(TOKENS[:, 0], "first")
    with pytest.raises(MeasureError, match="Unknown pool of tokens 'max'"):
        pool_tokens(TOKENS, "max")
    with pytest.raises(MeasureError, match=r"mask has shape \(2, 3\)"):
        pool_tokens(TOKENS, "last", MASK[:, 1:])
    with pytest.raises(MeasureError, match="no token in row 1"):
        pool_tokens(TOKENS, "last", MASK * [[1], [0]])
    with pytest.raises(MeasureError, match=r"\(600, 2, 2, 12\)"):
        measure(np.zeros((N, 2, 2, D), np.float32), LABELS, pool="last")


def test_measure_pools_tokens(few):
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(N, 3, D)).astype(np.float32)
    tokens[:, 0] = FEATURES
    want = measure(FEATURES, LABELS)
    assert measure(tokens, LABELS, pool="first").values == want.values
    assert measure(tokens[:, ::-1], LABELS, pool="last").values == want.values
    masks = np.array([[1, 0, 0]] * N)

    def features():
        for i in range(0, N, 200):
            rows = slice(i, i + 200)
            yield pool_tokens(tokens[rows], "last", masks[rows]), LABELS[rows]

    assert measure(features)["nc1"] == pytest.approx(want["nc1"], rel=1e-5)


def test_measure_takes_a_mask(few):
    tokens = np.full((N, 3, D), np.nan, np.float32)  # what is padding may be anything
    place = np.arange(N) % 3
    tokens[np.arange(N), place] = FEATURES
    mask = np.eye(3)[place]
    tests = {"test_features": tokens[:90], "test_labels": LABELS[:90]}
    want = measure(FEATURES, LABELS, **tests | {"test_features": FEATURES[:90]})
    for pool in ("first", "last", "mean"):
        given = {"mask": mask, "test_mask": mask[:90] > 0, "pool": pool}
        assert measure(tokens, LABELS, **tests, **given).values == want.values
    chunks = [tokens[:250], tokens[250:]]
    found = measure(chunks, LABELS, mask=mask, pool="last")
    assert found["nc1"] == pytest.approx(want["nc1"], rel=1e-5)


@pytest.mark.parametrize(
    ("mask", "pool", "message"),
    [
        (np.ones((N, 3)), None, r"which is for pool='first', .* but pool=None"),
        (np.ones((N, 3)), "flatten", "but pool='flatten'"),
        (np.ones((N, 4)), "last", r"mask has shape \(1, 4\); \[n, tokens\]"),
        (np.ones(N), "last", r"shape \(600,\); \[n, tokens\] is needed"),
        (np.ones((N - 1, 3)), "last", r"shape \(599, 3\); .*, for n = 600 rows"),
        (np.ones((N + 1, 3)), "mean", r"shape \(601, 3\); .*, for n = 600 rows"),
    ],
)
def test_bad_masks(mask, pool, message):
    tokens = np.zeros((N, 3, D), np.float32)
    with pytest.raises(MeasureError, match=message):
        measure(tokens, LABELS, mask=mask, pool=pool)


def test_a_mask_is_of_all_chunks():
    chunks = [np.zeros((N // 2, 3, D), np.float32)] * 2
    for rows, message in [(N - 1, r"shape \(299, 3\)"), (N + 1, "for n = 600 rows")]:
        with pytest.raises(MeasureError, match=message):
            measure(chunks, LABELS, mask=np.ones((rows, 3)), pool="last")


def test_numbers_of_eight_bits_are_refused():
    with pytest.raises(MeasureError, match=r"are float8_e4m3fn; real numbers are"):
        shaped(np.zeros((2, 2), ml_dtypes.float8_e4m3fn), None, "features")
