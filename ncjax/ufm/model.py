"""What all unconstrained-features models share; each kind overrides what it changes.

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

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import struct
from ncjax.ufm.fits import Fit, Leaf
from ncjax.ufm.precision import double
from ncjax.ufm.tables import make_fit, outputs_of

# Parameters by name: classifier "W" [M, d], features "H" [n, d], bias "b" [M] where
# there is one, and what else the kind of model has.  There are M = K logits but for
# losses with an output for each node or level of a tree (`ncjax.losses.OUTPUTS`).
Params = dict[str, Any]
M = TypeVar("M", bound="Model")


@struct.dataclass
class Model:
    """An unconstrained-features model of any kind.

    What the methods here give is so for a model without any penalty.
    """

    fit: Fit  # the loss of each feature row
    counts: Leaf  # m [n], samples that each feature row stands for
    num_classes: int = struct.field(pytree_node=False)  # K
    feature_dim: int = struct.field(pytree_node=False)  # d
    lambda_b: Leaf | None = None  # decay of the bias; 0: it is free; None: no bias
    readout: Leaf | None = None  # A [K, M]: rows of A W classify; None: the identity

    @property
    def num_outputs(self) -> int:
        """M, the number of logits, and of rows of W; K as a rule."""
        return self.fit.num_outputs

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

    def scales(self) -> Params:
        """Units of the parameters, a pytree of their structure and shapes.

        Solvers work in these units, in which the problem is well conditioned.
        """
        return {
            "W": np.ones((self.num_outputs, self.feature_dim)),
            "H": np.ones((self.num_rows, self.feature_dim)),
        }

    @double
    def init(self, key: jax.Array) -> Params:
        """Random parameters to start from: normal, in units of `scales`; b = 0."""
        return random_like(key, self.scales(), self.feature_dim**-0.5)

    @double
    def point(self, params: Params) -> Params:
        """Classifier "W" and the features "H" that it sees, for these parameters."""
        return params

    @double
    def class_point(self, params: Params) -> Params:
        """`point` with the classifier A W [K, d] of the classes, for `geometry`."""
        point = self.point(params)
        if self.readout is None:
            return point
        return point | {"W": jnp.matmul(self.readout, point["W"])}

    @double
    def logits(self, params: Params) -> jax.Array:
        """Logits Z [n, M] of the feature rows."""
        point = self.point(params)
        logits = jnp.matmul(point["H"], point["W"].T)
        return logits + params["b"] if "b" in params else logits

    def penalty(self, params: Params) -> jax.Array:
        """Everything in the objective but the loss []."""
        return jnp.zeros(())

    def balance_error(self, params: Params) -> jax.Array:
        """Relative imbalance of the layers []; 0 if critical, NaN if no law holds."""
        return jnp.full((), jnp.nan)

    def samples(self: M) -> M:
        """The same problem with a free feature for every sample, H [N, d].

        Raises:
            ValueError: unless the class sizes are known whole numbers, or where the
                model has no such form.
        """
        counts = np.asarray(self.counts)
        if np.any(counts != np.round(counts)):
            raise ValueError(
                f"Only whole classes have samples, got sizes {counts}. Give integers."
            )
        rows = np.repeat(np.arange(len(counts)), counts.astype(int))
        return dataclasses.replace(
            self, fit=self.fit.take(rows), counts=np.ones(len(rows))
        )

    def without_decay(self: M) -> M:
        """The same problem with all decays 0: flow then grows for ever, like log t."""
        return self

    @property
    def strength(self) -> Leaf | None:
        """mu, if all penalties of W and H together amount to mu |D^(1/2) Z|_*.

        None for a model whose penalties do not.  Here D = diag(m), and |.|_* is the
        nuclear norm.
        """
        return None

    # Why no convex problem in the logits stands behind the model; None if there is one,
    # so that a convex loss can be certified.
    not_convex: ClassVar[str | None] = None

    @property
    def descent_steps(self) -> int:
        """Steps of Adam before Newton's method; more than 0 where there are kinks."""
        return 0

    def dual_ball(self, theta: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """How far a dual point t Theta may go, and what it costs.

        Args:
            theta: Theta [n, K], the negative gradient of the loss in the logits.

        Returns:
            sigma, the norm of Theta that is dual to the penalty; the largest t that is
            allowed, which is 0 where no other is known; and the part of the bound to
            subtract for each unit of t.
        """
        return self.sigma(theta), jnp.zeros(()), jnp.zeros(())

    def sigma(self, theta: jax.Array) -> jax.Array:
        """|D^(-1/2) Theta|_2 [] of Theta [n, K]."""
        return jnp.linalg.norm(theta / jnp.sqrt(self.counts)[:, None], ord=2)


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


def class_means(
    loss: str | Callable,
    num_classes: int | None = None,
    feature_dim: int | None = None,
    sizes: Any = 1,
    **options: Any,
) -> dict[str, Any]:
    """The fields of `Model` in the class-mean form, checked: fit, counts, K and d.

    The arguments are those of `Problem.create`.

    Raises:
        ValueError: for a value out of range, or numbers of classes that differ.
    """
    sizes = number("sizes", sizes, positive=True)
    num_classes = _num_classes(num_classes, sizes, options.get("hierarchy"))
    feature_dim = num_classes if feature_dim is None else feature_dim
    if feature_dim < 1:
        raise ValueError(f"feature_dim must be at least 1, got {feature_dim}.")
    fit = make_fit(loss, num_classes, options, sizes)
    outputs = outputs_of(loss, options.get("hierarchy"))
    return {
        "fit": fit,
        "readout": fit.readout if outputs is None else outputs.readout,
        "counts": sizes * np.ones(num_classes),
        "num_classes": num_classes,
        "feature_dim": feature_dim,
    }


def number(name: str, value: Any, *, positive: bool = False) -> Any:
    """The value as a float64 array, finite and at least 0; traced values pass.

    Args:
        name: name of the value, for errors.
        value: one number, or an array.
        positive: whether 0 is refused too.

    Raises:
        ValueError: for a value out of range.
        TypeError: for a traced value that is not float64.
    """
    if isinstance(value, jax.core.Tracer):
        if value.dtype != np.float64:
            raise TypeError(
                f"{name} is traced as {value.dtype}; these models need float64. Trace "
                "inside `with jax.enable_x64(True):`, with float64 inputs."
            )
        return value
    value = np.asarray(value, np.float64)
    inside = value > 0 if positive else value >= 0
    if not np.all(inside & np.isfinite(value)):
        bound = "more than 0" if positive else "at least 0"
        raise ValueError(f"{name} must be finite and {bound}, got {value}.")
    return value


def _num_classes(given: int | None, sizes: Any, tree: Any) -> int:
    """K, from all inputs that know it: `num_classes`, `sizes` [K] and the tree."""
    if sizes.ndim > 1:
        raise ValueError(f"sizes must be a number or [K], got shape {sizes.shape}.")
    claims = {
        "num_classes": given,
        "sizes": sizes.shape[0] if sizes.ndim else None,
        "the hierarchy": tree.num_classes if tree is not None else None,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    if not claims:
        raise ValueError("How many classes? Give num_classes, sizes [K] or hierarchy.")
    if len(set(claims.values())) > 1:
        said = ", ".join(f"{name}: {value}" for name, value in claims.items())
        raise ValueError(f"The numbers of classes differ ({said}). Make them agree.")
    num_classes = next(iter(claims.values()))
    if num_classes < 2:
        raise ValueError(f"At least 2 classes are needed, got {num_classes}.")
    return num_classes
