"""One epoch of somebody's training: its rows in memory, and what is measured of them.

The passes are those of `ncjax.evaluation.passes`, so that the metrics and their keys
are those of every run; batches are folded as in `measure`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int32

from ncjax.collapse import Convention
from ncjax.compiling import quick_jit
from ncjax.evaluation.mistakes import Mistakes
from ncjax.evaluation.passes import LAST, Features, Passes, SetPass, Variables
from ncjax.hierarchy import Hierarchy
from ncjax.losses import LOSSES
from ncjax.measurement.data import Pair, batch_rows
from ncjax.measurement.passes import first_pass, fold
from ncjax.measurement.readings import check_classes, scatter_of
from ncjax.measurement.sources import MeasureError
from ncjax.moments import ClassMoments, dot

_GRAM = 32  # most classes of which the Gram matrix of the means is recorded


class Columns(NamedTuple):
    """Rows of examples, as a user gives them."""

    features: Float[np.ndarray, "n d"]
    labels: Int32[np.ndarray, "n"]
    logits: Float[np.ndarray, "n K"] | None
    loss: Float[np.ndarray, "n"] | None


class Kept:
    """The examples of one epoch in one split, kept in blocks of one size.

    The memory of the blocks is held for the next epoch: fresh memory costs a page fault
    every 4 KiB, which is as much as the rest of a measurement.

    Attributes:
        name: what messages call the features.
        num_classes: number of classes K.
        seen: number of examples.
    """

    def __init__(self, num_classes: int):
        """Keeps nothing yet."""
        self.num_classes: int | None = num_classes
        self._blocks: list[Columns] = []
        self.clear("features")

    def clear(self, name: str) -> None:
        """Forgets the examples; those to come are called `name`."""
        self.name, self.seen = name, 0

    @property
    def width(self) -> int:
        """Width d of the features."""
        return self._blocks[0].features.shape[1]

    @property
    def dtype(self) -> np.dtype:
        """Floating-point type of the features."""
        return self._blocks[0].features.dtype

    @property
    def size(self) -> int:
        """Number of rows of a batch."""
        return min(self.seen, len(self._blocks[0].labels))

    @property
    def lacks_logits(self) -> bool:
        """Whether there are examples without logits."""
        return self.seen > 0 and self._blocks[0].logits is None

    def add(self, rows: Columns) -> None:
        """Takes in a copy of some rows.

        Raises:
            MeasureError: if they are of another kind than those before.
        """
        if self._blocks and _kinds(rows) != _kinds(self._blocks[0]):
            if self.seen:
                raise MeasureError(
                    f"The batches of the {self.name} differ: the rows of this one have "
                    f"{_told(rows)}, those before {_told(self._blocks[0])}."
                )
            self._blocks.clear()
        size = batch_rows(rows.features.shape[1], self.num_classes or 0)
        start, count = 0, len(rows.labels)
        while start < count:
            block, place = divmod(self.seen, size)
            if block == len(self._blocks):
                self._blocks.append(
                    _map(lambda x: np.empty((size, *x.shape[1:]), x.dtype), rows)
                )
            taken = min(size - place, count - start)
            for kept, new in zip(self._blocks[block], rows, strict=True):
                if kept is not None and new is not None:
                    kept[place : place + taken] = new[start : start + taken]
            self.seen, start = self.seen + taken, start + taken

    def part(self, start: int, stop: int) -> Columns:
        """The rows from `start` to `stop`, all of one batch."""
        block, place = divmod(start, len(self._blocks[0].labels))
        rows = slice(place, place + stop - start)
        return _map(lambda x: x[rows], self._blocks[block])

    def read(self) -> Iterator[Pair]:
        """Batches of features [size, d] and labels; the last may be shorter."""
        for start in range(0, self.seen, self.size) if self.seen else ():
            part = self.part(start, min(start + self.size, self.seen))
            yield part.features, part.labels

    def classes(self) -> set[int]:
        """The classes of which there are examples."""
        return {int(k) for _, labels in self.read() for k in np.unique(labels)}


def _map(change: Callable[[np.ndarray], np.ndarray], rows: Columns) -> Columns:
    changed: list[Any] = [None if x is None else change(x) for x in rows]
    return Columns(*changed)


def _kinds(rows: Columns) -> list:
    return [None if x is None else (x.shape[1:], x.dtype) for x in rows]


def _told(rows: Columns) -> str:
    """What rows have, in words."""
    named = zip(rows._fields, rows, strict=True)
    return ", ".join(
        f"{name} {x.dtype} [{', '.join(map(str, x.shape[1:]))}]"
        for name, x in named
        if x is not None
    ).replace(" []", "")


class Meter:
    """The metrics of an epoch, under the keys of a run."""

    def __init__(self, num_classes: int, mistakes: Mistakes, convention: Convention):
        """Compiles nothing yet; see `meter`."""
        self._passes = passes = Passes(
            _forward,
            lambda variables: (variables["W"], variables["b"]),
            partial(_loss, num_classes),
            num_classes,
            scores=lambda outputs: outputs[:, :num_classes],
            mistakes=mistakes,
            gram=_GRAM,
            convention=convention,
        )
        self._empty = quick_jit(passes.empty)
        self._compute = quick_jit(passes.compute)
        self._on_train = jax.jit(partial(self._visit, passes.brief), donate_argnums=0)
        self._on_test = jax.jit(partial(self._visit, passes.mistakes), donate_argnums=0)

    def __call__(
        self,
        train: Kept,
        test: Kept,
        classifier: Float[np.ndarray, "K d"] | None,
        bias: Float[np.ndarray, "K"] | None,
    ) -> tuple[dict[str, Any], ClassMoments]:
        """The metrics and the moments of the training features.

        Args:
            train: the training examples.
            test: the test examples; where there are none, their metrics are NaN.
            classifier: W, or None.
            bias: b, or None.

        Raises:
            MeasureError: for features that are not finite, or all of one class.
        """
        dtype = jnp.promote_types(train.dtype, jnp.float32)
        with jax.enable_x64(dtype == jnp.float64):
            given = {"W": classifier, "b": bias}
            variables = {
                name: None if x is None else jnp.asarray(x, dtype)
                for name, x in given.items()
            }
            scatter = scatter_of(train.width)
            moments = first_pass(train.read(), train, scatter=scatter, dtype=dtype)
            check_classes(moments, train.name)
            layers = {LAST: moments}
            one = train.part(0, 1)
            said = one.features, one.logits, one.loss
            on_train, on_test = self._empty(variables, said, layers)
            on_train = self._second(self._on_train, on_train, train, variables)
            on_test = self._second(self._on_test, on_test, test, variables)
            found = self._compute(variables, layers, on_train, on_test)
            values = jax.device_get(found)
        return {name: np.asarray(x).tolist() for name, x in values.items()}, moments

    def _visit(self, asked, state: SetPass, variables, said, labels, weights):
        """The state with one more batch, and whether its features are finite."""
        batch = self._passes.batch(asked, variables, said, labels, weights)
        return state.update(batch), jnp.isfinite(batch.features[LAST]).all()

    def _second(self, visit, state: SetPass, kept: Kept, variables) -> SetPass:
        """The second pass over all that was kept of a split."""

        def step(state, features, labels, weights, rows):
            part = kept.part(rows.start, rows.stop)
            missing = len(features) - len(part.labels)
            said = features, _filled(part.logits, missing), _filled(part.loss, missing)
            return visit(state, variables, said, labels, weights)

        return fold(step, state, kept.read(), kept) if kept.seen else state


@functools.lru_cache(8)
def meter(
    num_classes: int,
    hierarchy: Hierarchy | None,
    confusion: bool,
    convention: Convention,
) -> Meter:
    """A `Meter`; recorders of the same kind share one, and what it has compiled.

    Args:
        num_classes: number of classes K.
        hierarchy: class tree over the K classes, or None.
        confusion: whether to count which class is taken for which.
        convention: the convention under which metrics are computed.
    """
    mistakes = Mistakes(hierarchy, confusion=confusion)
    return Meter(num_classes, mistakes, convention)


def _filled(rows: np.ndarray | None, missing: int) -> np.ndarray | None:
    """The rows, and their first once more for each that is missing."""
    if rows is None or not missing:
        return rows
    return np.concatenate([rows, rows[:1].repeat(missing, 0)])


def _forward(variables: Variables, said: Any) -> tuple[jax.Array, Features]:
    """The logits, with the loss beside them where it was given, and the features.

    What the network said of its examples stands in the place of images.
    """
    features, logits, loss = said
    if logits is None:
        weights, bias = variables["W"], variables["b"]
        logits = dot(features.astype(weights.dtype), weights.T)
        logits = logits if bias is None else logits + bias
    if loss is not None:
        logits = jnp.concatenate([logits, loss[:, None]], axis=1)
    return logits, {LAST: features}


def _loss(num_classes: int, variables, outputs: jax.Array, labels, weights):
    if outputs.shape[1] > num_classes:
        return outputs[:, num_classes]
    return LOSSES["cross_entropy"](outputs, labels)
