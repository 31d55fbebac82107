"""The second pass over features with several labels, which needs final moments."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from ncjax import struct
from ncjax.averages import Averages
from ncjax.collapse import SecondPass
from ncjax.moments import ClassMoments
from ncjax.tasks.moments import TaskMoments
from ncjax.tasks.sums import Sums
from ncjax.units import inverse_unit

Deviations = tuple[jax.Array, ...]  # [..., r_t] for each task, and [..., d] of the sums


@struct.dataclass
class TaskPass:
    """Sums over features that need the moments of the training set.

    Make one with `TaskPass.empty`.  The examples that it takes in may be those of the
    training set again or of another set.
    """

    tasks: tuple[SecondPass, ...]  # of each task
    sums: Sums
    averages: Averages  # squared distances to the sums, and to the mean
    moments: TaskMoments  # final ones of the training set

    @classmethod
    def empty(
        cls,
        moments: TaskMoments,
        second: Callable[[ClassMoments], SecondPass] = SecondPass.empty,
    ) -> TaskPass:
        """A second pass that has seen no examples.

        Args:
            moments: moments of the training features.
            second: makes the second pass of one task from its class moments.
        """
        number = range(len(moments.sizes))
        shapes: dict[str, tuple[int, ...]] = {"residual": (), "variance": ()}
        averages = Averages.empty(shapes, moments.pairs.dtype)
        tasks = tuple(second(moments.task(t)) for t in number)
        return cls(tasks, Sums.of(moments), averages, moments)

    def update(
        self,
        features: Float[Array, "n d"],
        labels: Integer[Array, "n T"],
        decisions: Integer[Array, "n T"] | None = None,
        weights: Float[Array, "n"] | None = None,
    ) -> TaskPass:
        """Takes in a batch.

        Args:
            features: features h [n, d].
            labels: class of each task [n, T].
            decisions: class that the network decides for in each task [n, T]; None only
                if the second passes of the tasks are told none.
            weights: weights of the rows [n], not negative; by default 1.  0 leaves a
                row out, but its numbers must still be finite.
        """
        features = features.astype(self.moments.pairs.dtype)
        residuals = self.moments.residual(features, labels)
        deviations = self.residual_deviations(residuals, labels, self.moments)
        return self.update_deviations(deviations, labels, decisions, weights)

    def residual_deviations(
        self,
        residuals: Float[Array, "... d"],
        labels: Integer[Array, "... T"],
        moments: TaskMoments,
    ) -> Deviations:
        """Deviations of features from which `moments.residual` took a pivot."""
        pivots = moments.classes.pivot[labels[..., 0]]
        found = []
        for task, state in enumerate(self.tasks):
            own = labels[..., task]
            moved = residuals + (pivots - state.span.pivot[own])
            found.append(state.span.residual_deviations(moved, own))
        columns = moments.columns(labels)
        return *found, self.sums.deviations(residuals, pivots, columns)

    def update_deviations(
        self,
        deviations: Deviations,
        labels: Integer[Array, "n T"],
        decisions: Integer[Array, "n T"] | None = None,
        weights: Float[Array, "n"] | None = None,
    ) -> TaskPass:
        """Takes in deviations of features; see `update`."""
        *each, rest = deviations
        tasks = tuple(
            state.update_deviations(
                own,
                labels[:, task],
                None if decisions is None else decisions[:, task],
                weights,
            )
            for task, (state, own) in enumerate(zip(self.tasks, each, strict=True))
        )
        columns = self.moments.columns(labels)
        known = self.sums.present[columns].all(1)
        scale = inverse_unit(self.moments.classes.unit)
        rest, whole = rest * scale, (rest + self.sums.sum(columns)) * scale
        values = {"residual": jnp.sum(rest**2, 1), "variance": jnp.sum(whole**2, 1)}
        mass = jnp.where(known, 1 if weights is None else weights, 0)
        averages = self.averages.update(values, mass.astype(rest.dtype))
        return dataclasses.replace(self, tasks=tasks, averages=averages)

    def merge(self, other: TaskPass) -> TaskPass:
        """Both sets of examples together; the moments must be the same."""
        pairs = zip(self.tasks, other.tasks, strict=True)
        tasks = tuple(mine.merge(theirs) for mine, theirs in pairs)
        averages = self.averages.merge(other.averages)
        return dataclasses.replace(self, tasks=tasks, averages=averages)

    def all_reduce(self, axis_name: str) -> TaskPass:
        """Merges the states of all devices along a mesh axis, inside `shard_map`."""
        tasks = tuple(state.all_reduce(axis_name) for state in self.tasks)
        averages = self.averages.all_reduce(axis_name)
        return dataclasses.replace(self, tasks=tasks, averages=averages)

    def compute(self) -> dict[str, jax.Array]:
        """The share of the variance that is no sum; see `ncjax.tasks.measure`.

        Returns:
            `not_sum`: mean of |h - sum|^2 over that of |h - mean|^2 []; NaN if no
            feature was seen, or all are the same.
        """
        means = self.averages.compute()
        size = means["variance"]
        share = means["residual"] / jnp.where(size > 0, size, 1)
        return {"not_sum": jnp.where(size > 0, share, jnp.nan)}
