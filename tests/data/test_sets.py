"""Arrays whose labels are sets."""

import numpy as np
import pytest

from ncjax.data import load

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (50, 4, 4)).astype(np.uint8)
Y = (RNG.random((50, 3)) < 0.4).astype(np.int64)
Y[~Y.any(1), 0] = 1


def saved(folder, **arrays):
    np.savez(folder / "mine.npz", **arrays)
    return load("arrays", path=str(folder / "mine.npz"), target="set")


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.bool_])
def test_zeros_and_ones_are_sets(tmp_path, dtype, capsys):
    found = saved(tmp_path, x=X, y=Y.astype(dtype), class_names=["a", "b", "c"])
    assert (found.target, found.class_names) == ("set", ("a", "b", "c"))
    assert (len(found.train), len(found.test)) == (40, 10)
    assert "10 of 50 examples" in capsys.readouterr().err
    known = {x.tobytes(): y for x, y in zip(X, Y)}
    for split in (found.train, found.test):
        assert split.labels.dtype == bool
        for image, hot in zip(split.images, split.labels):
            np.testing.assert_array_equal(hot, known[image[..., 0].tobytes()])
    assert saved(tmp_path, x=X, y=Y).class_names == ("0", "1", "2")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (Y[:, 0], r"of shape \(50,\); for config.data.target = 'set' zeros and ones"),
        (Y * 2, "neither 0 nor 1, such as 2"),
        (Y[:49], "50 images, but labels of shape"),
        (Y * (np.arange(50) != 9)[:, None], "1 of .* examples have no label"),
    ],
)
def test_what_is_no_set_is_refused(tmp_path, labels, message):
    with pytest.raises(ValueError, match=message):
        saved(tmp_path, x=X, y=labels)
