"""`measure_labelled`: collapse of features whose labels are no classes.

Vectors, ordered levels, sets of labels and several tasks: every target of
`ncjax.targets` is measured here as in a run, and its numbers have the names that they
have in `metrics.jsonl`.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from ncjax import collapse
from ncjax.averages import Averages
from ncjax.blocks import dot
from ncjax.io import plain
from ncjax.measurement import checks
from ncjax.measurement.data import batch_rows
from ncjax.measurement.labelled_input import (
    read_classifier,
    read_features,
    read_labels,
    read_test,
)
from ncjax.measurement.pooling import floats
from ncjax.measurement.result import digits
from ncjax.measurement.sources import MeasureError, to_numpy
from ncjax.multilabel.conventions import get_convention as of_sets
from ncjax.options import unknown
from ncjax.regression.conventions import get_convention as of_vectors
from ncjax.runs.metrics import describe, meaning
from ncjax.table import Part, Result, Table
from ncjax.targets import Target

# Whose definitions a preset names; those of classes, where it is not said.
_CONVENTIONS = {"vector": of_vectors, "set": of_sets}
# Ends of the names of numbers that compare the outputs of a network with something.
_OF_OUTPUTS = ("nc4", "r2", "r2_worst")
_WIDEST = 4096  # beyond this width no scatter [d, d] is kept


@dataclasses.dataclass(frozen=True, repr=False)
class LabelledMeasurement(Result):
    """Collapse of features with labels of any kind; prints as a table.

    Attributes:
        target: what an example is labelled with, a name in `ncjax.targets.TARGETS`.
        values: name -> number, under the names of `metrics.jsonl`; NaN where a metric
            is undefined.
        measured: what was measured: source, target, n, d, outputs, preset, test_n.
        warnings: what a reader of the numbers must know.
    """

    target: str
    values: dict[str, float]
    measured: dict[str, Any]
    warnings: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> float:
        """One number, by its name."""
        if name not in self.values:
            raise KeyError(unknown("or not measured metric", name, self.values))
        return self.values[name]

    def to_dict(self) -> dict[str, Any]:
        """The numbers and, under `measured`, what was measured; ready for JSON."""
        measured = self.measured | {"warnings": list(self.warnings)}
        return plain(self.values | {"measured": measured})

    def to_rows(self) -> list[dict[str, Any]]:
        """Name, value and meaning of each number."""
        return [
            {"metric": name, "value": value, "meaning": meaning(name)}
            for name, value in self.values.items()
        ]

    def parts(self) -> list[Part]:
        """What was measured, the warnings, and the table."""
        about = self.measured
        head = (
            f"{about['source']}: {about['n']:,} features of width {about['d']:,}, "
            f"target {self.target!r}, {about['outputs']:,} outputs"
        )
        if about["test_n"]:
            head += f"; {about['test_n']:,} test features"
        notes = [
            textwrap.fill(f"warning: {text}", 88, subsequent_indent="  ")
            for text in self.warnings
        ]
        rows = [(r["metric"], digits(r["value"]), r["meaning"]) for r in self.to_rows()]
        return [head, *notes, Table([("metric", "value", "meaning"), *rows], "<><")]

    def __repr__(self) -> str:
        """The source and the target."""
        return f"<Measurement of {self.measured['source']}, target {self.target!r}>"


def measure_labelled(
    features: Any,
    labels: Any,
    *,
    target: str,
    classifier: Any = None,
    bias: Any = None,
    test_features: Any = None,
    test_labels: Any = None,
    preset: str = "default",
    batch_size: int | None = None,
    source: str | None = None,
    progress: bool = False,
) -> LabelledMeasurement:
    """Every metric of collapse that a run with this target has.

    Features are read in batches, twice: memory maps are not loaded.  The numbers are
    float32.  For classes there is `ncjax.measure`.

    Args:
        features: inputs of the last layer on the training set [n, d].
        labels: labels of the examples: for the target "vector" numbers [n, t]; for
            "ordinal" levels [n] in 0..K-1; for "set" [n, K], 1 for each label of an
            example, else 0; for "tasks" the class of each task [n, T].
        target: a name in `ncjax.targets.TARGETS` other than "class".
        classifier: W [outputs, d] of the last layer; of "tasks" the rows of the first
            task first; of "ordinal" also the one row w [1, d], with the thresholds as
            `bias`.  Without it there are no numbers of the outputs.
        bias: b [outputs]; None is 0.
        test_features: features of another set, measured against the training set;
            needs the classifier.
        test_labels: labels of the test features.
        preset: a convention, by name: of "vector" one of `ncjax.regression.PRESETS`,
            of "set" of `ncjax.multilabel.PRESETS`, else of `ncjax.collapse.PRESETS`.
        batch_size: rows read at a time; by default about 8 MB of them.
        source: what the report calls the features.
        progress: shows a bar where reading takes long.

    Raises:
        MeasureError: (a ValueError) for input that cannot be measured.

    Example:
        >>> import numpy as np
        >>> from ncjax.measurement.labelled import measure_labelled
        >>> targets = np.random.default_rng(0).normal(size=(200, 2))
        >>> features = targets @ np.eye(2, 8)  # in two of eight dimensions
        >>> found = measure_labelled(features, targets, target="vector")
        >>> bool(found["nc/nrc1"] < 1e-10)
        True
    """
    if batch_size is not None and batch_size < 1:
        raise MeasureError(f"batch_size must be at least 1, got {batch_size}.")
    rows = read_features(features, "features")
    known, kind = read_labels(labels, len(rows), target, classifier)
    width = rows.shape[1]
    weights, offsets = read_classifier(classifier, bias, known, kind, target)
    checks.check_width(weights, width)
    m = len(offsets)
    try:
        kind.check(known, m)
        absent = kind.absent(known, m)
        convention = _CONVENTIONS.get(target, collapse.get_convention)(preset)
    except (TypeError, ValueError) as error:
        raise MeasureError(str(error)) from error
    test = None
    if test_features is not None:
        if weights is None:
            raise MeasureError("Test features need the classifier, too.")
        test = read_test(test_features, test_labels, target, kind, (m, width))
    size = batch_size or min(batch_rows(width, m), len(rows))
    given = _Given(kind, weights, offsets, convention, progress)
    values = given.measure((rows, known), test, size, m)
    warned = _warnings(weights, absent, m)
    about = {
        "source": source or getattr(features, "name", "features"),
        "target": target,
        **{"n": len(rows), "d": width, "outputs": m, "preset": preset},
        "test_n": None if test is None else len(test[0]),
    }
    return LabelledMeasurement(target, values, about, warned)


def _warnings(weights: Any, absent: list[int], outputs: int) -> tuple[str, ...]:
    warned = []
    if weights is None:
        warned.append("Without a classifier there are no numbers of W or the outputs.")
    if absent:
        warned.append(
            f"{len(absent)} of {outputs} classes or labels have no example, such as "
            f"that of output {absent[0]}; they are left out."
        )
    return tuple(warned)


@dataclasses.dataclass(frozen=True)
class _Given:
    """The last layer and the definitions by which features are measured."""

    target: Target
    weights: np.ndarray | None
    bias: np.ndarray
    convention: Any
    progress: bool

    def measure(
        self, train: tuple[Any, np.ndarray], test: Any, size: int, outputs: int
    ) -> dict[str, float]:
        """All numbers by name, of features and labels of one set or of two."""
        width = train[0].shape[1]
        scatter = "pooled" if width <= _WIDEST else "none"
        moments = self.target.moments(
            outputs, width, scatter=scatter, largest_norm=True
        )
        update = jax.jit(lambda state, batch: state.update(*batch))
        for batch in _batches(train, size, "features", self.progress):
            moments = update(moments, batch)
        sets = {"train": train} | ({} if test is None else {"test": test})
        seen = {
            name: self._second(moments, data, size, name) for name, data in sets.items()
        }
        last = seen.get("test", seen["train"])
        both = seen["train"][0], last[0]
        found = dict(jax.jit(self._metrics)(moments, *both))
        for name, (_, averages) in seen.items():
            found |= {f"{name}/{k}": x for k, x in averages.compute().items()}
        if self.weights is None:
            ends = _OF_OUTPUTS
            found = {k: x for k, x in found.items() if k.rsplit("/")[-1] not in ends}
        if test is None:
            found = {k: x for k, x in found.items() if not k.startswith("test/")}
        first = sorted(found, key=lambda name: not describe(name).headline)
        return {name: float(found[name]) for name in first}

    def _second(self, moments: Any, data: tuple, size: int, name: str):
        """The second pass over a set, and means over its examples."""
        weights = None if self.weights is None else jnp.asarray(self.weights)
        state = self.target.second(
            moments,
            classifier=weights,
            hierarchy=None,
            convention=self.convention,
            training=name == "train",
        )
        first = next(_batches(data, size, name, False))
        shapes = jax.eval_shape(self._values, *first[:2])
        averages = Averages.empty({k: x.shape[1:] for k, x in shapes.items()})

        @jax.jit
        def step(state, averages, batch):
            rows, labels, counts = batch
            decided = self.target.decide(self._scores(rows))
            values = self._values(rows, labels)
            state = state.update(rows, labels, decided, counts)
            return state, averages.update(values, counts)

        for batch in _batches(data, size, name, self.progress):
            state, averages = step(state, averages, batch)
        return state, averages

    def _scores(self, rows: jax.Array) -> jax.Array:
        if self.weights is None:
            return jnp.zeros((len(rows), len(self.bias)), rows.dtype)
        return dot(rows, jnp.asarray(self.weights).T) + jnp.asarray(self.bias)[None]

    def _values(self, rows: jax.Array, labels: jax.Array) -> Mapping[str, jax.Array]:
        """What is averaged over examples: errors of the network, if it is known."""
        if self.weights is None:
            return {}
        scores = self._scores(rows)
        error = {self.target.error_key: self.target.error(scores, labels)}
        found = error | dict(self.target.values(scores, labels))
        return {name: 1.0 * value for name, value in found.items()}

    def _metrics(self, moments: Any, train: Any, test: Any) -> Mapping[str, jax.Array]:
        given = () if self.weights is None else (self.weights, self.bias)
        about = {**self.target.about(train), "convention": self.convention}
        metrics = self.target.metrics(moments, *map(jnp.asarray, given), **about)
        found = {f"nc/{name}": value for name, value in metrics.items()}
        found |= self.target.of_sets(moments, train, test, self.convention)
        return {name: value for name, value in found.items() if jnp.ndim(value) == 0}


def _batches(
    data: tuple[Any, np.ndarray], size: int, name: str, progress: bool
) -> Iterator[tuple]:
    """Features, labels and weights of batches of one size; 0 for rows added to it."""
    rows, labels = data
    starts = tqdm(
        range(0, len(labels), size),
        desc=name,
        unit=" batches",
        delay=2,
        disable=None if progress else True,
    )
    for start in starts:
        part = floats(to_numpy(rows[start : start + size]), name).astype(np.float32)
        if wrong := np.flatnonzero(~np.isfinite(part).all(1)).tolist():
            checks.refuse_rows(start + np.asarray(wrong), len(labels), name)
        own = labels[start : start + size]
        missing = size - len(part)
        if missing:
            part = np.concatenate([part, np.repeat(part[:1], missing, 0)])
            own = np.concatenate([own, np.repeat(own[:1], missing, 0)])
        counts = np.float32(np.arange(size) < size - missing)
        yield jnp.asarray(part), jnp.asarray(own), jnp.asarray(counts)
