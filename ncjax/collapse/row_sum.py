"""NC0, the row sum of the classifier: W'1 = sum_k w_k, which is 0 at collapse.

The rows of a simplex ETF sum to 0.  Where the gradients of the logits of every example
sum to 0 (cross-entropy, soft labels, HXE), W'1 has no gradient, and only weight decay
takes it down: see `ncjax.ufm.theory.row_sum`.

References:
    Zhao, Cheng, Masarczyk & Lucchi, ICLR 2026, arXiv 2602.16642.  They define alpha =
    (1/K)|W'1|^2 (`nc0_squared`), but the numbers in their tables are |W'1| (`nc0`).
    The preset "zhao2026" has their other definitions.
"""

from __future__ import annotations

import jax.numpy as jnp

from ncjax.collapse.means import Matrix, Present, Scalar, select_rows
from ncjax.collapse.registry import headline, of_classifier
from ncjax.collapse.tiles import norm
from ncjax.units import inverse_unit, unit_near


def nc0(classifier: Matrix, present: Present = None) -> Scalar:
    """Norm of the row sum, |W'1| = |sum_k w_k|; in the unit of W.

    Args:
        classifier: W [K, d], with rows w_k.
        present: [K], the classes that count; by default all.
    """
    rows, _ = select_rows(classifier, present, scaled=False)
    total = jnp.sum(rows, axis=0)
    unit = unit_near(jnp.max(jnp.abs(total)))
    return norm(total * inverse_unit(unit)) * unit


def nc0_squared(classifier: Matrix, present: Present = None) -> Scalar:
    """Mean square of the row sum, (1/K)|W'1|^2; in the squared unit of W.

    Args:
        classifier: W [K, d], with rows w_k.
        present: [K], the classes that count, K of them; by default all.
    """
    rows, present = select_rows(classifier, present, scaled=False)
    return jnp.sum(jnp.sum(rows, axis=0) ** 2) / jnp.sum(present)


METRICS = (
    headline(
        "nc0",
        "NC0",
        "norm of the sum of the rows of W",
        lambda x: nc0(x.classifier, x.means[1]),
        needs="classifier",
        changes_with=("scale W",),
        log=True,
        curve="log",
        panel="NC0  row sum of the classifier",
    ),
    of_classifier(
        "nc0_squared",
        "NC0 (squared)",
        "squared norm of the sum of the rows of W over the number of classes",
        lambda x: nc0_squared(x.classifier, x.means[1]),
        changes_with=("scale W",),
        log=True,
    ),
)
