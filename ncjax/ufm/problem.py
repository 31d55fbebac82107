"""Unconstrained-features models: features and classifier are both free variables.

    f(W, H, b) = sum_i omega_i l_i(W h_i + b)
                 + (lW/2) |W|^2 + (lH/2) sum_i m_i |h_i|^2 + (lb/2) |b|^2

with omega_i = m_i / sum_j m_j.  Row i of H stands for m_i samples of one class.  In the
class-mean form there is one row for each class and m_k = n_k: where l is convex in the
logits that loses nothing, for averaging the features of a class raises no term.  In the
sample form (`Problem.samples`) every m_i is 1.

Numbers (penalties, class sizes, tables of the loss) are leaves of a pytree, the rest is
static, so that one compiled call solves thousands of problems.

References:
    Zhu et al., A Geometric Analysis of Neural Collapse with Unconstrained Features,
    NeurIPS 2021; Tirer & Bruna, Extended Unconstrained Features Model, ICML 2022;
    Zhou et al., ICML 2022.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import struct
from ncjax.ufm.checks import class_means, number
from ncjax.ufm.fits import Fit, Leaf
from ncjax.ufm.precision import double

Params = dict[str, Any]  # "W" [K, d], "H" [n, d], and "b" [K] where there is a bias


@struct.dataclass
class Problem:
    """An unconstrained-features model with weight decay; make one with `create`.

    A variant is a subclass with its own `logits`, `penalty` and `scales`.
    """

    fit: Fit  # the loss of each row
    counts: Leaf  # m [n] samples that each feature row stands for
    lambda_w: Leaf  # []
    lambda_h: Leaf  # []
    lambda_b: Leaf | None  # []; 0: the bias is free; None: there is none
    num_classes: int = struct.field(pytree_node=False)  # K
    feature_dim: int = struct.field(pytree_node=False)  # d

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
        """The class-mean form.

        Args:
            loss: a name in `ncjax.losses.LOSSES` or a function of its kind.
            lambda_w: lW > 0, with the convention (lW/2) |W|^2.
            lambda_h: lH > 0, likewise.
            lambda_b: lb >= 0 of the bias, 0 for a free bias, None for no bias.
            num_classes: K; by default that of `sizes` or of the tree.
            feature_dim: d; by default K, which is enough for every optimum.
            sizes: n_k, samples of each class: one number, or [K].
            options: of the loss, among them `hierarchy` where it takes a tree.

        Raises:
            ValueError: naming what was got and what is allowed.
            TypeError: for traced numbers that are not float64.
        """
        return cls(
            lambda_w=number("lambda_w", lambda_w, positive=True),
            lambda_h=number("lambda_h", lambda_h, positive=True),
            lambda_b=None if lambda_b is None else number("lambda_b", lambda_b),
            **class_means(loss, num_classes, feature_dim, sizes, options),
        )

    @property
    def num_rows(self) -> int:
        """n, the number of feature rows."""
        return self.counts.shape[-1]

    @property
    def descent_steps(self) -> int:
        """Steps of Adam before Newton's method; for objectives with kinks."""
        return 0

    @property
    def strength(self) -> Leaf:
        """Coefficient mu = sqrt(lW lH) of the nuclear norm of Z."""
        return (self.lambda_w * self.lambda_h) ** 0.5

    @property
    def weights(self) -> Leaf:
        """Weight omega [n] of each row in the loss; they sum to 1."""
        return self.counts / self.counts.sum()

    @double
    def init(self, key: jax.Array) -> Params:
        """Normal parameters, of the size that the two penalties balance; b = 0."""
        return random_like(key, self.scales(), self.feature_dim**-0.5)

    @double
    def point(self, params: Params) -> Params:
        """The W, H and b that the parameters stand for; here they themselves."""
        return params

    @double
    def logits(self, params: Params) -> jax.Array:
        """Z [n, K], row i is W h_i + b."""
        logits = jnp.matmul(params["H"], params["W"].T)
        return logits + params["b"] if "b" in params else logits

    @double
    def penalty(self, params: Params) -> jax.Array:
        """Everything but the loss []."""
        features = jnp.vdot(self.counts, jnp.sum(params["H"] ** 2, axis=1))
        value = self.lambda_w * jnp.sum(params["W"] ** 2) + self.lambda_h * features
        if self.lambda_b is not None:
            value += self.lambda_b * jnp.sum(params["b"] ** 2)
        return value / 2

    @double
    def objective(self, params: Params) -> jax.Array:
        """f(W, H, b) []."""
        losses = self.fit.losses(self.logits(params))
        return jnp.vdot(self.weights, losses) + self.penalty(params)

    def scales(self) -> Params:
        """Units of the parameters in which both penalties have the coefficient mu.

        With W = (lH/lW)^(1/4) A, h_i = (lW/lH)^(1/4) m_i^(-1/2) b_i, mu = sqrt(lW lH)
        they are (mu/2) (|A|^2 + |B|^2), whatever the class sizes: better conditioned.
        """
        ratio = (self.lambda_h / self.lambda_w) ** 0.25
        row = np.ones(self.feature_dim)
        scales: Params = {
            "W": ratio * np.ones((self.num_classes, 1)) * row,
            "H": (1 / (ratio * self.counts**0.5))[:, None] * row,
        }
        if self.lambda_b is not None:
            scales["b"] = np.ones(self.num_classes)
        return scales

    @property
    def not_convex(self) -> str | None:
        """Why no convex problem in Z stands behind this model; None if one does."""
        return None

    def dual_ball(self, theta: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """How far a dual point t Theta [n, K] may go, and what it costs.

        Returns:
            sigma, the norm of Theta dual to the penalty; the largest t that keeps
            t sigma <= mu; and the part of the bound to subtract for each unit of t.
        """
        scaled = theta / jnp.sqrt(self.counts)[:, None]
        sigma = jnp.linalg.norm(scaled, ord=2)
        limit = self.strength / jnp.maximum(sigma, jnp.finfo(sigma.dtype).tiny)
        return sigma, limit, jnp.zeros(())

    def balance_error(self, params: Params) -> jax.Array:
        """|lW W'W - lH H'DH| over |lW W'W + lH H'DH| + mu []; 0 if critical."""
        left = self.lambda_w * params["W"].T @ params["W"]
        right = self.lambda_h * (params["H"].T * self.counts) @ params["H"]
        size = jnp.linalg.norm(left + right) + self.strength
        return jnp.linalg.norm(left - right) / size

    def samples(self) -> Problem:
        """The same problem with a free feature for every sample, H [N, d].

        Raises:
            ValueError: unless the class sizes are known whole numbers.
        """
        counts = np.asarray(self.counts)
        if np.any(counts != np.round(counts)):
            raise ValueError(
                f"Only whole classes have samples, got sizes {counts}. Give integers."
            )
        rows = np.repeat(np.arange(len(counts)), counts.astype(int))
        return self.replace(  # type: ignore[attr-defined]
            fit=self.fit.take(rows), counts=np.ones(len(rows))
        )

    def check(self, params: Params) -> None:
        """Raises ValueError unless the parameters are those of this problem."""
        wanted = jax.tree.map(jnp.shape, self.scales())
        got = jax.tree.map(jnp.shape, params)
        if got != wanted:
            raise ValueError(
                f"The parameters have shapes {got}, this problem takes {wanted}."
            )


def random_like(key: jax.Array, scales: Params, std: float) -> Params:
    """Normal numbers times `std` and the scales, a pytree; vectors are 0."""
    leaves, treedef = jax.tree.flatten(scales)
    keys = jax.random.split(key, len(leaves))
    drawn = [
        std * x * jax.random.normal(k, x.shape, x.dtype) if x.ndim > 1 else 0 * x
        for k, x in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(treedef, drawn)
