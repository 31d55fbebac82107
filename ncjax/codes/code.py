"""Softmax codes and Tammes codes: search, polish, and what is known of the result."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ncjax.codes.bounds import Bound, cosine_bound, margin_bound
from ncjax.codes.known import check_sizes, known_code, simple_code
from ncjax.codes.margin import nearest_cosines, one_vs_rest_distances, unit_rows
from ncjax.codes.polish import Polished, pairs_of, polish
from ncjax.options import InputError, unknown
from ncjax.table import Part, Result, Table

OBJECTIVES = ("margin", "angle")
SAME = 1e-7  # margins and cosines that differ by less are the same
_LOOSE = 1e-6  # a vector further than this from what holds the others is a rattler
_WIDE = 4000  # unknowns above which the margin is that of the Tammes code
_WORK = 2e9  # cubes of unknowns that are spent on polishing further starts
_SMALL, _AGAIN = 500, 5  # numbers up to which a code is polished again, and how often
_LARGEST = 8000  # unknowns of a code that is polished: a matrix of half a gigabyte
_MOST = 8  # starts that are polished

# (what is done, number done, number in all, best margin or 1 - cosine so far, or nan)
Progress = Callable[[str, int, int, float], None]


@dataclasses.dataclass(frozen=True)
class Code(Result):
    """A code: K unit vectors in d dimensions, and how good it is.

    Attributes:
        vectors: a unit vector for each class, float64 [K, d].
        objective: what was made large: "margin" or "angle".
        margin: rho = min_k dist(w_k, conv{w_j, j != k}).
        angle: least angle between two of the vectors, in degrees.
        rattlers: numbers of the vectors that could be moved alone without loss: with
            the objective "angle" those further than the least angle from all others,
            with "margin" those further than the margin from the hull of the others.
        margin_bound: a margin that no code exceeds, and why.
        angle_bound: an angle that no code exceeds, in degrees, and why.
        margin_verdict: "proved", or how far from the bound and from the best known.
        angle_verdict: the same for the angle.
    """

    vectors: np.ndarray
    objective: str
    margin: float
    angle: float
    rattlers: tuple[int, ...]
    margin_bound: Bound
    angle_bound: Bound
    margin_verdict: str
    angle_verdict: str

    def parts(self) -> list[Part]:
        """The sizes, and a table of margin and angle with their bounds."""
        count, dim = self.vectors.shape
        title = f"{count} classes in {dim} dimensions, for the {self.objective}"
        rows = [["", "found", "bound", "by", "verdict"]]
        margin, angle = self.margin_bound, self.angle_bound
        numbers = f"{self.margin:.7f}", f"{margin.value:.7f}"
        rows.append(["margin", *numbers, margin.source, self.margin_verdict])
        numbers = f"{self.angle:.5f} deg", f"{angle.value:.5f} deg"
        rows.append(["least angle", *numbers, angle.source, self.angle_verdict])
        number = len(self.rattlers)
        shown = ", ".join(map(str, self.rattlers[:20])) + ", ..." * (number > 20)
        note = f"rattlers: {number}" + f" (vectors {shown})" * (number > 0)
        return [title, Table(rows, "<>><", notes=[note])]

    def to_rows(self) -> Sequence[Mapping[str, Any]]:
        """One row: sizes, margin, angle, rattlers, bounds, verdicts."""
        count, dim = self.vectors.shape
        row = dict(num_classes=count, feature_dim=dim, objective=self.objective)
        row |= dict(margin=self.margin, margin_bound=self.margin_bound.value)
        row |= dict(margin_verdict=self.margin_verdict, angle=self.angle)
        row |= dict(angle_bound=self.angle_bound.value)
        row |= dict(angle_verdict=self.angle_verdict, rattlers=len(self.rattlers))
        return [row]


def describe(vectors: np.ndarray, objective: str = "margin") -> Code:
    """How good a given code is, such as the classifier of a network.

    Args:
        vectors: a vector for each of K >= 2 classes [K, d]; only directions count.
        objective: "margin" or "angle", which says what a rattler is.

    Returns:
        The code, normalised, with its bounds and verdicts.

    Raises:
        InputError: for another objective, or vectors that are no code.
    """
    _check_objective(objective)
    rows = unit_rows(vectors)
    count, dim = rows.shape
    check_sizes(count, dim)
    distances, cosines = one_vs_rest_distances(rows), nearest_cosines(rows)
    margin, cosine = float(distances.min()), float(cosines.max())
    if objective == "margin":
        loose = distances > margin + _LOOSE
    else:
        loose = cosines < cosine - _LOOSE
    known, least = known_code(count, dim), cosine_bound(count, dim)
    best = None if known is None else 1 - known.cosine
    most = margin_bound(count, dim)
    narrow = _verdict(1 - cosine, 1 - least.value, best, degrees=True)
    return Code(
        vectors=rows,
        objective=objective,
        margin=margin,
        angle=_degrees(1 - cosine),
        rattlers=tuple(np.flatnonzero(loose).tolist()),
        margin_bound=most,
        angle_bound=Bound(_degrees(1 - least.value), least.source),
        margin_verdict=_verdict(margin, most.value, best),
        angle_verdict=narrow,
    )


def solve(
    num_classes: int,
    feature_dim: int,
    *,
    objective: str = "margin",
    starts: int = 32,
    steps: int = 2000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Code:
    """The code of the largest margin (softmax code) or least angle (Tammes code) found.

    Where an optimum has a closed form (K <= 2d, or d = 2) it is taken.  Else random
    starts are descended on the device in float32, and the best of them polished in
    float64; what comes out is a local optimum, whose distance from the upper bounds is
    said.  Beyond 4,000 unknowns, 2 K (d-1), the code of the least angle is searched for
    the margin, too: the two were the same wherever both were computed.  Beyond 8,000
    unknowns, K (d-1), nothing is polished, and the code is good to about 1e-3.

    >>> import ncjax
    >>> code = ncjax.codes.solve(12, 3, starts=4, steps=400)
    >>> print(f"{code.margin:.6f} {code.angle:.4f} {code.angle_verdict}")
    0.552786 63.4349 proved

    Args:
        num_classes: number K of classes, at least 2.
        feature_dim: dimension d, at least 1, and 2 for more than 2 classes.
        objective: "margin" or "angle".
        starts: number of random starts, at least 1.
        steps: number of steps of each, at least 1.
        seed: seed of the random starts, at least 0.
        progress: called on the way with what is done ("starts" or "polish"), the number
            done, from 0 on, the number in all and the best value so far, nan at first.

    Raises:
        InputError: for sizes, an objective or a number that cannot be.
    """
    check_sizes(num_classes, feature_dim)
    _check_objective(objective)
    _check_search(starts, steps, seed)
    simple = simple_code(num_classes, feature_dim)
    if simple is not None:
        return describe(simple, objective)
    return search_code(
        num_classes,
        feature_dim,
        objective=objective,
        starts=starts,
        steps=steps,
        seed=seed,
        progress=progress,
    )


def search_code(
    num_classes: int,
    feature_dim: int,
    *,
    objective: str,
    starts: int,
    steps: int,
    seed: int = 0,
    progress: Progress | None = None,
) -> Code:
    """`solve` without closed forms: the search is the same for all sizes."""
    margin = objective == "margin"
    margin &= 2 * num_classes * (feature_dim - 1) <= _WIDE
    points = _search(num_classes, feature_dim, margin, starts, steps, seed, progress)
    best, value = None, math.inf
    if progress is not None:
        progress("polish", 0, len(points), math.nan)
    for done, start in enumerate(points):
        found = _settle(start, margin)
        if found.value < value:
            best, value = found.points[:num_classes], found.value
        if progress is not None:
            progress("polish", done + 1, len(points), -value if margin else 1 - value)
    assert best is not None  # there is a start
    return describe(best, objective)


def _settle(points: np.ndarray, margin: bool) -> Polished:
    """Polishes, and again while that helps a code that is small and not yet solved.

    Some codes lie at the end of a valley so flat, (17, 4) among them, that the barrier
    is gone before they are there; it begins anew.  Codes too large for a matrix of
    second derivatives stay as the search has left them.
    """
    count, dim = points.shape
    if count * (dim - 1) > _LARGEST:
        pairs = pairs_of(count // (2 if margin else 1), margin)
        return Polished(points, float(pairs.values(points).max()), False)
    found = polish(points, margin)
    for _ in range(_AGAIN if points.size <= _SMALL else 0):
        if found.solved:
            break
        again = polish(found.points, margin)
        if again.value > found.value - 1e-12:
            break
        found = again
    return found


def _check_search(starts: int, steps: int, seed: int) -> None:
    for name, value, least in (("starts", starts, 1), ("steps", steps, 1)):
        if value < least:
            raise InputError(f"{name} must be at least {least}, got {value}.")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed must be in 0..2^32-1, got {seed}.")


def _search(
    num_classes: int,
    feature_dim: int,
    margin: bool,
    starts: int,
    steps: int,
    seed: int,
    progress: Progress | None,
) -> list[np.ndarray]:
    """The starts to be polished: the best ones of different value, best first."""
    from ncjax.codes.search import search  # JAX

    found: list[tuple[float, np.ndarray]] = []
    done = 0
    if progress is not None:
        progress("starts", 0, starts, math.nan)
    for some in search(num_classes, feature_dim, margin, starts, steps, seed):
        found += zip(some.values.tolist(), some.points, strict=True)
        done += len(some.values)
        if progress is not None:
            best = min(value for value, _ in found)
            progress("starts", done, starts, -best if margin else 1 - best)
    found.sort(key=lambda pair: pair[0])
    size = len(found[0][1]) * (feature_dim - 1)
    most = min(_MOST, max(1, int(_WORK / size**3)))
    chosen: list[tuple[float, np.ndarray]] = []
    for value, points in found:
        # Steps end at random within about 1e-5 of where polishing leads.
        if len(chosen) < most and all(value - other > 2e-5 for other, _ in chosen):
            chosen.append((value, points))
    return [points.astype(np.float64) for _, points in chosen]


def _check_objective(objective: str) -> None:
    if objective not in OBJECTIVES:
        raise InputError(unknown("objective", objective, OBJECTIVES))


def _degrees(margin: float) -> float:
    """The angle of a margin 1 - cos, in degrees."""
    return math.degrees(math.acos(min(1.0, max(-1.0, 1 - margin))))


def _verdict(
    found: float,
    bound: float,
    best: float | None,
    degrees: bool = False,
) -> str:
    """What is known of a value, of which no code has more than the bound."""

    def apart(more: float) -> str:
        if degrees:
            return f"{_degrees(more) - _degrees(found):.2g} deg"
        return f"{more - found:.2g}"

    if bound - found <= SAME:
        return "proved"
    gap = f"within {apart(bound)} of the bound"
    if best is None:
        return gap
    if found >= best - SAME:
        return f"best known, {gap}"
    return f"{apart(best)} below the best known, {gap}"
