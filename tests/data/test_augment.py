"""Crops and flips: against NumPy, how they are drawn, only in training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ncjax
from ncjax.config import default
from ncjax.config.binding import load_data
from ncjax.data.augment import AUGMENTATIONS, PAD, crop_flip
from ncjax.training.experiment import Experiment


def keys_of(n, seed=0):
    return jax.random.split(jax.random.key(seed), n)


def draws_of(keys):
    """(down, right, flip) of each key, from the one number below 162 that it gives."""
    numbers = np.asarray(jax.vmap(lambda k: jax.random.randint(k, (), 0, 162))(keys))
    return numbers // 2 // 9, numbers // 2 % 9, numbers % 2 == 1


def random_images(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(1, 200, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("size", [(32, 32, 3), (28, 28, 1), (8, 8, 1), (1, 5, 2)])
def test_crop_flip_is_that_of_numpy(size, dtype):
    images, keys = random_images((40, *size), dtype), keys_of(40)
    out = jax.jit(crop_flip)(keys, jnp.asarray(images))
    assert out.dtype == dtype
    assert out.shape == images.shape
    height, width = size[:2]
    for image, found, down, right, flip in zip(images, out, *draws_of(keys)):
        padded = np.pad(image, ((PAD, PAD), (PAD, PAD), (0, 0)))
        expected = padded[down : down + height, right : right + width]
        np.testing.assert_array_equal(found, expected[:, ::-1] if flip else expected)


def test_the_middle_is_the_image_and_the_corner_has_padding():
    """By hand: a picture of two pixels."""
    keys = keys_of(3000)
    down, right, flip = draws_of(keys)
    images = jnp.broadcast_to(jnp.array([[[5], [7]]], jnp.uint8), (3000, 1, 2, 1))
    out = np.asarray(crop_flip(keys, images))[:, 0, :, 0]
    centre = (down == PAD) & (right == PAD)
    assert (out[centre & ~flip] == [5, 7]).all()
    assert (out[centre & flip] == [7, 5]).all()
    left = (down == PAD) & (right == PAD - 1)
    assert (out[left & ~flip] == [0, 5]).all()
    assert (out[left & flip] == [5, 0]).all()
    assert (out[down != PAD] == 0).all()
    assert centre.any()
    assert left.any()


def test_places_and_flips_are_equally_likely():
    n = 81_000
    down, right, flip = draws_of(keys_of(n))
    counts = np.bincount((down * 9 + right) * 2 + flip, minlength=162)
    chi2 = np.sum((counts - n / 162) ** 2) / (n / 162)
    assert 161 - 4 * np.sqrt(2 * 161) < chi2 < 161 + 4 * np.sqrt(2 * 161)


def test_none_changes_nothing():
    images = jnp.asarray(random_images((3, 4, 4, 1), np.uint8))
    assert AUGMENTATIONS["none"](keys_of(3), images) is images


def config_of(augment):
    config = default()
    config.data.augment = augment
    config.data.examples_per_class = 16
    config.data.test_examples_per_class = 8
    config.model.widths = (16, 8)
    config.batch_size = 32
    config.num_epochs = 3
    config.eval.epochs = (1, 2, 3)
    config.hierarchy.name = "none"  # compiles in half the time
    return config


@pytest.mark.slow
def test_training_sees_it_and_evaluation_does_not():
    metrics = {}
    for augment in ("none", "crop_flip"):
        config = config_of(augment)
        experiment = Experiment(config, load_data(config), jax.devices()[:1])
        metrics[augment] = experiment.evaluate(experiment.init())
        _, steps = experiment.epoch(experiment.init(), 1)
        metrics[augment, "steps"] = np.asarray(steps["loss"])
    jax.tree.map(np.testing.assert_array_equal, metrics["none"], metrics["crop_flip"])
    assert not np.allclose(metrics["none", "steps"], metrics["crop_flip", "steps"])


@pytest.mark.slow
def test_one_and_eight_devices_train_the_same_network():
    states = []
    for devices in (1, 8):
        config = config_of("crop_flip")
        experiment = Experiment(config, load_data(config), jax.devices()[:devices])
        state = experiment.init()
        for epoch in (1, 2):
            state, _ = experiment.epoch(state, epoch)
        states.append(jax.device_get(state.params))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *states
    )


def test_unknown_name():
    config = config_of("cutout")
    message = r"data\.augment 'cutout'\. Available: none, crop_flip"
    with pytest.raises(ncjax.ConfigError, match=message):
        ncjax.train(config, progress=False)
