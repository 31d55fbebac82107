"""The second pass over features whose labels are classes, as `Target` asks for it."""

from __future__ import annotations

from typing import Any

import jax

from ncjax import collapse
from ncjax.collapse import Convention, SecondPass
from ncjax.collapse.registry import crowded
from ncjax.hierarchy import Hierarchy
from ncjax.moments import ClassMoments


def basis(moments: ClassMoments, about: Convention) -> tuple[jax.Array, jax.Array]:
    """`between_basis` of a convention."""
    return collapse.between_basis(
        moments, global_mean=about.global_mean, between=about.between
    )


def second(
    moments: ClassMoments,
    *,
    hierarchy: Hierarchy | None,
    convention: Convention,
    training: bool,
    **unused: Any,
) -> SecondPass:
    """A second pass that has seen no features; see `Target.second`."""
    return SecondPass.empty(
        moments,
        directions=basis(moments, convention)[1],
        hierarchy=hierarchy,
        normalised=training and crowded(moments.num_classes, moments.feature_dim),
    )


def about(state: SecondPass) -> dict[str, Any]:
    """What `ncjax.collapse.measure` takes of the pass over the training set."""
    return {
        "within_variance": state.compute()["within_variance"],
        "normalised": state.normalised_moments(),
    }


def of_sets(
    moments: ClassMoments, train: SecondPass, test: SecondPass, convention: Convention
) -> dict[str, jax.Array]:
    """NC4, and what test features are to the class means of the training set."""
    seen, unseen = train.compute(), test.compute()
    nc1 = collapse.nc1(
        moments,
        within_variance=unseen["within_variance"],
        basis=basis(moments, convention),
        divide_by_classes=convention.divide_by_classes,
    )
    return {
        "nc/nc4": seen["nc4"],
        "test/nc1": nc1,
        "test/nc4": unseen["nc4"],
        "test/ncc_accuracy": unseen["ncc_accuracy"],
        "train/ncc_accuracy": seen["ncc_accuracy"],
    }
