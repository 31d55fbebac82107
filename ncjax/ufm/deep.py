"""Unconstrained-features models with more than one layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import struct
from ncjax.ufm.checks import class_means, number
from ncjax.ufm.precision import double
from ncjax.ufm.problem import Params, Problem, random_like


@struct.dataclass
class Deep(Problem):
    """L layers on free features: Z = W_L s(W_{L-1} ... s(W_1 h)), with weight decay.

    Parameters: "W" = W_L [K, width], "hidden" = (W_1 [width, d], ..., W_{L-1}), "H".
    s is not applied to H.  With s = ReLU features of one class need not be equal at an
    optimum, so that the class-mean form is then a restriction.  Small starts lead to
    the local minimum 0; not convex, not certified.

    References:
        Sukenik, Mondelli & Lampert, Neural Collapse versus Low-rank Bias, NeurIPS 2024;
        Dang et al., Neural Collapse in Deep Linear Networks, ICML 2023.
    """

    depth: int = struct.field(pytree_node=False, kw_only=True)  # L
    width: int = struct.field(pytree_node=False, kw_only=True)
    activation: str = struct.field(pytree_node=False, kw_only=True)

    @classmethod
    def create(  # type: ignore[override]
        cls,
        loss: str | Callable = "mse",
        *,
        depth: int,
        lambda_w: Any,
        lambda_h: Any,
        width: int | None = None,
        activation: str = "relu",
        num_classes: int | None = None,
        feature_dim: int | None = None,
        sizes: Any = 1,
        **options: Any,
    ) -> Deep:
        """As `Problem.create`.

        Args:
            loss: as for `Problem`.
            depth: L >= 2; one layer is `Problem`.
            lambda_w: of every layer, or [L], of W_1 to W_L.
            lambda_h: of the features.
            width: of the hidden layers; by default d.
            activation: "relu" or "linear".
            num_classes: K.
            feature_dim: d.
            sizes: n_k.
            options: of the loss.
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
        fields = class_means(loss, num_classes, feature_dim, sizes, options)
        lambda_w = number("lambda_w", lambda_w, positive=True)
        if lambda_w.shape not in ((), (depth,)):
            raise ValueError(
                f"lambda_w must be a number or [{depth}], got shape {lambda_w.shape}."
            )
        return cls(
            lambda_w=lambda_w * np.ones(depth),
            lambda_h=number("lambda_h", lambda_h, positive=True),
            lambda_b=None,
            depth=depth,
            width=fields["feature_dim"] if width is None else width,
            activation=activation,
            **fields,
        )

    @property
    def not_convex(self) -> str | None:
        """The penalty is a Schatten quasi-norm of Z, even without activations."""
        return "more than one layer is not convex"

    @property
    def descent_steps(self) -> int:
        """20,000 with ReLUs."""
        return 0 if self.activation == "linear" else 20_000

    @double
    def init(self, key: jax.Array) -> Params:
        """He et al. for the layers, features of variance 1; if smaller, all may die."""
        drawn = random_like(key, self.scales(), 1.0)
        layers = {"W": drawn["W"], "hidden": drawn["hidden"]}
        scaled = jax.tree.map(lambda x: x * (2 / x.shape[1]) ** 0.5, layers)
        return scaled | {"H": drawn["H"]}

    @double
    def logits(self, params: Params) -> jax.Array:
        """Z [n, K]."""
        return jnp.matmul(self.last_features(params), params["W"].T)

    @double
    def last_features(self, params: Params) -> jax.Array:
        """What the last layer sees, s(W_{L-1} ... s(W_1 h)) [n, width]."""
        act = _ACTIVATIONS[self.activation]
        value = params["H"]
        for layer in params["hidden"]:
            value = act(jnp.matmul(value, layer.T))
        return value

    @double
    def penalty(self, params: Params) -> jax.Array:
        """(1/2) sum_l lambda_l |W_l|^2 + (lH/2) sum_i m_i |h_i|^2 []."""
        value = self.lambda_h * jnp.vdot(self.counts, jnp.sum(params["H"] ** 2, axis=1))
        layers = (*params["hidden"], params["W"])
        for strength, layer in zip(self.lambda_w, layers, strict=True):
            value += strength * jnp.sum(layer**2)
        return value / 2

    def scales(self) -> Params:
        """Ones, but for the number of samples."""
        wide = [self.feature_dim] + [self.width] * (self.depth - 1)
        hidden = tuple(np.ones(shape) for shape in zip(wide[1:], wide, strict=False))
        rows = self.counts**-0.5
        return {
            "W": np.ones((self.num_classes, wide[-1])),
            "H": rows[:, None] * np.ones(self.feature_dim),
            "hidden": hidden,
        }

    def balance_error(self, params: Params) -> jax.Array:
        """Largest relative imbalance of two layers in a row; 0 if critical."""
        layers = (*params["hidden"], params["W"])
        below = self.lambda_h * (params["H"].T * self.counts) @ params["H"]
        worst = jnp.zeros(())
        for strength, layer in zip(self.lambda_w, layers, strict=True):
            here = strength * layer.T @ layer
            size = jnp.linalg.norm(here + below) + strength
            worst = jnp.maximum(worst, jnp.linalg.norm(here - below) / size)
            below = strength * layer @ layer.T
        return worst


_ACTIVATIONS: dict[str, Callable] = {"relu": jax.nn.relu, "linear": lambda x: x}
