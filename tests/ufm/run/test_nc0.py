"""The experiments on the row sum: their pieces, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.config import ConfigError
from ncjax.ufm.run import default, muon, nc0_map, row_sum, signed_descent


def test_the_rates_of_the_printed_map():
    rates = nc0_map.rates(0.001)
    assert len(rates) == 200 * 469
    assert rates.sum() == pytest.approx(34.87, abs=5e-3)


@pytest.mark.parametrize("plain", [False, True])
def test_gradients_far_from_the_margin(plain):
    """One true class 20 above the others: float32 rounds 1 - p to 0."""
    params = {"W": 20 * jnp.eye(3), "H": jnp.eye(3)}
    found = jax.jit(lambda p: muon._gradients(p, jnp.arange(3), plain))(params)
    total = np.abs(found["W"].sum(0)).max() / np.abs(found["W"]).max()
    assert (total > 0.9) == plain
    wrong = np.exp(-20.0) / (1 + 2 * np.exp(-20.0)) / 3
    np.testing.assert_allclose(found["W"][0, 1], wrong, rtol=1e-5)
    if not plain:
        np.testing.assert_allclose(found["W"][0, 0], -2 * wrong, rtol=1e-5)


def test_softmax_gradients_near_the_start():
    rng = np.random.default_rng(0)
    params = {"W": jnp.asarray(rng.normal(size=(3, 4)), jnp.float32)}
    params["H"] = jnp.asarray(rng.normal(size=(5, 4)), jnp.float32)
    labels = jnp.array([0, 1, 2, 0, 1])

    def loss(p):
        log = jax.nn.log_softmax(p["H"] @ p["W"].T)
        return -log[jnp.arange(5), labels].mean()

    want = jax.jit(jax.grad(loss))(params)
    got = jax.jit(lambda p: muon._gradients(p, labels, plain=False))(params)
    for name in want:
        np.testing.assert_allclose(got[name], want[name], atol=1e-6)


def silent(stage, **values):
    pass


@pytest.mark.parametrize(
    ("experiment", "fields", "message"),
    [
        (signed_descent.SIGNED_DESCENT, {}, "num_classes of at least 2"),
        (
            signed_descent.SIGNED_DESCENT,
            {"model.num_classes": 4, "signed.weight_decay": 0.01},
            r"weight_decay = 0\.01 must be at least 0\.0667",
        ),
        (muon.MUON, {"model.loss": "mse"}, "muon needs cross_entropy"),
        (row_sum.ROW_SUM, {"row_sum.losses": ()}, "needs config.row_sum.losses"),
        (row_sum.ROW_SUM, {"row_sum.losses": ("ce",)}, "Unknown config.row_sum.losses"),
    ],
)
def test_what_cannot_be_run_is_refused(experiment, fields, message):
    config = default()
    config.update_from_flattened_dict(fields)
    with pytest.raises(ConfigError, match=message):
        experiment.run(config, silent)
