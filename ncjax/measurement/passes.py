"""The two passes over features that come in batches, from files or other programs.

The first pass finds the class moments; the second, `ncjax.collapse.SecondPass`, what
needs the final class means.  Both take batches of one size (the last is padded with
rows of weight 0), so that one compiled program serves all; the host reads one batch
while the device works on another.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ncjax import collapse
from ncjax.batches import take_means
from ncjax.compiling import quick_jit
from ncjax.measurement.data import Data, Pair
from ncjax.measurement.sizes import check_means
from ncjax.measurement.sources import MeasureError
from ncjax.moments import ClassMoments, Scatter

_empty = quick_jit(
    collapse.SecondPass.empty, static_argnames=("decisions", "normalised")
)
_normalised = quick_jit(collapse.SecondPass.normalised_moments)
_neco = jax.jit(collapse.neco)
Pairs = Iterable[Pair]


@runtime_checkable
class Rows(Protocol):
    """A set of features that is read in batches, see `Data`."""

    name: str
    num_classes: int | None

    @property
    def width(self) -> int:
        """Width d of the features."""

    @property
    def size(self) -> int:
        """Number of rows of a batch."""


def fold(step: Callable, state: Any, pairs: Pairs, data: Rows) -> Any:
    """The state after all batches; refuses those that are not finite.

    `step` takes the state, a padded batch (features, labels, weights) and its rows in
    the whole set; it gives the new state, and whether the features are finite.
    """
    pending, start = None, 0
    for features, labels in pairs:
        rows = slice(start, start + len(features))
        state, finite = step(state, *padded(features, labels, data.size), rows)
        # The device has looked at the last batch by now, perhaps not yet at this one.
        _check_finite(pending, data.name)
        pending, start = (finite, features, start), rows.stop
    _check_finite(pending, data.name)
    return state


def padded(
    features: np.ndarray, labels: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A batch filled up to `size` rows: features, labels, and weights 1 or 0 [size]."""
    weights = (np.arange(size) < len(features)).astype(np.float32)
    if len(features) < size:
        # Padding repeats a real row: it is as finite as the data.
        rows = np.where(weights, np.arange(size), 0)
        features, labels = features[rows], labels[rows]
    return features, labels, weights


def _check_finite(pending: tuple | None, name: str) -> None:
    """Refuses a batch that is not finite: (whether it is, its features, first row)."""
    if pending is None or bool(pending[0]):
        return
    _, features, start = pending
    wrong = ~np.isfinite(features.astype(np.float64)).all(axis=1)
    first = int(np.argmax(wrong))
    nan = bool(np.isnan(features[first].astype(np.float64)).any())
    text = (
        f"{name} are not finite: {wrong.sum():,} of the rows {start:,} to "
        f"{start + len(features) - 1:,} hold NaN or infinity; the first is row "
        f"{start + first:,}, which holds {'NaN' if nan else 'infinity'}."
    )
    if features.dtype == np.float16 and np.isinf(features.astype(np.float32)).any():
        text += (
            " float16 overflows beyond 65504: cast features to float32 or bfloat16 "
            "before they are exported."
        )
    raise MeasureError(text)


def first_pass(
    pairs: Pairs, data: Rows, *, scatter: Scatter, dtype: Any
) -> ClassMoments:
    """Class moments of all batches of features.

    Args:
        pairs: batches of features [m, d] and labels [m], as `data.read` gives them.
        data: the set of features; without `num_classes` K is the largest label + 1.
        scatter: which scatter to keep, see `ClassMoments.empty`.
        dtype: floating-point type of the state.

    Raises:
        MeasureError: for NaN or infinite features.
    """
    classes, width = data.num_classes or 16, data.width
    check_means(classes, width)
    host = _HostScatter(width, dtype) if scatter == "pooled" and _on_cpu() else None
    kept: Scatter = scatter if host is None else "none"

    def step(moments, features, labels, weights, rows):
        if (largest := int(labels.max())) >= moments.num_classes:
            check_means(largest + 1, width)
            moments = _resized(moments, 2 ** largest.bit_length())
        if host is None:
            return _update(moments, features, labels, weights)
        found = _update_means(moments, features, labels, weights)
        moments, finite, centred, rescale = found
        host.add(centred, rescale, rows.stop - rows.start)
        return moments, finite

    empty = jax.eval_shape(
        lambda: ClassMoments.empty(
            classes, width, scatter=kept, largest_norm=True, dtype=dtype
        )
    )
    # Each operation outside of a program is a program of its own, to be compiled.
    moments = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), empty)
    moments = fold(step, moments, pairs, data)
    if host is not None:
        moments = dataclasses.replace(moments, scatter=jax.device_put(host.total()))
    largest = np.flatnonzero(moments.count)[-1]
    return _resized(moments, data.num_classes or int(largest) + 1)


def _on_cpu() -> bool:
    return jax.default_backend() == "cpu"


