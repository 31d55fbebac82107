"""Which class gets which vector of a frame: `classifier.assign`.

    none        the order of the target
    quadratic   classes that are near in the tree on vectors that are near
    worst       the opposite, for the experiment
    linear      closest to the class means; anew after some epochs

The first three are settled before training.  With `linear` the rows of the frame change
places between two epochs (`reassigned`), so they are kept with the network.
"""

from __future__ import annotations

import hashlib

import numpy as np

from ncjax.classifiers.setting import Setting
from ncjax.codes.assign import Assignment, assign_means, assign_similar
from ncjax.hierarchy import Hierarchy
from ncjax.losses.outputs import check_tree
from ncjax.options import InputError, unknown

ASSIGN = ("none", "linear", "quadratic", "worst")
EPOCHS = (1, 5)  # after which `linear` assigns, by default
_SAME = 1e-9  # share of the largest inner product by which equal ones may differ
_DIGITS = 6  # of numbers that tell one problem from another


def check_assign(assign: str, epochs: tuple[int, ...]) -> None:
    """Refuses an assignment or epochs that cannot be.

    Args:
        assign: one of `ASSIGN`.
        epochs: epochs after which `linear` assigns anew.

    Raises:
        ValueError: for an unknown assignment; epochs that are no integers from 1 on, or
            none; or epochs where they have no effect.
    """
    if assign not in ASSIGN:
        raise ValueError(unknown("assign", assign, ASSIGN))
    if assign != "linear" and epochs != EPOCHS:
        raise ValueError(
            f"assign_epochs = {epochs} has no effect: assign = {assign!r} settles who "
            "gets which vector before training. Set assign = 'linear', or leave it at "
            f"{EPOCHS}."
        )
    if not epochs or any(not isinstance(e, int) or e < 1 for e in epochs):
        raise ValueError(
            "assign_epochs must hold the epochs after which classes are assigned anew, "
            f"integers from 1 on, got {epochs}."
        )


def assigned(
    rows: np.ndarray,
    assign: str,
    *,
    hierarchy: Hierarchy | None,
    distance: str,
    setting: Setting,
) -> tuple[np.ndarray, str]:
    """The rows in the order of the classes, and a sentence on how good that order is.

    Args:
        rows: vectors of a frame [K, r].
        assign: one of `ASSIGN`; "none" and "linear" change nothing.
        hierarchy: tree over the K classes, for "quadratic" and "worst".
        distance: rule of `Hierarchy.distances`.
        setting: the run, which keeps the order that was found.

    Raises:
        ValueError: without the tree that the assignment needs, with one of other
            classes, or for vectors of different lengths.
    """
    if assign == "linear" and not np.linalg.norm(rows, axis=1).all():
        raise ValueError("assign = 'linear' takes vectors of a length above 0.")
    if assign in ("none", "linear"):
        return rows, ""
    if hierarchy is None:
        raise ValueError(
            f"assign = {assign!r} puts classes on vectors by their distances in a "
            "class tree, and there is none. Set config.hierarchy.name or "
            "config.hierarchy.file."
        )
    check_tree(hierarchy, len(rows), "the classifier")
    gram = rows @ rows.T
    if all_alike(gram):
        return rows, (
            f"assign = {assign!r} changes nothing: all pairs of these vectors have the "
            "same angle, so that all assignments are equal."
        )
    similarity = -hierarchy.distances(distance).astype(np.float64)
    worst = assign == "worst"

    def solve() -> Assignment:
        try:
            return assign_similar(similarity, gram, worst=worst)
        except InputError as error:
            raise ValueError(f"assign = {assign!r}: {error}") from error

    # Ties are broken by rounding: a run that goes on elsewhere keeps its order.
    name = f"order-{_digest(similarity, gram)}-{assign}"
    order = setting.keep(name, lambda progress: solve().order)
    if sorted(order) != [*range(len(rows))]:
        raise ValueError(f"What is kept as {name} is no order. Remove the file.")
    value = float(np.sum(similarity * gram[np.ix_(order, order)]))
    near = "different classes" if worst else "classes alike"
    return rows[order], (
        f"The vectors are assigned with {near} on near ones: sum of (-distance in the "
        f"tree) x (inner product) = {value:.6g}, "
        f"{float(np.sum(similarity * gram)):.6g} in the order of the target."
    )


def reassigned(frame: np.ndarray, means: np.ndarray) -> np.ndarray:
    """The rows of a frame, each moved to the class whose mean is closest to it.

    The means are taken from their mean, and the sum of the cosines is largest.  Where a
    class mean has no direction, nothing moves.

    Args:
        frame: vectors of the classes up to now [K, d].
        means: class means [K, d].
    """
    centred = np.asarray(means, np.float64)
    centred = centred - centred.mean(axis=0)
    sizes = np.linalg.norm(centred, axis=1)
    if not np.isfinite(sizes).all() or sizes.min() == 0:
        return frame
    return frame[assign_means(centred, frame).order]


def all_alike(gram: np.ndarray) -> bool:
    """Whether every assignment is the same: one length, and one angle for all pairs.

    Args:
        gram: inner products of the vectors [K, K].
    """
    same = _SAME * np.abs(gram).max()
    apart = gram[~np.eye(len(gram), dtype=bool)]
    return bool(np.ptp(np.diag(gram)) <= same and np.ptp(apart) <= same)


def _digest(*tables: np.ndarray) -> str:
    rounded = [np.round(table, _DIGITS) + 0.0 for table in tables]  # no -0
    return hashlib.sha256(b"".join(x.tobytes() for x in rounded)).hexdigest()[:16]
