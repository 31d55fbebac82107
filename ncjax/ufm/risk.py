"""The Jensen gap of an unconstrained-features model, and what certifies that it is 0.

With a free feature for each sample, replacing the features of a class by their mean
lowers the objective by the gap of the loss and by the decay of what they scatter:

    f(W, H, b) - f(W, class means of H, b) = gap + (lH/2) sum_i |h_i - mu_k(i)|^2.

So the gap is at most the distance of f to its minimum, and a duality gap that certifies
parameters (`ncjax.ufm.certify`) bounds their Jensen gap.  See `ncjax.evaluation.risk`
for that of a network.

References:
    E & Wojtowytsch, On the emergence of simplex symmetry in the final and penultimate
    layers of neural network classifiers, PMLR 145, 2022.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.ufm.model import Model, Params
from ncjax.ufm.precision import double


@double
def jensen_gap(classes: Model, params: Params) -> jax.Array:
    """Mean loss of all samples minus that of the class means of their logits [].

    It is at least 0 for a loss that is convex in the logits, and 0 where all samples of
    a class have the same logits.

    Args:
        classes: a problem in class-mean form, one row for each class; its class sizes
            are the numbers of samples.
        params: parameters of `classes.samples()`, with a feature for each sample.

    Raises:
        ValueError: for class sizes that are no whole numbers, or parameters that are
            not those of `classes.samples()`.
    """
    whole = classes.samples()
    whole.check(params)
    logits = whole.logits(params)
    rows = np.repeat(np.arange(classes.num_rows), np.asarray(classes.counts, int))
    sums = jax.ops.segment_sum(logits, rows, classes.num_rows)
    means = sums / classes.counts[:, None]
    mean = jnp.vdot(whole.weights, whole.fit.losses(logits))
    return mean - jnp.vdot(classes.weights, classes.fit.losses(means))
