"""The probe `geometric_complexity`: how fast layers change with the image.

For each layer the mean over training images of the squared Frobenius norm of its
Jacobian (`ncjax.complexity`), with its standard error.
"""

from __future__ import annotations

import jax
import numpy as np

from ncjax import struct
from ncjax.collapse.registry import Metric
from ncjax.complexity import Complexity, check_method, squares
from ncjax.data.dataset import generator
from ncjax.evaluation.passes import Variables
from ncjax.options import check_value, unknown
from ncjax.probes.probe import Probe, Reader, Subject

METRICS = (
    Metric(
        "geometric_complexity/gc",
        "geometric complexity",
        "mean squared norm of the Jacobian with respect to the image",
        home="probe",
        log=True,
    ),
    Metric(
        "geometric_complexity/error",
        "error of the geometric complexity",
        "its standard error",
        home="probe",
    ),
)


@struct.dataclass
class Layers:
    """The states of several layers, by name."""

    of: dict[str, Complexity]

    def all_reduce(self, axis_name: str) -> Layers:
        """Those of all devices."""
        return Layers({k: x.all_reduce(axis_name) for k, x in self.of.items()})


def geometric_complexity(
    subject: Subject,
    *,
    gc_layers: tuple[str, ...] = ("features",),
    gc_method: str = "hutchinson",
    gc_examples: int = 256,
    gc_probes: int = 8,
    gc_seed: int = 0,
) -> Probe:
    """Geometric complexity: `geometric_complexity/LAYER/gc`, and `LAYER/error`.

    The network is in evaluation mode, so that each output depends on its own image
    alone: BatchNorm normalises by its running statistics.  Images are as the network
    gets them, each channel with mean 0 and variance 1; for raw pixels divide by the
    variance of the channel.  Examples and random vectors depend on the seed alone: at
    all epochs, and for all networks of a program, they are the same.

    Args:
        subject: the networks.
        gc_layers: layers to measure: "features", what the classifier sees; "outputs";
            or a block of the model, such as "01_dense1".
        gc_method: "exact", "hutchinson" or "coordinates"; see `ncjax.complexity`.
        gc_examples: number of training images to draw; 0 for all.
        gc_probes: random vectors, or coordinates, for each image; "exact" takes all.
        gc_seed: seed of images, vectors and coordinates.

    Raises:
        ValueError: for options out of range or unknown names.
    """
    check_method(gc_method, gc_probes)
    check_value("gc_examples", gc_examples, lambda n: n >= 0, "0 or larger")
    widths = subject.widths()
    for layer in gc_layers:
        if layer not in widths:
            raise ValueError(unknown("layer", layer, widths))
        if gc_method == "coordinates" and gc_probes > widths[layer]:
            raise ValueError(
                f"gc_probes = {gc_probes} coordinates are more than the layer "
                f"{layer!r} has, {widths[layer]}. Ask for fewer, or for gc_method = "
                "'exact'."
            )
    if not gc_layers or len(set(gc_layers)) < len(gc_layers):
        raise ValueError(f"gc_layers must name layers, each once, got {gc_layers!r}.")
    images = subject.dataset.train.images
    total, rng = len(images), generator(gc_seed, "geometric complexity")
    count = min(gc_examples or total, total)
    rows = np.sort(rng.choice(total, count, replace=False))

    def update(states, variables, images, numbers, weights):
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(gc_seed), numbers)
        inputs = subject.prepare(images)

        def taken(layer, state):
            def function(x):
                return subject.layers(variables, x)[layer]

            how = {"method": gc_method, "probes": gc_probes}
            values, share = squares(function, inputs, keys, **how)
            return state.update(values, weights, share)

        return Layers({name: taken(name, state) for name, state in states.of.items()})

    def measure(variables: Variables, reader: Reader) -> dict[str, jax.Array]:
        empty = Layers({layer: Complexity.empty() for layer in gc_layers})
        found = {}
        for layer, state in reader.fold(update, empty, variables, "sample").of.items():
            found[f"{layer}/gc"], found[f"{layer}/error"] = state.compute(total)
        return found

    # The number of an image, in place of its label, chooses its random vectors.
    return Probe(measure, {"sample": (images[rows], rows.astype(np.int32))})
