"""The diabetes data: standardised, split by the seed, and what a line tells of it."""

import numpy as np
import pytest

from ncjax.data import load


def test_it_is_standardised_on_the_training_set():
    found = load("diabetes")
    inputs, labels = found.train.images.reshape(-1, 10), found.train.labels
    assert (len(found.train), len(found.test), found.target) == (354, 88, "vector")
    np.testing.assert_allclose(inputs.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(inputs.std(0), 1, atol=1e-5)
    np.testing.assert_allclose([labels.mean(), labels.std()], [0, 1], atol=1e-5)
    # Least squares explains about half of it, as is known of these data.
    fit = np.linalg.lstsq(inputs, labels, rcond=None)[0]
    left = labels - inputs @ fit
    assert 1 - (left**2).mean() == pytest.approx(0.52, abs=0.04)


def test_the_seed_splits_it():
    one, same, other = (load("diabetes", seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.test.labels, same.test.labels)
    assert not np.array_equal(one.test.labels, other.test.labels)
    assert len(load("diabetes", test_share=0.5).test) == 221


@pytest.mark.parametrize(
    ("options", "message"),
    [({"test_share": 1.0}, "above 0 and below 1"), ({"seed": -1}, "0 or larger")],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        load("diabetes", **options)
