"""Classifiers that learn new classes from a few examples of each.

To add one: write a function of the examples and the queries, and add it to `LEARNERS`.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ncjax.moments import dot

# (support [C, m, d], queries [q, d]) -> scores of the queries [q, C].
Learner = Callable[[jax.Array, jax.Array], jax.Array]

# Of logistic regression: the penalty, and the steps of its accelerated descent.
_PENALTY, _STEPS = 1e-2, 300


def nearest_mean(support: Float[Array, "C m d"], queries: Float[Array, "q d"]):
    """-|x - mean_c|^2 [q, C], with the mean of the examples of each class."""
    means = jnp.mean(support, axis=1)
    # About the mean of all, so that a common part is not rounded in.
    middle = jnp.mean(means, axis=0, keepdims=True)
    means, queries = means - middle, queries - middle
    return 2 * dot(queries, means.T) - jnp.sum(means**2, axis=1)[None]


def linear(support: Float[Array, "C m d"], queries: Float[Array, "q d"]):
    r"""Logits of a linear probe by multinomial logistic regression [q, C].

    Minimises (1/n) sum_i CE(W x_i + b, y_i) + (lambda/2) |W|^2 over W and b for the n
    examples, lambda = 1e-2, where x_i are features minus their mean, over the root of
    their mean square length.  W is a combination of the examples, and is found in their
    space, by gradient descent with Nesterov's momentum, set back to 0 where it points
    uphill (O'Donoghue & Candes 2015).
    """
    rows, queries, targets = _centred(support, queries)
    size = jnp.sqrt(jnp.mean(jnp.sum(rows**2, 1)))
    size = jnp.where(size > 0, size, 1)
    rows, queries = rows / size, queries / size
    n = len(rows)
    gram = dot(rows, rows.T)
    # The Hessian of the cross-entropy in the logits is at most 1/2; a column of ones
    # stands for the bias.  The largest sum of a row is at least the largest eigenvalue.
    rate = 1 / (jnp.max(jnp.sum(jnp.abs(gram + 1), 1)) / (2 * n) + _PENALTY)

    def slope(weights: jax.Array, bias: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Gradients in W, as combinations of the examples [n, C], and in b [1, C]."""
        wrong = jax.nn.softmax(dot(gram, weights) + bias, axis=1) - targets
        return wrong / n + _PENALTY * weights, jnp.mean(wrong, 0, keepdims=True)

    def step(_, state):
        here, there, time = state  # where it is, where the slope is taken
        down = slope(*there)
        new = jax.tree.map(lambda x, g: x - rate * g, there, down)
        moved = jax.tree.map(lambda x, y: x - y, new, here)
        uphill = jnp.sum(dot(gram, down[0]) * moved[0]) + jnp.sum(down[1] * moved[1])
        time = jnp.where(uphill > 0, 1.0, time)
        later = (1 + jnp.sqrt(1 + 4 * time**2)) / 2
        share = jnp.where(uphill > 0, 0.0, (time - 1) / later)
        there = jax.tree.map(lambda x, v: x + share * v, new, moved)
        return new, there, later

    zero = jnp.zeros_like(targets), jnp.zeros((1, len(support)), rows.dtype)
    start = zero, zero, jnp.ones((), rows.dtype)
    (weights, bias), _, _ = jax.lax.fori_loop(0, _STEPS, step, start)
    return dot(queries, dot(rows.T, weights)) + bias


def ridge(support: Float[Array, "C m d"], queries: Float[Array, "q d"]):
    """Outputs of a linear probe by ridge regression on one-hot labels [q, C].

    With a bias, and the penalty lambda |W|^2 for lambda = 1e-3 times the mean square of
    a centred feature, n of them: solved in the space of the n examples, exactly.
    """
    rows, queries, targets = _centred(support, queries)
    targets = targets - 1 / len(support)
    gram = dot(rows, rows.T)
    penalty = 1e-3 * jnp.trace(gram) / len(rows)
    penalty = jnp.where(penalty > 0, penalty, 1)
    weights = jnp.linalg.solve(gram + penalty * jnp.eye(len(rows)), targets)
    return dot(queries, dot(rows.T, weights))


def _centred(
    support: Float[Array, "C m d"], queries: Float[Array, "q d"]
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Examples [n, d] and queries minus the mean example; one-hot labels [n, C]."""
    count, shots, width = support.shape
    rows = support.reshape(count * shots, width)
    middle = jnp.mean(rows, axis=0, keepdims=True)
    targets = jnp.repeat(jnp.eye(count, dtype=rows.dtype), shots, axis=0)
    return rows - middle, queries - middle, targets


LEARNERS: dict[str, Learner] = {
    "nearest_mean": nearest_mean,
    "linear": linear,
    "ridge": ridge,
}
