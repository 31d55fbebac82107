"""What all unconstrained-features models share; each kind is a final class of its own.

A model has the objective

    f(params) = sum_i omega_i l_i(z_i) + penalty(params),   omega_i = m_i / sum_j m_j,

where row i of the features stands for m_i samples of one class and z_i are its logits.
In the class-mean form there is one row for each class and m_k = n_k: where l is convex
in the logits that loses nothing, for averaging the features of a class raises no term.
In the sample form (`samples`) every m_i is 1.

Numbers (penalties, class sizes, tables of the loss) are leaves of a pytree, the rest is
static, so that one compiled call solves thousands of problems.

    `Problem`      one layer with weight decay
    `Deep`         several layers with weight decay
    `Spherical`    unit rows and a temperature
    `LayerPeeled`  norm balls
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import struct
from ncjax.ufm.fits import Fit, Leaf
from ncjax.ufm.precision import double

# Parameters by name: classifier "W" [K, d], features "H" [n, d], bias "b" [K] where
# there is one, and what else the kind of model has.
Params = dict[str, Any]
M = TypeVar("M", bound="Model")


@struct.dataclass
class Model(abc.ABC):
    """An unconstrained-features model of any kind."""

    fit: Fit  # the loss of each feature row
    counts: Leaf  # m [n], samples that each feature row stands for
    num_classes: int = struct.field(pytree_node=False)  # K
    feature_dim: int = struct.field(pytree_node=False)  # d
    lambda_b: Leaf | None = None  # decay of the bias; 0: it is free; None: no bias

    @property
    def num_rows(self) -> int:
        """n, the number of feature rows."""
        return self.counts.shape[-1]

    @property
    def weights(self) -> Leaf:
        """Weight omega [n] of each feature row in the loss; the weights sum to 1."""
        return self.counts / self.counts.sum()

    @double
    def objective(self, params: Params) -> jax.Array:
        """f(params) []."""
        losses = self.fit.losses(self.logits(params))
        return jnp.vdot(self.weights, losses) + self.penalty(params)

    def check(self, params: Params) -> None:
        """Raises ValueError unless the parameters are those of this problem."""
        wanted = jax.tree.map(jnp.shape, self.scales())
        got = jax.tree.map(jnp.shape, params)
        if got != wanted:
            raise ValueError(
                f"The parameters have shapes {got}, this problem takes {wanted}."
            )

    @abc.abstractmethod
    def init(self, key: jax.Array) -> Params:
        """Random parameters to start from."""

    @abc.abstractmethod
    def scales(self) -> Params:
        """Units of the parameters, a pytree of their structure and shapes.

        Solvers work in these units, in which the problem is well conditioned.
        """

    @abc.abstractmethod
    def point(self, params: Params) -> Params:
        """Classifier "W" and the features "H" that it sees, for these parameters."""

    @abc.abstractmethod
    def logits(self, params: Params) -> jax.Array:
        """Logits Z [n, K] of the feature rows."""

    @abc.abstractmethod
    def penalty(self, params: Params) -> jax.Array:
        """Everything in the objective but the loss []."""

    @abc.abstractmethod
    def balance_error(self, params: Params) -> jax.Array:
        """Relative imbalance of the layers []; 0 if critical, NaN if no law holds."""

    @abc.abstractmethod
    def samples(self) -> Model:
        """The same problem with a free feature for every sample.

        Raises:
            ValueError: where that is not possible.
        """

    @abc.abstractmethod
    def without_decay(self) -> Model:
        """The same problem with every weight decay 0."""

    @property
    @abc.abstractmethod
    def strength(self) -> Leaf | None:
        """mu, if all penalties of W and H together amount to mu |D^(1/2) Z|_*.

        None for a model whose penalties do not.  Here D = diag(m), and |.|_* is the
        nuclear norm.
        """

    @property
    @abc.abstractmethod
    def not_convex(self) -> str | None:
        """Why no convex problem in the logits stands behind this model.

        None if there is one, so that a convex loss can be certified.
        """

    @property
    @abc.abstractmethod
    def descent_steps(self) -> int:
        """Steps of Adam before Newton's method; more than 0 where there are kinks."""

    @abc.abstractmethod
    def dual_ball(self, theta: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """How far a dual point t Theta may go, and what it costs.

        Args:
            theta: Theta [n, K], the negative gradient of the loss in the logits.

        Returns:
            sigma, the norm of Theta that is dual to the penalty; the largest t that is
            allowed; and the part of the bound to subtract for each unit of t.
        """


def random_like(key: jax.Array, scales: Params, std: float) -> Params:
    """Normal random numbers of the structure of `scales`; vectors are 0.

    Args:
        key: key of the random numbers.
        scales: pytree of arrays; each entry is the unit of its number.
        std: standard deviation in these units.
    """
    leaves, treedef = jax.tree.flatten(scales)
    keys = jax.random.split(key, len(leaves))
    drawn = [
        std * x * jax.random.normal(k, x.shape, x.dtype) if x.ndim > 1 else 0 * x
        for k, x in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(treedef, drawn)


def one_row_each(model: M) -> M:
    """The model with a feature row for every sample, H [N, d].

    Raises:
        ValueError: unless the class sizes are known whole numbers.
    """
    counts = np.asarray(model.counts)
    if np.any(counts != np.round(counts)):
        raise ValueError(
            f"Only whole classes have samples, got sizes {counts}. Give integers."
        )
    rows = np.repeat(np.arange(len(counts)), counts.astype(int))
    return dataclasses.replace(
        model, fit=model.fit.take(rows), counts=np.ones(len(rows))
    )


def no_dual_point(
    model: Model, theta: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`Model.dual_ball` where only t = 0 is known to be allowed.

    Args:
        model: a model whose penalty is no nuclear norm.
        theta: Theta [n, K].

    Returns:
        |D^(-1/2) Theta|_2, 0 and 0.
    """
    scaled = theta / jnp.sqrt(model.counts)[:, None]
    return jnp.linalg.norm(scaled, ord=2), jnp.zeros(()), jnp.zeros(())
