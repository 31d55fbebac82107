"""Unconstrained-features models with more than one layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import struct
from ncjax.ufm.fits import Leaf
from ncjax.ufm.model import Model, Params, class_means, number, random_like
from ncjax.ufm.precision import double

_ACTIVATIONS: dict[str, Callable] = {"relu": jax.nn.relu, "linear": lambda x: x}


@struct.dataclass
class Deep(Model):
    """L layers on free features: Z = W_L s(W_{L-1} ... s(W_1 h)), with weight decay.

    Parameters: "W" = W_L [K, width], "hidden" = (W_1 [width, d], ..., W_{L-1}), "H".
    s is not applied to H.  With s = ReLU features of one class need not be equal at an
    optimum, so that the class-mean form is then a restriction.  Small starts lead to
    the local minimum 0; the model is not convex and cannot be certified.

    References:
        Sukenik, Mondelli & Lampert, Neural Collapse versus Low-rank Bias, NeurIPS 2024;
        Dang et al., Neural Collapse in Deep Linear Networks, ICML 2023.
    """

    lambda_w: Leaf = struct.field(kw_only=True)  # [L], of W_1 to W_L
    lambda_h: Leaf = struct.field(kw_only=True)  # lH []
    depth: int = struct.field(pytree_node=False, kw_only=True)  # L
    width: int = struct.field(pytree_node=False, kw_only=True)
    activation: str = struct.field(pytree_node=False, kw_only=True)

    not_convex = "more than one layer is not convex"  # a Schatten quasi-norm of Z

    @classmethod
    def create(
        cls,
        loss: str | Callable = "mse",
        *,
        depth: int,
        lambda_w: Any,
        lambda_h: Any,
        width: int | None = None,
        activation: str = "relu",
        **options: Any,
    ) -> Deep:
        """The class-mean form: one feature row for each class.

        Args:
            loss: the loss, as for `Problem.create`.
            depth: number L >= 2 of layers; a model of one layer is `Problem`.
            lambda_w: weight decay of every layer, or [L], of W_1 to W_L.
            lambda_h: weight decay lH of the features.
            width: width of the hidden layers; by default d.
            activation: "relu" or "linear".
            **options: num_classes, feature_dim, sizes and the options of the loss, as
                for `Problem.create`.

        Raises:
            ValueError: naming what was got and what is allowed.
        """
        if activation not in _ACTIVATIONS:
            raise ValueError(
                f"Unknown activation {activation!r}. "
                f"Available: {', '.join(_ACTIVATIONS)}."
            )
        if depth < 2:
            raise ValueError(
                f"depth must be at least 2, got {depth}. One layer is `Problem`."
            )
        if width is not None and width < 1:
            raise ValueError(f"width must be at least 1, got {width}.")
        fields = class_means(loss, **options)
        lambda_w = number("lambda_w", lambda_w, positive=True)
        if lambda_w.shape not in ((), (depth,)):
            raise ValueError(
                f"lambda_w must be a number or [{depth}], got shape {lambda_w.shape}."
            )
        return cls(
            lambda_w=lambda_w * np.ones(depth),
            lambda_h=number("lambda_h", lambda_h, positive=True),
            depth=depth,
            width=fields["feature_dim"] if width is None else width,
            activation=activation,
            **fields,
        )

    @double
    def init(self, key: jax.Array) -> Params:
        """Layers as He et al. draw them, features of variance 1.

        From smaller ones all layers may die.
        """
        drawn = random_like(key, self.scales(), 1.0)
        layers = {"W": drawn["W"], "hidden": drawn["hidden"]}
        scaled = jax.tree.map(lambda x: x * (2 / x.shape[1]) ** 0.5, layers)
        return scaled | {"H": drawn["H"]}

    def scales(self) -> Params:
        """Ones for the layers; m_i^(-1/2) for the feature row of m_i samples."""
        wide = [self.feature_dim] + [self.width] * (self.depth - 1)
        hidden = tuple(np.ones(shape) for shape in zip(wide[1:], wide, strict=False))
        rows = self.counts**-0.5
        return {
            "W": np.ones((self.num_outputs, wide[-1])),
            "H": rows[:, None] * np.ones(self.feature_dim),
            "hidden": hidden,
        }

    @double
    def point(self, params: Params) -> Params:
        """The last layer W_L, and what it sees: s(W_{L-1} ... s(W_1 h)) [n, width]."""
        act = _ACTIVATIONS[self.activation]
        value = params["H"]
        for layer in params["hidden"]:
            value = act(jnp.matmul(value, layer.T))
        return {"W": params["W"], "H": value}

    @double
    def penalty(self, params: Params) -> jax.Array:
        """(1/2) sum_l lambda_l |W_l|^2 + (lH/2) sum_i m_i |h_i|^2 []."""
        value = self.lambda_h * jnp.vdot(self.counts, jnp.sum(params["H"] ** 2, axis=1))
        layers = (*params["hidden"], params["W"])
        for strength, layer in zip(self.lambda_w, layers, strict=True):
            value += strength * jnp.sum(layer**2)
        return value / 2

    def balance_error(self, params: Params) -> jax.Array:
        """Largest relative imbalance of two consecutive layers []; 0 if critical."""
        layers = (*params["hidden"], params["W"])
        below = self.lambda_h * (params["H"].T * self.counts) @ params["H"]
        worst = jnp.zeros(())
        for strength, layer in zip(self.lambda_w, layers, strict=True):
            here = strength * layer.T @ layer
            size = jnp.linalg.norm(here + below) + strength
            worst = jnp.maximum(worst, jnp.linalg.norm(here - below) / size)
            below = strength * layer @ layer.T
        return worst

    def without_decay(self) -> Deep:
        """The same problem with all lambda_l = lH = 0."""
        zeros = np.zeros(np.shape(self.lambda_w))
        return dataclasses.replace(self, lambda_w=zeros, lambda_h=np.zeros(()))

    @property
    def descent_steps(self) -> int:
        """20,000 with ReLUs, at whose kinks Newton's method stops short."""
        return 0 if self.activation == "linear" else 20_000
