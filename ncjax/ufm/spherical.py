"""The model on spheres: unit classifier rows and features, and a temperature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import struct
from ncjax.ufm.fits import Leaf
from ncjax.ufm.inputs import class_means, number
from ncjax.ufm.model import Model, Params, no_dual_point, one_row_each, random_like
from ncjax.ufm.precision import double


@final
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

    @classmethod
    def create(
        cls,
        loss: str | Callable = "cross_entropy",
        *,
        temperature: Any,
        num_classes: int | None = None,
        feature_dim: int | None = None,
        sizes: Any = 1,
        **options: Any,
    ) -> Spherical:
        """The class-mean form: one feature row for each class.

        Args:
            loss: the loss, as for `Problem.create`.
            temperature: tau > 0, by which the cosines are divided.
            num_classes: number K of classes, as for `Problem.create`.
            feature_dim: width d of the features, as for `Problem.create`.
            sizes: number n_k of samples of each class, as for `Problem.create`.
            **options: options of the loss.

        Raises:
            ValueError: naming what was got and what is allowed.
        """
        return cls(
            temperature=number("temperature", temperature, positive=True),
            **class_means(loss, num_classes, feature_dim, sizes, options),
        )

    @double
    def init(self, key: jax.Array) -> Params:
        """Normal parameters: directions without preference."""
        return random_like(key, self.scales(), self.feature_dim**-0.5)

    def scales(self) -> Params:
        """Ones: with unit norms, 1 is the natural scale."""
        return {
            "W": np.ones((self.num_classes, self.feature_dim)),
            "H": np.ones((self.num_rows, self.feature_dim)),
        }

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
        point = self.point(params)
        return jnp.matmul(point["H"], point["W"].T) / self.temperature

    def penalty(self, params: Params) -> jax.Array:
        """0: there is no weight decay."""
        return jnp.zeros(())

    def balance_error(self, params: Params) -> jax.Array:
        """NaN: without weight decay no law ties W to H."""
        return jnp.full((), jnp.nan)

    def samples(self) -> Spherical:
        """The same problem with a free feature for every sample, H [N, d].

        Raises:
            ValueError: unless the class sizes are known whole numbers.
        """
        return one_row_each(self)

    def without_decay(self) -> Spherical:
        """The model itself, which has no weight decay."""
        return self

    @property
    def strength(self) -> None:
        """None: there is no penalty."""
        return None

    @property
    def not_convex(self) -> str:
        """Spheres are not convex."""
        return "unit norms are not convex"

    @property
    def descent_steps(self) -> int:
        """0: the objective is smooth."""
        return 0

    def dual_ball(self, theta: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Only t = 0 is allowed: the bound is the least value of the loss."""
        return no_dual_point(self, theta)