class _HostScatter:
    """The d x d scatter, taken by NumPy: its BLAS knows that x'x is symmetric.

    That, and better use of the processor, makes it two to three times as fast as XLA's
    product on a CPU.
    """

    def __init__(self, width: int, dtype: Any):
        """The scatter of no features of some width, in this type of numbers."""
        self._sum = np.zeros((width, width), dtype)
        self._next: tuple[jax.Array, jax.Array, int] | None = None

    def add(self, rows: jax.Array, rescale: jax.Array, number: int) -> None:
        """Takes in the first rows of a centred batch [n, d], whose unit may be new.

        They are squared when the next come, while XLA works on those.
        """
        waiting, self._next = self._next, (rows, rescale, number)
        if waiting is not None:
            self._square(*waiting)

    def total(self) -> np.ndarray:
        """The scatter [d, d] of all that was taken in."""
        if self._next is not None:
            self._square(*self._next)
        self._next = None
        return self._sum

    def _square(self, rows: jax.Array, rescale: jax.Array, number: int) -> None:
        kept = np.asarray(rows)[:number]
        with np.errstate(over="ignore", invalid="ignore"):  # the numbers will tell
            self._sum *= np.asarray(rescale)
            self._sum += kept.T @ kept


@functools.partial(quick_jit, level=1, donate_argnums=0)
def _update(moments, features, labels, weights):
    return moments.update(features, labels, weights), jnp.isfinite(features).all()


@functools.partial(quick_jit, level=1, donate_argnums=0)
def _update_means(moments, features, labels, weights):
    """The same as `_update`, with the rows to be squared in place of the scatter."""
    moments, rows = take_means(moments, features, labels, weights)
    kept = rows.mass[:, None] * rows.residual  # the weights are 1 or 0
    return moments, jnp.isfinite(features).all(), kept, rows.rescale


def _resized(moments: ClassMoments, num_classes: int) -> ClassMoments:
    """The same moments with space for more classes, or without the last ones."""
    more = max(0, num_classes - moments.num_classes)

    def change(x):
        rows = np.pad(np.asarray(x), [(0, more)] + [(0, 0)] * (x.ndim - 1))
        return jax.device_put(rows[:num_classes])

    names = ("count", "pivot", "offset", "spread")
    changed = {name: change(getattr(moments, name)) for name in names}
    return dataclasses.replace(moments, **changed)


@dataclasses.dataclass(frozen=True)
class Known:
    """What the first reading tells, for all that is read afterwards.

    Attributes:
        moments: class moments of the training features.
        classifier: W [K, d], or None.
        bias: b [K], or None.
        convention: the convention under which metrics are computed.
        basis: `between_basis` of the moments under the convention.
    """

    moments: ClassMoments
    classifier: jax.Array | None
    bias: jax.Array | None
    convention: collapse.Convention
    basis: tuple[jax.Array, jax.Array]


def second_pass(
    known: Known,
    pairs: Pairs,
    data: Data,
    decisions: Int[np.ndarray, "n"] | None = None,
    *,
    normalised: bool = False,
) -> tuple[dict[str, float], np.ndarray, ClassMoments | None]:
    """What needs the final class means, over all batches.

    Args:
        known: what the first reading told.
        pairs: batches of features [m, d] and labels [m], as `data.read` gives them.
        data: the set of features.
        decisions: decisions of the network [n] on all features, or None for those of
            the classifier, if there is one.
        normalised: take the moments of the normalised features too.

    Returns:
        The shares of `SecondPass.compute`, counts divided in float64, the within-class
        variance [r] along the basis, and the moments of the normalised features.

    Raises:
        MeasureError: for NaN or infinite features, or if no feature is of a class that
            has a mean.
    """

    def step(state, features, labels, weights, rows):
        decided = None
        if decisions is not None:
            missing = len(features) - (rows.stop - rows.start)
            decided = np.pad(decisions[rows], (0, missing))
        model = known.classifier, known.bias
        return _second(state, features, labels, weights, decided, *model)

    state = _empty(
        known.moments,
        directions=known.basis[1],
        decisions=decisions is not None or known.classifier is not None,
        normalised=normalised,
    )
    state = fold(step, state, pairs, data)
    averages = jax.device_get(state.averages)
    total = float(averages.total)
    if total == 0:
        raise MeasureError(
            f"No row of {data.name} has a class of the training features."
        )
    shares = {k: float(x) / total for k, x in averages.sums.items() if x.ndim == 0}
    variance = np.asarray(averages.sums["within_variance"]) / averages.total
    return shares, variance, _normalised(state)


@functools.partial(quick_jit, level=1)
def _second(
    state: collapse.SecondPass,
    features: Float[Array, "n d"],
    labels: Int[Array, "n"],
    weights: Float[Array, "n"],
    decisions: Int[Array, "n"] | None,
    classifier: Float[Array, "K d"] | None,
    bias: Float[Array, "K"] | None,
):
    """The state with one more batch, and whether the batch is finite."""
    if decisions is None and classifier is not None:
        decisions = collapse.linear_decisions(features, classifier, bias)
    state = state.update(features, labels, decisions, weights)
    return state, jnp.isfinite(features).all()


def scored(
    pairs: Pairs, data: Data, principal: jax.Array | None, scores: list[np.ndarray]
) -> Iterator[Pair]:
    """The same batches; the NECO score of each feature is added to `scores`.

    Args:
        pairs: batches of features [m, d] and labels [m].
        data: the set of features.
        principal: principal directions [r, d], or None: nothing is scored.
        scores: where the scores [m] of each batch go.
    """
    for features, labels in pairs:
        if principal is not None:
            rows, _, _ = padded(features, labels, data.size)
            scores.append(np.asarray(_neco(rows, principal))[: len(features)])
        yield features, labels
