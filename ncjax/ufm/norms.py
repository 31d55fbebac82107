"""Models with norms in place of weight decay: on spheres, and in balls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import struct
from ncjax.ufm.fits import Leaf
from ncjax.ufm.model import Model, Params, class_means, number
from ncjax.ufm.precision import double


@struct.dataclass
class Spherical(Model):
    """Unit classifier rows and features with a temperature: z_ik = <w_k, h_i> / tau.

    Parameters are "W" and "H", normalised in use, so that any non-zero ones are a point
    of the problem.  For cross-entropy and K <= d + 1 the optimum is a simplex ETF with
    the objective log(1 + (K-1) exp(-K / ((K-1) tau))).  The model is not convex and
    cannot be certified.

    References:
        Yaras et al., Neural Collapse with Normalized Features, NeurIPS 2022; Jiang et
        al., Generalized Neural Collapse for a Large Number of Classes, ICML 2024, in
        whose code the temperature multiplies.
    """

    temperature: Leaf = struct.field(kw_only=True)  # tau []

    not_convex = "unit norms are not convex"

    @classmethod
    def create(
        cls, loss: str | Callable = "cross_entropy", *, temperature: Any, **options: Any
    ) -> Spherical:
        """The class-mean form: one feature row for each class.

        Args:
            loss: the loss, as for `Problem.create`.
            temperature: tau > 0, by which the cosines are divided.
            **options: num_classes, feature_dim, sizes and the options of the loss, as
                for `Problem.create`.

        Raises:
            ValueError: naming what was got and what is allowed.
        """
        return cls(
            temperature=number("temperature", temperature, positive=True),
            **class_means(loss, **options),
        )

    @double
    def point(self, params: Params) -> Params:
        """Unit rows of W [K, d] and of H [n, d]."""
        return {
            name: x / jnp.linalg.norm(x, axis=1, keepdims=True)
            for name, x in params.items()
        }

    @double
    def logits(self, params: Params) -> jax.Array:
        """Logits Z [n, K]."""
        return super().logits(params) / self.temperature


@struct.dataclass
class LayerPeeled(Model):
    """Norm balls in place of penalties, on averages over classes.

        (1/K) sum_k |w_k|^2 <= E_W,   (1/K) sum_k (1/n_k) sum_i |h_ki|^2 <= E_H

    Here z_ik = <w_k, h_i> with W = sqrt(K E_W) A / |(A, a)|, and H in the same way: a
    slack entry a lifts the ball to a sphere, so that nothing is constrained, and a = 0
    is the edge of the ball.  Parameters: "W" and "H" hold the A, "slack" [2] the a of
    each; `point` gives W and H themselves.

    Equivalent to min F(Z) under |Zbar|_* <= K sqrt(E_W E_H), which certifies it.

    References:
        Fang et al., Exploring Deep Neural Networks via Layer-Peeled Model, PNAS 2021.
    """

    radius_w: Leaf = struct.field(kw_only=True)  # E_W []
    radius_h: Leaf = struct.field(kw_only=True)  # E_H []

    @classmethod
    def create(
        cls,
        loss: str | Callable = "cross_entropy",
        *,
        radius_w: Any,
        radius_h: Any,
        **options: Any,
    ) -> LayerPeeled:
        """The class-mean form: one feature row for each class.

        Args:
            loss: the loss, as for `Problem.create`.
            radius_w: E_W > 0, the largest mean square of a classifier row.
            radius_h: E_H > 0, the largest mean square of a feature.
            **options: num_classes, feature_dim, sizes and the options of the loss, as
                for `Problem.create`.

        Raises:
            ValueError: naming what was got and what is allowed.
        """
        return cls(
            radius_w=number("radius_w", radius_w, positive=True),
            radius_h=number("radius_h", radius_h, positive=True),
            **class_means(loss, **options),
        )

    @double
    def init(self, key: jax.Array) -> Params:
        """Normal parameters inside the balls."""
        return super().init(key) | {"slack": jnp.ones(2)}

    def scales(self) -> Params:
        """Ones: only directions and their share of the sphere count."""
        return super().scales() | {"slack": np.ones(2)}

    @double
    def point(self, params: Params) -> Params:
        """W [K, d] and H [K, d], inside their balls."""
        radii = {"W": self.radius_w, "H": self.radius_h}
        result = {}
        for (name, radius), slack in zip(radii.items(), params["slack"], strict=True):
            norm = jnp.sqrt(jnp.sum(params[name] ** 2) + slack**2)
            result[name] = jnp.sqrt(self.num_classes * radius) * params[name] / norm
        return result

    def samples(self) -> NoReturn:
        """Raises ValueError: only the class means are modelled, which is exact."""
        raise ValueError("The layer-peeled model has a class-mean form only.")

    def dual_ball(self, theta: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Every t is allowed, at the price t K sqrt(E_W E_H) sigma."""
        sigma = jnp.linalg.norm(theta, ord=2)
        radius = self.num_classes * jnp.sqrt(self.radius_w * self.radius_h)
        return sigma, jnp.asarray(jnp.inf), radius * sigma
