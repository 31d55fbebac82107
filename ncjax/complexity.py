r"""Geometric complexity: how fast a function changes with its input, over some data.

For a function f from inputs x to R^d, such as a layer of a network, and data x_1..x_N,

    GC = (1/N) sum_i |J(x_i)|_F^2,      J = df/dx,

the squared Frobenius norm of the Jacobian, averaged over the data; |A|_F^2 for a linear
f(x) = A x.  It scales with the square of f, as CDNV does not.  If every class of the
data obeys a Poincare inequality with constant C, then

    CDNV_kl <= C (GC_k + GC_l) / (2 |mu_k - mu_l|^2)

for the class means mu_k of f; it is an equality for Gaussian classes with covariance
C I and a linear f.

The Jacobian has d rows, each of which costs a backward pass.  `METHODS` are:

- "exact": all rows.
- "hutchinson": |J' v|^2 for random vectors v of signs, whose mean is |J|_F^2.
- "coordinates": d times the square of random rows, without repetition.

The last two have no bias, and `Complexity` knows the standard error that comes from
them and from the choice of the examples.

References:
    Munn, Dherin & Gonzalvo, The Impact of Geometric Complexity on Neural Collapse in
    Transfer Learning, NeurIPS 2024.
    Hutchinson, A stochastic estimator of the trace of the influence matrix, Commun.
    Stat. Simul. Comput. 18, 1989.
    Cochran, Sampling Techniques, 3rd ed., 1977, section 10.3: samples in two stages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Shaped

from ncjax import struct
from ncjax.options import check_value, unknown
from ncjax.struct import Leaf

METHODS = ("exact", "hutchinson", "coordinates")

# Inputs [n, ...] -> outputs [n, d], each of which depends on its own input alone.
Function = Callable[[jax.Array], jax.Array]


class Estimate(NamedTuple):
    """An estimate, and its standard error."""

    value: jax.Array  # []
    error: jax.Array  # []; 0 where nothing was left to chance


def geometric_complexity(
    function: Function,
    inputs: Float[Array, "n *shape"],
    *,
    method: str = "exact",
    probes: int = 8,
    key: Key[Array, ""] | None = None,
    total: int | None = None,
) -> Estimate:
    """The geometric complexity of a function over some inputs, see the module.

    Args:
        function: inputs [n, ...] -> outputs [n, d], each of its own input alone.
        inputs: inputs [n, ...], all or a random sample of the data.
        method: one of `METHODS`.
        probes: number of vectors or of rows; "exact" takes all rows.
        key: typed PRNG key; "exact" needs none.
        total: number N of the data, of which the inputs are a sample; None if they are
            all.

    Raises:
        ValueError: for an unknown method, a number of probes out of range, or a method
            that needs a key and has none.

    Example:
        >>> import jax.numpy as jnp
        >>> from ncjax.complexity import geometric_complexity
        >>> rows = jnp.array([[1.0, 2.0], [0.0, 3.0]])
        >>> float(geometric_complexity(lambda x: x @ rows.T, jnp.ones((5, 2))).value)
        14.0
    """
    check_method(method, probes)
    if key is None and method != "exact":
        raise ValueError(
            f"The method {method!r} needs a key, such as jax.random.key(0)."
        )
    keys = jax.random.split(jax.random.key(0) if key is None else key, len(inputs))
    values, share = squares(function, inputs, keys, method=method, probes=probes)
    state = Complexity.empty().update(values, jnp.ones(len(inputs)), share)
    return state.compute(len(inputs) if total is None else total)


def check_method(method: str, probes: int) -> None:
    """Raises `ValueError` for an unknown method, or less than one probe."""
    if method not in METHODS:
        raise ValueError(unknown("method", method, METHODS))
    check_value("The number of probes", probes, lambda m: m >= 1, "at least 1")


def squares(
    function: Function,
    inputs: Float[Array, "n *shape"],
    keys: Key[Array, "n"],
    *,
    method: str,
    probes: int,
) -> tuple[Float[Array, "m n"], float]:
    """Estimates of |J(x)|_F^2 for each input.

    Args:
        function: inputs [n, ...] -> outputs [n, d], each of its own input alone.
        inputs: inputs [n, ...].
        keys: a key for each input, so that its estimates do not depend on the batch.
        method: one of `METHODS`.
        probes: number m of estimates; at most d for "coordinates", and always d for
            "exact".

    Returns:
        The estimates [m, n]; and the share of all rows of the Jacobian that they have
        seen, 1 if their mean is exact, 0 for random vectors.

    Raises:
        ValueError: for "coordinates" with more probes than outputs.
    """
    outputs, pull = jax.vjp(lambda x: function(x).astype(jnp.float32), inputs)
    count, width = outputs.shape
    if method == "coordinates" and probes > width:
        raise ValueError(
            f"The function has {width} outputs, fewer than the {probes} coordinates "
            "asked for. Ask for fewer, or for the method 'exact'."
        )
    if method == "exact":
        probes, rows = width, jnp.broadcast_to(jnp.arange(width), (count, width))
    else:
        rows = jax.vmap(lambda key: jax.random.permutation(key, width))(keys)

    def estimate(number):
        if method == "hutchinson":
            own = jax.vmap(jax.random.fold_in, (0, None))(keys, number)
            vectors = jax.vmap(lambda key: _signs(key, width))(own)
        else:
            vectors = jnp.sqrt(width) * jax.nn.one_hot(rows[:, number], width)
        return _norms(pull(vectors)[0])

    found = jax.lax.map(estimate, jnp.arange(probes))
    return found, 0.0 if method == "hutchinson" else probes / width


def batch_complexity(
    function: Function, inputs: Float[Array, "n *shape"], key: Key[Array, ""]
) -> Float[Array, ""]:
    """(1/n) |J|_F^2 of a whole batch, estimated with one vector of random signs.

    J is the Jacobian of all outputs of the batch with respect to all of its inputs, so
    an output may depend on every input, as under BatchNorm in training.  Where each
    depends on its own alone, this is the geometric complexity of the batch.  The
    estimate has no bias and can be differentiated.

    Args:
        function: inputs [n, ...] -> outputs [n, d].
        inputs: inputs [n, ...].
        key: typed PRNG key.
    """
    outputs, pull = jax.vjp(lambda x: function(x).astype(jnp.float32), inputs)
    return _norms(pull(_signs(key, outputs.shape))[0]).mean()


def _signs(key: jax.Array, shape: int | tuple[int, ...]) -> jax.Array:
    # Of all vectors of independent entries signs have the least variance.
    shape = (shape,) if isinstance(shape, int) else shape
    return jax.random.rademacher(key, shape, jnp.float32)


def _norms(gradients: Shaped[Array, "n *shape"]) -> Float[Array, "n"]:
    return jnp.sum(gradients.astype(jnp.float32) ** 2, range(1, gradients.ndim))


@struct.dataclass
class Complexity:
    """Geometric complexity of examples that come in batches, with its error.

    Make one with `Complexity.empty`.
    """

    count: Leaf  # [] number of examples
    mean: Leaf  # [] of |J|^2
    spread: Leaf  # [] sum of squared distances of the examples to the mean
    noise: Leaf  # [] sum of the variances of their estimates; NaN where unknown

    @classmethod
    def empty(cls) -> Complexity:
        """The state of no examples."""
        return cls(*(jnp.zeros(()) for _ in range(4)))

    def update(
        self, values: Float[Array, "m n"], weights: Float[Array, "n"], share: float
    ) -> Complexity:
        """Takes in a batch.

        Args:
            values: m estimates for each of n examples, as of `squares`.
            weights: weight of each example [n], 1, or 0 to leave it out.
            share: share of the rows of the Jacobian that the estimates have seen.
        """
        probes, each = len(values), values.mean(0)
        if share >= 1:
            noise = jnp.zeros(())
        elif probes == 1:
            noise = jnp.full((), jnp.nan)
        else:
            variance = values.var(0, ddof=1) * (1 - share) / probes
            noise = jnp.sum(weights * variance)
        count = weights.sum()
        mean = jnp.sum(weights * each) / jnp.maximum(count, 1)
        spread = jnp.sum(weights * (each - mean) ** 2)
        return self.merge(Complexity(count, mean, spread, noise))

    def merge(self, other: Complexity) -> Complexity:
        """Both sets of examples together."""
        return _merged(jax.tree.map(lambda *x: jnp.stack(x), self, other))

    def all_reduce(self, axis_name: str) -> Complexity:
        """Merges the states of all devices along a mesh axis, inside `shard_map`."""
        return _merged(jax.lax.all_gather(self, axis_name))

    def compute(self, total: int) -> Estimate:
        """Mean and standard error; NaN without examples.

        The error is that of a sample in two stages: examples, drawn without repetition
        from `total`, and estimates of each.  With a single estimate of each their noise
        is not known; the error is then that for a data set without end, which is rather
        too large than too small.  It is NaN of a single example of more.

        Args:
            total: number of examples in the data, from which these are drawn.
        """
        between = self.spread / (self.count - 1) / self.count
        share = self.count / total
        # Of all examples nothing is left to chance between them, 0/0 for one of one.
        left = jnp.where(share >= 1, 0, (1 - share) * between)
        both = left + share * self.noise / self.count**2
        known = jnp.where(jnp.isnan(self.noise), between, both)
        return Estimate(jnp.where(self.count > 0, self.mean, jnp.nan), jnp.sqrt(known))


def _merged(states: Complexity) -> Complexity:
    """The state of several, whose fields are [s]."""
    count = states.count.sum()
    mean = jnp.sum(states.count * states.mean) / jnp.maximum(count, 1)
    away = states.count * (states.mean - mean) ** 2
    return Complexity(count, mean, jnp.sum(states.spread + away), jnp.sum(states.noise))
