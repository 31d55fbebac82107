"""Models with norms in place of weight decay: on a sphere, and in a ball."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import struct
from ncjax.ufm.checks import class_means, number
from ncjax.ufm.fits import Leaf
from ncjax.ufm.precision import double
from ncjax.ufm.problem import Params, Problem, random_like


class _Norms(Problem):
    """Models without weight decay: parameters have no natural scale but 1."""

    def penalty(self, params: Params) -> jax.Array:
        """None."""
        return jnp.zeros(())

    def scales(self) -> Params:
        """Ones."""
        return {
            "W": np.ones((self.num_classes, self.feature_dim)),
            "H": np.ones((self.num_rows, self.feature_dim)),
        }

    def balance_error(self, params: Params) -> jax.Array:
        """Says nothing here."""
        return jnp.full((), jnp.nan)


@struct.dataclass
class Spherical(_Norms):
    """Unit classifier rows and features with a temperature: z_ik = <w_k, h_i> / tau.

    Parameters are normalised in use, so any non-zero ones are a point of the problem.
    For cross-entropy and K <= d + 1 the optimum is a simplex ETF with the objective
    log(1 + (K-1) exp(-K / ((K-1) tau))).  Not convex, not certified.

    References:
        Yaras et al., Neural Collapse with Normalized Features, NeurIPS 2022; Jiang et
        al., Generalized Neural Collapse for a Large Number of Classes, ICML 2024, in
        whose code the temperature multiplies.
    """

    temperature: Leaf = struct.field(kw_only=True)  # tau []

    @classmethod
    def create(  # type: ignore[override]
        cls,
        loss: str | Callable = "cross_entropy",
        *,
        temperature: Any,
        num_classes: int | None = None,
        feature_dim: int | None = None,
        sizes: Any = 1,
        **options: Any,
    ) -> Spherical:
        """As `Problem.create`, with tau > 0 in place of the penalties."""
        return cls(
            temperature=number("temperature", temperature, positive=True),
            **_no_decay(),
            **class_means(loss, num_classes, feature_dim, sizes, options),
        )

    @property
    def not_convex(self) -> str | None:
        """Spheres are not convex."""
        return "unit norms are not convex"

    @double
    def point(self, params: Params) -> Params:
        """Unit rows of W [K, d] and of H [n, d]."""
        return {
            name: x / jnp.linalg.norm(x, axis=1, keepdims=True)
            for name, x in params.items()
        }

    @double
    def logits(self, params: Params) -> jax.Array:
        """Z [n, K]."""
        point = self.point(params)
        return jnp.matmul(point["H"], point["W"].T) / self.temperature


@struct.dataclass
class LayerPeeled(_Norms):
    """Norm balls in place of penalties, on averages over classes.

        (1/K) sum_k |w_k|^2 <= E_W,   (1/K) sum_k (1/n_k) sum_i |h_ki|^2 <= E_H

    Here z_ik = <w_k, h_i> with W = sqrt(K E_W) A / |(A, a)|, and H likewise: a slack
    entry a lifts the ball to a sphere, so that nothing is constrained, and a = 0 is the
    edge of the ball.  `point` gives W and H.

    Equivalent to min F(Z) under |Zbar|_* <= K sqrt(E_W E_H), which certifies it.

    References:
        Fang et al., Exploring Deep Neural Networks via Layer-Peeled Model, PNAS 2021.
    """

    radius_w: Leaf = struct.field(kw_only=True)  # E_W []
    radius_h: Leaf = struct.field(kw_only=True)  # E_H []

    @classmethod
    def create(  # type: ignore[override]
        cls,
        loss: str | Callable = "cross_entropy",
        *,
        radius_w: Any,
        radius_h: Any,
        num_classes: int | None = None,
        feature_dim: int | None = None,
        sizes: Any = 1,
        **options: Any,
    ) -> LayerPeeled:
        """As `Problem.create`, with E_W, E_H > 0 in place of the penalties."""
        return cls(
            radius_w=number("radius_w", radius_w, positive=True),
            radius_h=number("radius_h", radius_h, positive=True),
            **_no_decay(),
            **class_means(loss, num_classes, feature_dim, sizes, options),
        )

    def samples(self) -> LayerPeeled:
        """Not there: the class means are exact."""
        raise ValueError("The layer-peeled model has a class-mean form only.")

    def scales(self) -> Params:
        """Ones."""
        return super().scales() | {"slack": np.ones(2)}

    @double
    def init(self, key: jax.Array) -> Params:
        """Inside the balls, at random."""
        drawn = random_like(key, self.scales(), self.feature_dim**-0.5)
        return drawn | {"slack": jnp.ones(2)}

    @double
    def point(self, params: Params) -> Params:
        """W [K, d] and H [K, d], inside their balls."""
        radii = {"W": self.radius_w, "H": self.radius_h}
        result = {}
        for (name, radius), slack in zip(radii.items(), params["slack"], strict=True):
            norm = jnp.sqrt(jnp.sum(params[name] ** 2) + slack**2)
            result[name] = jnp.sqrt(self.num_classes * radius) * params[name] / norm
        return result

    @double
    def logits(self, params: Params) -> jax.Array:
        """Z [K, K]."""
        point = self.point(params)
        return jnp.matmul(point["H"], point["W"].T)

    def dual_ball(self, theta: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Any t is allowed, at the price t K sqrt(E_W E_H) sigma."""
        sigma = jnp.linalg.norm(theta, ord=2)
        radius = self.num_classes * jnp.sqrt(self.radius_w * self.radius_h)
        return sigma, jnp.asarray(jnp.inf), radius * sigma


def _no_decay() -> dict[str, Any]:
    zero = np.zeros(())
    return {"lambda_w": zero, "lambda_h": zero, "lambda_b": None}
