"""Classifiers on the sphere: cosines of features and class vectors, over a temperature.

Only the directions h/|h| of the features count, so these are what is measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype

from ncjax.blocks import class_sum
from ncjax.classifiers.classifier import LAYER, Classifier, check_project
from ncjax.losses.embeddings import inverse_norm
from ncjax.options import check_value


def spherical(
    num_classes: int,
    *,
    temperature: float = 0.1,
    scale: float = 0.0,
    learn_temperature: bool = False,
    project: int = 0,
) -> Classifier:
    """Logits cos(w_k, h) / tau of learned rows w_k: normalised features and rows.

    With cross-entropy this is NormFace.  In the limit of small tau, unit features and
    rows tend to the softmax code, the code of the widest one-vs-rest margin.

    Args:
        num_classes: K, the number of classes.
        temperature: tau, positive and finite; at the start, if it is learned.
        scale: s = 1/tau, which some papers give in its place (the published code of
            Jiang et al. calls it temperature); 0 leaves it to `temperature`.
        learn_temperature: learn tau too, as exp(parameter) times its first value;
            weight decay then draws it towards that.
        project: width of a learned linear layer between the features of the model and
            the classifier; 0 for none.  What comes out of a ReLU has no negative
            entries, which keeps it from most frames.

    Raises:
        ValueError: for options out of range, or both `temperature` and `scale`.

    References:
        Wang et al., NormFace: L2 Hypersphere Embedding for Face Verification, 2017.
        Jiang et al., Generalized Neural Collapse for a Large Number of Classes, ICML
        2024.
    """
    tau = temperature_of(temperature, scale)

    def weights(variables: Mapping) -> tuple[jax.Array, jax.Array]:
        layer = variables["params"][LAYER]
        rows = unit_rows(layer["kernel"].T) / (tau * jnp.exp(_log(layer)))
        return rows, jnp.zeros(num_classes, rows.dtype)

    layer = partial(SphericalLayer, num_classes, tau, learn_temperature)
    return _on_sphere(layer, weights, project)


def _on_sphere(layer, weights, project) -> Classifier:
    check_project(project)
    return Classifier(
        layer, lambda logits: logits, weights, measured="directions", project=project
    )


def _log(layer: Mapping) -> Any:
    """The learned logarithm of tau over its first value, or 0."""
    return layer.get("log_temperature", 0.0)


class SphericalLayer(nn.Module):
    """Features [n, d] -> cosines with the rows of `kernel` [d, K], over a temperature.

    Attributes:
        num_classes: K.
        temperature: tau, at the start.
        learned: whether tau is learned.
        dtype: type of the computation; parameters are float32.
        axis_name: not used here; other classifiers average over the devices.
    """

    num_classes: int
    temperature: float
    learned: bool
    dtype: Dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        features: jax.Array,
        train: bool = False,
        labels: jax.Array | None = None,
    ) -> jax.Array:
        """Features [n, d] -> logits [n, K], in training and in evaluation alike."""
        shape = (features.shape[-1], self.num_classes)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        logits = cosines(features, kernel.T, self.dtype) / self.temperature
        if not self.learned:
            return logits
        log = self.param("log_temperature", nn.initializers.zeros_init(), ())
        return logits * jnp.exp(-log).astype(logits.dtype)


def class_means(
    num_classes: int,
    *,
    temperature: float = 0.1,
    scale: float = 0.0,
    momentum: float = 0.9,
    project: int = 0,
) -> Classifier:
    """Logits cos(w_k, h) / tau with w_k a running mean of the features of class k.

    In each step w_k <- m w_k + (1 - m) sum_{i of class k} h_i/|h_i| over the batch,
    then w_k <- w_k/|w_k|; no gradient reaches w.  They begin as random directions.

    Args:
        num_classes: K, the number of classes.
        temperature: tau, positive and finite.
        scale: s = 1/tau; see `spherical`.
        momentum: m in [0, 1), what is kept of w in a step.
        project: width of a linear layer before it; see `spherical`.

    Raises:
        ValueError: for options out of range, or both `temperature` and `scale`.

    References:
        Jiang et al., Generalized Neural Collapse for a Large Number of Classes, ICML
        2024 (class-mean features, CMF).
    """
    tau = temperature_of(temperature, scale)
    check_momentum(momentum)

    def weights(variables: Mapping) -> tuple[jax.Array, jax.Array]:
        rows = variables["batch_stats"][LAYER]["means"]
        return rows / tau, jnp.zeros(num_classes, rows.dtype)

    layer = partial(MeansLayer, num_classes, tau, momentum)
    return _on_sphere(layer, weights, project)


class MeansLayer(nn.Module):
    """Features [n, d] -> cosines with running class means [K, d], over a temperature.

    Attributes:
        num_classes: K.
        temperature: tau.
        momentum: what is kept of the means in a step.
        dtype: type of the computation; the means are float32.
        axis_name: name of the mapped axis over whose devices batches are summed.
    """

    num_classes: int
    temperature: float
    momentum: float
    dtype: Dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        features: jax.Array,
        train: bool = False,
        labels: jax.Array | None = None,
    ) -> jax.Array:
        """Features [n, d] -> logits [n, K], after the means have taken in the batch."""
        shape = (self.num_classes, features.shape[-1])
        means = self.variable("batch_stats", "means", random_rows(self, shape))
        if train and labels is not None:
            sums = self._sums(features, labels)
            new = self.momentum * means.value + (1 - self.momentum) * sums
            means.value = unit_rows(new)
        return cosines(features, means.value, self.dtype) / self.temperature

    def _sums(self, features, labels):
        """Sums of the directions of each class [K, d], over all devices."""
        units = jax.lax.stop_gradient(unit_rows(features.astype(jnp.float32)))
        sums = class_sum(units, labels, self.num_classes)
        return sums if self.axis_name is None else jax.lax.psum(sums, self.axis_name)


def random_rows(module: nn.Module, shape: tuple[int, int]) -> Callable[[], jax.Array]:
    """What makes random directions [K, d] when a module is initialised."""

    def make() -> jax.Array:
        return unit_rows(jax.random.normal(module.make_rng("params"), shape))

    return make


def cosines(features: jax.Array, rows: jax.Array, dtype: Dtype) -> jax.Array:
    """Cosines [n, K] of features [n, d] and rows [K, d], in a type of numbers.

    Lengths are taken in float32, whatever the type: squares of bfloat16 are coarse.
    """
    units = unit_rows(features.astype(jnp.float32))
    return units.astype(dtype) @ unit_rows(rows).astype(dtype).T


def unit_rows(rows: jax.Array) -> jax.Array:
    """Rows divided by their length; a row of zeros stays one."""
    return rows * inverse_norm(rows)


def temperature_of(temperature: float, scale: float) -> float:
    """The temperature tau, from tau or 1/tau.

    Raises:
        ValueError: for numbers out of range, or two that say different things.
    """
    must_be = "positive and finite"
    check_value("temperature", temperature, lambda t: 0 < t < math.inf, must_be)
    check_value("scale", scale, lambda s: 0 <= s < math.inf, "at least 0 and finite")
    if scale == 0:
        return temperature
    if temperature not in (0.1, 1 / scale):
        raise ValueError(
            f"temperature = {temperature} and scale = {scale} are both given, but "
            "scale is 1/temperature. Leave out one of them."
        )
    return 1 / scale


def check_momentum(momentum: float) -> None:
    """Raises `ValueError` for a share kept of running means that is none."""
    check_value("momentum", momentum, lambda m: 0 <= m < 1, "in [0, 1)")
