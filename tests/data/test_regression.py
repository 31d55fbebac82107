"""Data sets of regression: the chosen covariance, and what labels say of images."""

import numpy as np
import pytest

from ncjax.data import digits_regression, load, synthetic_regression
from ncjax.data.digits_regression import VIEWS


def test_the_training_targets_have_the_chosen_covariance():
    chosen = (9.0, 1.0, 0.1)
    for hidden in (0, 16):
        found = synthetic_regression(spectrum=chosen, hidden=hidden, target_mean=2.0)
        labels = np.float64(found.train.labels)
        np.testing.assert_allclose(labels.mean(0), 2, atol=1e-6)
        values = np.linalg.eigvalsh(np.cov(labels.T, bias=True))
        np.testing.assert_allclose(values, chosen[::-1], rtol=1e-5)
        assert found.train.images.shape == (1000, 1, 64, 1)
        assert found.test.labels.shape == (1000, 3)
    # A linear teacher is a linear map of the inputs; that with tanh is not.
    rows = found.train.images.reshape(1000, -1)
    fit = np.linalg.lstsq(rows, labels - 2, rcond=None)[0]
    assert np.abs(rows @ fit - (labels - 2)).max() > 0.1


def test_sizes_and_noise_do_not_change_the_teacher():
    one = synthetic_regression(train_size=50, test_size=5, hidden=0, dim=5)
    more = synthetic_regression(train_size=50, test_size=9, hidden=0, dim=5)
    np.testing.assert_array_equal(one.train.labels, more.train.labels)
    noisy = synthetic_regression(
        train_size=50, test_size=5, hidden=0, dim=5, target_noise=0.5
    )
    noise = np.float64(noisy.train.labels - one.train.labels)
    assert noise.std() == pytest.approx(0.5 * np.sqrt(1.75), rel=0.3)
    other = synthetic_regression(train_size=50, test_size=5, hidden=0, dim=5, seed=1)
    assert np.abs(other.train.labels - one.train.labels).max() > 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spectrum": ()}, "no eigenvalue"),
        ({"spectrum": (1.0, 0.0)}, "spectrum must be finite and above 0, got 0"),
        ({"dim": 2}, "dim must be 3 or larger for 3 targets, got 2"),
        ({"hidden": 2}, "hidden must be 0, or 3 or larger"),
        ({"train_size": 3}, "train_size must be 4 or larger"),
        ({"target_noise": np.nan}, "target_noise must be finite"),
        ({"train_size": 10**15}, "of memory, and there are"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        synthetic_regression(**options)


@pytest.mark.parametrize("view", list(VIEWS))
def test_labels_of_the_digits(view):
    found = load("digits_regression", view=view)
    labels = np.float64(found.train.labels)
    assert labels.shape == (1437, len(found.class_names))
    assert len(found.test) == 360
    np.testing.assert_allclose(labels.mean(0), 0, atol=1e-5)
    assert labels.var(0).mean() == pytest.approx(1, rel=1e-5)
    assert found.target == "vector"
    again = digits_regression(view=view)
    np.testing.assert_array_equal(again.train.images, found.train.images)


def test_labels_say_where_the_ink_is():
    """Reference: moments by hand of one image, and the place of a moved one."""
    found = digits_regression(view="moments")
    ink = np.float64(found.train.images[5, ..., 0])
    total, places = ink.sum(), np.arange(8)
    row = (ink.sum(1) * places).sum() / total
    rows = (ink.sum(1) * (places - row) ** 2).sum() / total
    every = np.float64(found.train.images[..., 0])
    masses = every.sum((1, 2))
    means = (every.sum(2) * places).sum(1) / masses
    spread = (every.sum(2) * (places - means[:, None]) ** 2).sum(1) / masses
    scales = [
        np.ptp(x) / np.ptp(found.train.labels[:, k])
        for x, k in ((means, 0), (spread, 2))
    ]
    assert scales[0] == pytest.approx(scales[1], rel=1e-4)  # one number for all
    label = found.train.labels[5]
    assert label[0] == pytest.approx((row - means.mean()) / scales[0], rel=1e-4)
    assert label[2] == pytest.approx((rows - spread.mean()) / scales[0], rel=1e-4)
    moved = digits_regression(view="coordinates").train
    tops = np.argmax(moved.images.any((2, 3)), 1)  # first row with ink
    assert np.corrcoef(tops, moved.labels[:, 0])[0, 1] > 0.95


def test_an_unknown_view_is_refused():
    with pytest.raises(ValueError, match=r"Unknown view 'place'.*moments, coordinates"):
        digits_regression(view="place")


def saved(path, **arrays):
    np.savez(path / "mine.npz", **arrays)
    return load("arrays", path=str(path / "mine.npz"), target="vector")


def test_arrays_of_ones_own(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 6)), rng.normal(size=(50, 2))
    found = saved(tmp_path, x=x, y=y)
    assert (len(found.train), len(found.test)) == (40, 10)
    assert found.class_names == ("y0", "y1")
    assert found.target == "vector"
    both = np.concatenate([found.train.labels, found.test.labels])
    np.testing.assert_array_equal(np.sort(both[:, 0]), np.sort(np.float32(y[:, 0])))
    rows = [
        np.flatnonzero(np.float32(y[:, 0]) == v)[0] for v in found.test.labels[:, 0]
    ]
    np.testing.assert_array_equal(found.test.images[:, 0, :, 0], np.float32(x[rows]))
    given = {"x_train": x, "y_train": y[:, 0], "x_test": x[:5], "y_test": y[:5, 0]}
    assert saved(tmp_path, **given).test.labels.shape == (5, 1)
    with pytest.raises(ValueError, match=r"Unknown target 'vectors'.*'vector'"):
        load("arrays", path=str(tmp_path / "mine.npz"), target="vectors")
    with pytest.raises(ValueError, match="= 'vector' numbers are"):
        saved(tmp_path, x=x, y=np.array(["a", "b"] * 25))
    with pytest.raises(ValueError, match="50 images, but labels of shape"):
        saved(tmp_path, x=x, y=y[:49])
    y[3] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite values in 1 of"):
        saved(tmp_path, x=x, y=y)


def test_other_images_have_the_same_views(monkeypatch):
    from ncjax.data.digits_regression import SOURCES

    monkeypatch.setitem(SOURCES, "mine", SOURCES["digits"])
    found = digits_regression(view="coordinates", source="mine")
    assert found.name == "mine_regression"
    np.testing.assert_array_equal(
        found.train.labels, digits_regression(view="coordinates").train.labels
    )
    with pytest.raises(ValueError, match=r"Unknown source 'mnits'.*mnist"):
        digits_regression(source="mnits")
