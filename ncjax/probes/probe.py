"""What a probe is, and what it may use: types shared by all probes.

A probe is written once, for one network, as ordinary code.  Wherever it needs a pass
over a data set it calls `Reader.fold`, which hides how many devices share the images
and whether these lie on the devices or are streamed to them; many networks are measured
by the same code, mapped over them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax

from ncjax.data import Dataset
from ncjax.evaluation.passes import Classifier, Variables
from ncjax.evaluation.shares import Arrays
from ncjax.hierarchy import Hierarchy

TRAIN, TEST = "train", "test"  # names of the data sets that every probe can read


@dataclasses.dataclass(frozen=True)
class Reader:
    """Reads data sets for a probe.

    Attributes:
        sets: images and labels of each data set, by name.
        run: (update, state, variables, images, labels, *more) -> what `fold` returns.
    """

    sets: Mapping[str, Arrays]
    run: Callable[..., Any]

    def fold(
        self,
        update: Callable[..., Any],
        state: Any,
        variables: Variables,
        name: str,
        *more: Any,
    ) -> Any:
        """The state that has seen every example of a data set.

        Args:
            update: (state, variables, images [n, h, w, c], labels [n], weights [n],
                *more) -> state with one more batch; weights are 1, or 0 for padding.
                It must be the same function at every call, as each is compiled once.
            state: a state that has seen no example; each device starts from it.  It is
                a pytree with a method `all_reduce(axis_name)`, as of `ClassMoments`,
                that merges the states of all devices inside `shard_map`.
            variables: variables of the network.
            name: name of the data set: "train", "test" or one of `Probe.sets`.
            *more: arrays that `update` takes besides, such as the result of an earlier
                pass.
        """
        return self.run(update, state, variables, *self.sets[name], *more)


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """What is known of the networks before they are trained; see the attributes.

    The functions are of one network, in evaluation mode, and take its `Variables`.

    Attributes:
        features: (variables, raw images [n, h, w, c]) -> features [n, d] that the
            classifier sees.
        scores: (variables, raw images) -> a score for each class [n, K]; the largest is
            the decision.
        classifier: variables -> weights W [K, d] and bias b [K] of the last layer.
        weight_decay: variables -> weight decay lambda, if training adds the penalty
            (lambda/2)|theta|^2 to the loss; 0 if it adds no such penalty.
        dataset: the data set, with the names of its classes.
        hierarchy: the class tree, or None.
    """

    features: Callable[[Variables, jax.Array], jax.Array]
    scores: Callable[[Variables, jax.Array], jax.Array]
    classifier: Classifier
    weight_decay: Callable[[Variables], float | jax.Array]
    dataset: Dataset
    hierarchy: Hierarchy | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Probe:
    """A measurement on a trained network.

    Attributes:
        measure: (variables of one network, reader) -> metrics by name, each [].
        sets: further data sets that `measure` reads, by name: images and labels on the
            host.
    """

    measure: Callable[[Variables, Reader], Mapping[str, jax.Array]]
    sets: Mapping[str, Arrays] = dataclasses.field(default_factory=dict)
