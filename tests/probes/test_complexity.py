"""The probe `geometric_complexity` against whole Jacobians, on devices and networks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ncjax
from ncjax.cluster.members import vmap_networks
from ncjax.config import validate
from ncjax.data import synthetic
from ncjax.probes import geometric_complexity
from ncjax.training.network import Network
from tests.probes.test_probes import TRAIN, WIDTH, features, measure, network, subject

NAME = "geometric_complexity"
VALUE, ERROR = f"probe/{NAME}/features/gc", f"probe/{NAME}/features/error"


def layered():
    return dataclasses.replace(
        subject(),
        layers=lambda variables, inputs: {"features": features(variables, inputs)},
        widths=lambda: {"features": WIDTH},
    )


def found(devices=1, variables=None, over=None, networks=1, **options):
    variables = network() if variables is None else variables
    probes = {NAME: geometric_complexity(layered(), **options)}
    return measure(probes, variables, devices, over, networks)


def exact(variables):
    """Of tanh(W x): the squared rows of W, times the squared derivatives of tanh."""
    inner = np.asarray(variables["params"]["inner"], np.float64)
    slopes = 1 - np.tanh(TRAIN[0].reshape(len(TRAIN[0]), -1) @ inner) ** 2
    return (slopes**2 @ (inner**2).sum(0)).mean()


@pytest.mark.parametrize("devices", [1, 8])
def test_all_of_it(devices):
    """8 is no multiple of the 21 examples: padding counts for nothing."""
    values = found(devices, gc_method="exact", gc_examples=0)
    assert float(values[VALUE]) == pytest.approx(exact(network()), rel=1e-5)
    assert float(values[ERROR]) == 0


def test_a_sample_does_not_depend_on_the_devices():
    one, eight = (found(d, gc_examples=15, gc_probes=3) for d in (1, 8))
    for key in (VALUE, ERROR):
        np.testing.assert_allclose(one[key], eight[key], rtol=1e-5)
    assert abs(one[VALUE] - exact(network())) < 4 * one[ERROR]
    other = found(gc_examples=15, gc_probes=3, gc_seed=1)
    assert other[VALUE] != one[VALUE]


def test_many_networks_are_measured_as_each_alone():
    each = [network(0), network(1)]
    together = jax.tree.map(lambda *x: jnp.stack(x), *each)
    both = found(2, together, vmap_networks, 2)
    for i, variables in enumerate(each):
        alone = found(1, variables)
        np.testing.assert_allclose(both[VALUE][i], alone[VALUE], rtol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        {"name": "mlp", "widths": (6, 5)},
        pytest.param({"name": "resnet18", "width": 1 / 16}, marks=pytest.mark.slow),
    ],
    ids=lambda model: model["name"],
)
def test_layers_of_networks_with_batch_norm(model):
    """In evaluation mode, of the normalised images: as `jax.jacobian` has it."""
    data = synthetic(num_classes=3, dim=16, train_size_per_class=2)
    config = ncjax.default()
    config.batch_size = 6
    config.model.update(model)
    built = Network(validate(config), data)
    state = built.init(jax.random.key(0), {})
    # Running statistics that are not those of the beginning.
    away = jax.tree.map(lambda x: x + 0.3, state.batch_stats)
    variables = {"params": state.params, "batch_stats": away}
    first, *_, last, _ = built.subject().widths()
    assert last == "features"
    probe = geometric_complexity(
        built.subject(), gc_layers=(first, last), gc_method="exact"
    )
    images = jnp.asarray(data.train.images)
    values = measure({NAME: probe}, variables)
    inputs = built.prepare(images)
    for layer in (first, last):

        def function(x, layer=layer):
            return built.layers(variables, x[None])[layer][0]

        jacobian = jax.jit(jax.vmap(jax.jacrev(function)))(inputs)
        want = jnp.sum(jacobian**2) / len(images)
        np.testing.assert_allclose(values[f"probe/{NAME}/{layer}/gc"], want, rtol=1e-4)


def test_bad_options():
    for options, message in (
        ({"gc_layers": ("feature",)}, r"Unknown layer 'feature'\. Available: features"),
        ({"gc_layers": ()}, "must name layers, each once"),
        ({"gc_method": "all"}, r"Unknown method 'all'\. Available: exact"),
        ({"gc_examples": -1}, "gc_examples must be 0 or larger, got -1"),
        ({"gc_method": "coordinates"}, "8 coordinates are more than the layer .* 5"),
    ):
        with pytest.raises(ValueError, match=message):
            geometric_complexity(layered(), **options)
