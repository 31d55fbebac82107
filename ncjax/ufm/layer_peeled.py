"""The layer-peeled model: norm balls in place of weight decay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, final

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import struct
from ncjax.ufm.fits import Leaf
from ncjax.ufm.inputs import class_means, number
from ncjax.ufm.model import Model, Params, random_like
from ncjax.ufm.precision import double


@final
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
        num_classes: int | None = None,
        feature_dim: int | None = None,
        sizes: Any = 1,
        **options: Any,
    ) -> LayerPeeled:
        """The class-mean form: one feature row for each class.

        Args:
            loss: the loss, as for `Problem.create`.
            radius_w: E_W > 0, the largest mean square of a classifier row.
            radius_h: E_H > 0, the largest mean square of a feature.
            num_classes: number K of classes, as for `Problem.create`.
            feature_dim: width d of the features, as for `Problem.create`.
            sizes: number n_k of samples of each class, as for `Problem.create`.
            **options: options of the loss.

        Raises:
            ValueError: naming what was got and what is allowed.
        """
        return cls(
            radius_w=number("radius_w", radius_w, positive=True),
            radius_h=number("radius_h", radius_h, positive=True),
            **class_means(loss, num_classes, feature_dim, sizes, options),
        )

    @double
    def init(self, key: jax.Array) -> Params:
        """Normal parameters inside the balls."""
        drawn = random_like(key, self.scales(), self.feature_dim**-0.5)
        return drawn | {"slack": jnp.ones(2)}

    def scales(self) -> Params:
        """Ones: only directions and their share of the sphere count."""
        return {
            "W": np.ones((self.num_classes, self.feature_dim)),
            "H": np.ones((self.num_rows, self.feature_dim)),
            "slack": np.ones(2),
        }

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
        """Logits Z [K, K]."""
        point = self.point(params)
        return jnp.matmul(point["H"], point["W"].T)

    def penalty(self, params: Params) -> jax.Array:
        """0: the balls take the place of weight decay."""
        return jnp.zeros(())

    def balance_error(self, params: Params) -> jax.Array:
        """NaN: without weight decay no law ties W to H."""
        return jnp.full((), jnp.nan)

    def samples(self) -> NoReturn:
        """Raises ValueError: only the class means are modelled, which is exact."""
        raise ValueError("The layer-peeled model has a class-mean form only.")

    def without_decay(self) -> LayerPeeled:
        """The model itself, which has no weight decay."""
        return self

    @property
    def strength(self) -> None:
        """None: the nuclear norm is bounded, and not in the objective."""
        return None

    @property
    def not_convex(self) -> None:
        """None: a ball of the nuclear norm is convex."""
        return None

    @property
    def descent_steps(self) -> int:
        """0: the objective is smooth if the loss is."""
        return 0

    def dual_ball(self, theta: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Every t is allowed, at the price t K sqrt(E_W E_H) sigma."""
        sigma = jnp.linalg.norm(theta, ord=2)
        radius = self.num_classes * jnp.sqrt(self.radius_w * self.radius_h)
        return sigma, jnp.asarray(jnp.inf), radius * sigma
