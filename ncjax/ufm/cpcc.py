"""The unconstrained-features model with CPCC: class means that shall follow a tree."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ncjax import struct
from ncjax.hierarchy import Hierarchy
from ncjax.losses import cpcc
from ncjax.options import takes
from ncjax.ufm.fits import Leaf
from ncjax.ufm.fixed import simplex_rows
from ncjax.ufm.model import Params, number
from ncjax.ufm.newton import minimise
from ncjax.ufm.precision import double
from ncjax.ufm.problem import Problem
from ncjax.ufm.solve import Solution
from ncjax.ufm.tables import known_losses


@struct.dataclass
class Correlated(Problem):
    """`Problem` with the regulariser `ncjax.losses.cpcc` on the rows of H.

        f(W, H, b) = that of `Problem`
                     + w (1 - correlation of |h_i - h_j| with the edges between i and j)

    All classes count alike, as they do in a batch that holds all of them.  It is not
    convex.  But its last term is at least 0, so that every bound from below of
    `Problem` is one here too, and `certify` proves an optimum where that term vanishes.

    It vanishes wherever distances are a + b times the edges, for any b > 0.  So where
    the loss alone has its optimum at a simplex, as cross-entropy with balanced classes,
    the infimum is that of the loss, whatever w: simplices bent towards the tree ever
    less, b -> 0, come as near to it as one likes, and at the simplex itself `cpcc` is
    defined as 0.  With classes of other sizes the best simplex (`at_simplex`) is a
    candidate too, which random starts come near to, but do not reach.

    References:
        Zeng, Des Combes & Zhao, Learning Structured Representations by Embedding Class
        Hierarchy, ICLR 2023.
    """

    weight: Leaf = struct.field(kw_only=True)  # w []
    tree: Hierarchy = struct.field(pytree_node=False, kw_only=True)

    @classmethod
    def create(  # type: ignore[override]  # it needs two more
        cls,
        loss: str | Callable = "cross_entropy",
        *,
        cpcc: Any,
        hierarchy: Hierarchy,
        **options: Any,
    ) -> Correlated:
        """The class-mean form: one feature row for each class.

        Args:
            loss: the loss, as for `Problem.create`.
            cpcc: weight w of the regulariser, at least 0.
            hierarchy: tree over the K classes; the loss gets it too where it takes one.
            **options: decays, feature_dim, sizes and the options of the loss, as for
                `Problem.create`.

        Raises:
            ValueError: naming what was got and what is allowed.
        """
        function = known_losses().get(loss, loss) if isinstance(loss, str) else loss
        if callable(function) and takes(function, "hierarchy"):
            options["hierarchy"] = hierarchy
        if options.get("num_classes") is None:
            options["num_classes"] = hierarchy.num_classes
        plain = Problem.create(loss, **options)
        if plain.num_classes != hierarchy.num_classes:
            raise ValueError(
                f"The tree has {hierarchy.num_classes} classes, the model "
                f"{plain.num_classes}. Give the tree of these classes."
            )
        return cls(**vars(plain), weight=number("cpcc", cpcc), tree=hierarchy)

    @property
    def alone(self) -> Problem:
        """The same problem without the regulariser."""
        names = [field.name for field in dataclasses.fields(Problem)]
        return Problem(**{name: getattr(self, name) for name in names})

    @double
    def at_simplex(self) -> Solution | None:
        """The best point at which class means are a simplex; None for d < K.

        W, b, length and centre of the means are free.  The gradient norm is that of
        these alone.
        """
        if self.feature_dim < self.num_classes:
            return None
        return _at_simplex(self.alone)

    @double
    def penalty(self, params: Params) -> jax.Array:
        """Weight decay, and the regulariser []."""
        labels = jnp.arange(self.num_classes)
        apart = cpcc(jnp.asarray(params["H"]), labels, hierarchy=self.tree)
        return super().penalty(params) + self.weight * apart

    def balance_error(self, params: Params) -> jax.Array:
        """NaN: the layers are balanced in their norms alone."""
        return jnp.full((), jnp.nan)

    def samples(self) -> NoReturn:
        """Raises ValueError: the regulariser is one of class means."""
        raise ValueError("The model with cpcc has a class-mean form only.")

    @property
    def strength(self) -> None:
        """None: the penalties do not amount to a nuclear norm."""
        return None

    def dual_ball(self, theta: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """That of `Problem`, as the regulariser is at least 0."""
        sigma = self.sigma(theta)
        size = jnp.maximum(sigma, jnp.finfo(sigma.dtype).tiny)
        return sigma, (self.lambda_w * self.lambda_h) ** 0.5 / size, jnp.zeros(())


@jax.jit
def _at_simplex(problem: Problem) -> Solution:
    """The same for the problem without the regulariser, which is 0 there."""
    scales = problem.scales()
    rows = simplex_rows(problem.num_classes, problem.feature_dim)
    # Classifiers start at the means, read out backwards where outputs are not classes.
    back = np.eye(len(rows)) if problem.readout is None else problem.readout
    start = {"W": back.T @ rows, "length": jnp.ones(()), "centre": 0 * rows[0]}
    if "b" in scales:
        start["b"] = jnp.zeros_like(scales["b"])
    flat, unravel = ravel_pytree(start)
    length = jnp.mean(scales["H"])

    def params(x):
        free = unravel(x)
        means = free["length"] * rows + free["centre"]
        found = {"W": scales["W"] * free["W"], "H": length * means}
        return found | ({"b": free["b"]} if "b" in free else {})

    found = minimise(lambda x: problem.objective(params(x)), flat, 1e-12, 500)
    norm = found.gradient_norm
    return Solution(
        params(found.point), found.value, norm, found.iterations, norm <= 1e-12
    )
