"""The unconstrained-features model with weight decay: features are free variables.

    f(W, H, b) = sum_i omega_i l_i(W h_i + b)
                 + (lW/2) |W|^2 + (lH/2) sum_i m_i |h_i|^2 + (lb/2) |b|^2

What the symbols mean, and what all kinds of models share, is in `ncjax.ufm.model`.

References:
    Zhu et al., A Geometric Analysis of Neural Collapse with Unconstrained Features,
    NeurIPS 2021; Tirer & Bruna, Extended Unconstrained Features Model, ICML 2022;
    Zhou et al., ICML 2022.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import struct
from ncjax.ufm.fits import Leaf
from ncjax.ufm.model import Model, Params, class_means, number
from ncjax.ufm.precision import double


@struct.dataclass
class Problem(Model):
    """An unconstrained-features model with weight decay; make one with `create`.

    Its parameters are "W" [M, d], "H" [n, d], and "b" [M] where there is a bias; M = K
    logits but for losses with an output for each node or level of a tree.
    """

    lambda_w: Leaf = struct.field(kw_only=True)  # lW []
    lambda_h: Leaf = struct.field(kw_only=True)  # lH []

    @classmethod
    def create(
        cls,
        loss: str | Callable = "cross_entropy",
        *,
        lambda_w: Any,
        lambda_h: Any,
        lambda_b: Any = None,
        num_classes: int | None = None,
        feature_dim: int | None = None,
        sizes: Any = 1,
        **options: Any,
    ) -> Problem:
        """The class-mean form: one feature row for each class.

        Args:
            loss: a name in `ncjax.ufm.tables.FITS` or `ncjax.losses.LOSSES`, or a
                function like those of `ncjax.losses`.
            lambda_w: lW > 0, weight decay of W with the convention (lW/2) |W|^2.
            lambda_h: lH > 0, weight decay of the features, with the same convention.
            lambda_b: lb >= 0, weight decay of the bias; 0 for a free bias, None for no
                bias.
            num_classes: number K of classes; by default that of `sizes` or of the tree.
            feature_dim: width d of the features; by default K, which is enough for
                every optimum.
            sizes: number n_k of samples of each class: one number, or [K].
            **options: options of the loss, among them `hierarchy` where it takes a
                tree.

        Raises:
            ValueError: naming what was got and what is allowed.
            TypeError: for traced numbers that are not float64.

        Example:
            >>> import ncjax
            >>> problem = ncjax.ufm.Problem.create(
            ...     "cross_entropy", num_classes=4, lambda_w=1e-2, lambda_h=1e-2
            ... )
            >>> problem.num_classes, problem.feature_dim
            (4, 4)
        """
        return cls(
            lambda_w=number("lambda_w", lambda_w, positive=True),
            lambda_h=number("lambda_h", lambda_h, positive=True),
            lambda_b=None if lambda_b is None else number("lambda_b", lambda_b),
            **class_means(loss, num_classes, feature_dim, sizes, **options),
        )

    def scales(self) -> Params:
        """Units of the parameters in which both penalties have the coefficient mu.

        With W = (lH/lW)^(1/4) A, h_i = (lW/lH)^(1/4) m_i^(-1/2) b_i, mu = sqrt(lW lH)
        they are (mu/2) (|A|^2 + |B|^2), whatever the class sizes: better conditioned.
        """
        with np.errstate(divide="ignore", invalid="ignore"):  # without decay
            ratio = (self.lambda_h / self.lambda_w) ** 0.25
        row = np.ones(self.feature_dim)
        scales: Params = {
            "W": ratio * np.ones((self.num_outputs, 1)) * row,
            "H": (1 / (ratio * self.counts**0.5))[:, None] * row,
        }
        if self.lambda_b is not None:
            scales["b"] = np.ones(self.num_outputs)
        return scales

    @double
    def penalty(self, params: Params) -> jax.Array:
        """Weight decay of W, H and b []."""
        features = jnp.vdot(self.counts, jnp.sum(params["H"] ** 2, axis=1))
        value = self.lambda_w * jnp.sum(params["W"] ** 2) + self.lambda_h * features
        if self.lambda_b is not None:
            value += self.lambda_b * jnp.sum(params["b"] ** 2)
        return value / 2

    def balance_error(self, params: Params) -> jax.Array:
        """|lW W'W - lH H'DH| over |lW W'W + lH H'DH| + mu []; 0 if critical."""
        left = self.lambda_w * params["W"].T @ params["W"]
        right = self.lambda_h * (params["H"].T * self.counts) @ params["H"]
        size = jnp.linalg.norm(left + right) + self.strength
        return jnp.linalg.norm(left - right) / size

    def without_decay(self) -> Problem:
        """The same problem with lW = lH = 0, and lb = 0 where there is a bias."""
        zero = np.zeros(())
        bias = None if self.lambda_b is None else zero
        return dataclasses.replace(self, lambda_w=zero, lambda_h=zero, lambda_b=bias)

    @property
    def strength(self) -> Leaf:
        """Coefficient mu = sqrt(lW lH) of the nuclear norm |D^(1/2) Z|_*."""
        return (self.lambda_w * self.lambda_h) ** 0.5

    def dual_ball(self, theta: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """T Theta is dual feasible for t sigma <= mu, at no cost; see `Model`."""
        sigma = self.sigma(theta)
        limit = self.strength / jnp.maximum(sigma, jnp.finfo(sigma.dtype).tiny)
        return sigma, limit, jnp.zeros(())
