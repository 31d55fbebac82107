"""Theory beside networks whose examples have other labels than one class each.

There is no Gram matrix of class means to compare; each target has numbers of its own,
found in the network and predicted by the optimum of its unconstrained-features model.

To add one: write a function from a `LoadedRun` to numbers by name, each `Both`, and a
sentence of what it rests on; add a line to `OVERLAYS`, add a test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ncjax.comparison.groups import Group
from ncjax.comparison.overlays import levels, sets, tasks, vectors
from ncjax.comparison.overlays.both import Both
from ncjax.training.loaded import LoadedRun


class RunOverlay(NamedTuple):
    """One network and its predictions.

    Attributes:
        seed: seed of the run.
        epoch: epoch of the checkpoint.
        values: what was found and what is predicted, by name.
    """

    seed: int
    epoch: int
    values: Mapping[str, Both]


class Overlay(NamedTuple):
    """The networks of one group and their predictions.

    Attributes:
        name: name of the group.
        target: what their examples are labelled with.
        note: a sentence that says what the predictions are.
        runs: the runs, by ascending seed.
    """

    name: str
    target: str
    note: str
    runs: tuple[RunOverlay, ...]


class Source(NamedTuple):
    """The predictions for one target.

    Attributes:
        values: network -> what was found and what is predicted, by name; may raise
            `OptimumError` for a network of which nothing is known.
        note: a sentence that says what the predictions are.
    """

    values: Callable[[LoadedRun], Mapping[str, Both]]
    note: str


# Name of the target -> predictions; names in `ncjax.targets.TARGETS`.
OVERLAYS: dict[str, Source] = {
    "ordinal": Source(levels.values, levels.NOTE),
    "set": Source(sets.values, sets.NOTE),
    "tasks": Source(tasks.values, tasks.NOTE),
    "vector": Source(vectors.values, vectors.NOTE),
}


def overlay(group: Group, networks: Sequence[LoadedRun]) -> Overlay:
    """The predictions for the networks of a group, whose target is in `OVERLAYS`.

    Args:
        group: the runs.
        networks: their networks, in the same order.

    Raises:
        OptimumError: if nothing is known of these networks.
    """
    target = networks[0].dataset.target
    values, note = OVERLAYS[target]
    each = zip(group.runs, networks, strict=True)
    runs = (RunOverlay(run.seed, net.epoch, values(net)) for run, net in each)
    return Overlay(group.name, target, note, tuple(runs))
