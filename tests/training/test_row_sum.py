"""The row sum of the classifier in training, beside that of theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import SingleDeviceSharding

from ncjax.config import default, validate
from ncjax.config.binding import load_data
from ncjax.training.experiment import Experiment
from ncjax.training.network import Network
from ncjax.training.plan import members_of
from ncjax.training.row_sum import RowSum, is_blind
from ncjax.training.step import TrainState
from tests.training.test_train import ONE, run, small

SHARES = (0.0, 0.4, 1.0)


@pytest.mark.slow
def test_networks_of_one_program_follow_the_recursion():
    """They differ in learning rate, decay, momentum and its share; float32."""
    config = small(6)
    config.num_seeds = 3
    config.optimizer.schedule = "step"
    config.optimizer.nesterov = True
    config.loss.label_smoothing = 0.1
    members = members_of(
        config,
        {
            "optimizer.learning_rate": (0.1, 0.2, 0.3),
            "optimizer.weight_decay": (0.02, 0.05, 0.3),
            "optimizer.momentum": (0.9, 0.5, 0.0),
            "optimizer.decoupled": SHARES,
        },
    )
    experiment = Experiment(config, load_data(config), ONE, members=members)
    state = experiment.init()
    start = np.linalg.norm(state.params["classifier"]["kernel"].sum(2), axis=1)
    for epoch in range(1, 7):
        state, _ = experiment.epoch(state, epoch)
    found = experiment.evaluate(state)
    np.testing.assert_allclose(found["nc/nc0"], found["theory/nc0"], rtol=1e-4)
    assert np.all(found["nc/nc0"] < 0.95 * start)
    # An exponential is near the recursion, but not it.
    alone = start * np.exp(-found["theory/decay_time"])
    np.testing.assert_allclose(found["nc/nc0"], alone, rtol=0.3)


@pytest.mark.slow
def test_a_run_says_it_in_its_rows_and_its_table(tmp_path):
    config = small(4)
    config.optimizer.name = "muon"
    config.optimizer.head = "sgdw"
    config.optimizer.head_weight_decay = 0.5
    history = run(config, tmp_path / "run")
    np.testing.assert_allclose(history["nc/nc0"], history["theory/nc0"], rtol=1e-4)
    x = history["theory/decay_time"][-1]
    text = history.table()
    assert f"decay time x = {x:.3g}: weight decay alone leaves exp(-x) = " in text
    assert f"Row sum |W'1|: {history['theory/nc0'][-1]:.4g} by theory, " in text
    again = run(config, tmp_path / "run")  # from the checkpoint of both optimizers
    assert again.rows == history.rows


def keys(data, **fields):
    """What is said of networks of a configuration, and how the row sum shrinks."""
    config = default()
    config.data.examples_per_class = 20
    config.num_epochs, config.batch_size = 2, 50
    config.update_from_flattened_dict(fields)
    config = validate(config)
    network = Network(config, data)
    where = SingleDeviceSharding(jax.devices()[0])
    theory = RowSum(config, network, members_of(config), where)
    layer = {"kernel": jnp.ones((3, 10)), "bias": jnp.zeros(10)}
    state = TrainState(jnp.asarray(8), {"classifier": layer}, {}, {})
    return theory(theory.begin(state))


@pytest.fixture(scope="module")
def data():
    config = default()
    config.data.examples_per_class = 20
    return load_data(config)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"optimizer.name": "muon"}, ("decay_time", "nc0")),
        ({"optimizer.name": "sam"}, ("decay_time", "nc0")),
        ({"optimizer.name": "sgd", "loss.name": "mse"}, ("decay_time",)),
        ({"optimizer.name": "sgd", "classifier.name": "haframe"}, ("decay_time",)),
        ({"optimizer.name": "adamw"}, ("decay_time",)),
        ({"optimizer.name": "signumw"}, ("decay_time",)),
        ({"optimizer.name": "adam"}, ()),
        ({"optimizer.name": "adam", "optimizer.decoupled": 0.5}, ()),
        ({"optimizer.name": "muon", "optimizer.head": "adamw"}, ("decay_time",)),
    ],
    ids=str,
)
def test_where_theory_says_something(data, fields, found):
    names = sorted(key.removeprefix("theory/") for key in keys(data, **fields))
    assert tuple(names) == found


def test_one_step_by_hand(data):
    fields = {"optimizer.schedule": "constant", "optimizer.learning_rate": 0.1}
    got = keys(data, **fields, **{"optimizer.name": "sgdw"})
    assert got["theory/decay_time"] == pytest.approx(8 * 0.1 * 0.01)
    start = 10 * 3**0.5
    assert got["theory/nc0"] == pytest.approx(start * (1 - 0.001) ** 8, rel=1e-6)


def test_blind_losses():
    assert is_blind(lambda z, y: jax.nn.logsumexp(z, axis=1) - z[:, 0], 3)
    assert not is_blind(lambda z, y: z[:, 0], 3)
