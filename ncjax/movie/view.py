"""The plane in which a movie shows features: chosen once, steady from frame to frame.

A frame has features in a basis of its own.  Each is turned by an orthogonal Procrustes
problem toward one target: C points in q = 2 or 3 dimensions, of which point k is where
the mean of class k should stand.  Of all orthonormal V [r, q] that one is taken which
brings the class means M V nearest the target,

    V = U Z',   where U S Z' is the singular value decomposition of M' target.

As the target is the same for all frames, nothing drifts or jumps.  For three classes V
is a rotation of the plane of the means and nothing is lost; the same holds for four
classes in three dimensions.  For more it is the plane in which the means come nearest a
regular polygon, as which a simplex shows itself exactly.

References:
    Schoenemann, A generalized solution of the orthogonal Procrustes problem,
    Psychometrika 1966; Coxeter, Regular Polytopes, 1973 (the polygon of a simplex).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ncjax.options import InputError, unknown
from ncjax.runs.frames import Frame

VIEWS = ("auto", "polygon", "principal")


class MovieError(InputError):
    """A movie that cannot be made; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class View:
    """What of a frame is shown, and from where.

    Attributes:
        chosen: places of the C classes shown, among those of a frame [C].
        target: where their means should be [C, q].
        camera: the q dimensions as they are seen in the picture [q, 2].
        zoom: factor after which the target has the size of the unit circle.
    """

    chosen: np.ndarray
    target: np.ndarray
    camera: np.ndarray
    zoom: float

    @property
    def ideal(self) -> np.ndarray:
        """Where means that are at the target stand in the picture [C, 2]."""
        return self.zoom * self.target @ self.camera


@dataclasses.dataclass(frozen=True)
class Picture:
    """A frame in the plane of its view, in units of the target.

    Attributes:
        means: class means [C, 2].
        points: features of the sample [n, 2].
        place: place of each feature's class among those shown [n].
        weights: directions of the classifier [C, 2]; the rows of W have on average the
            length of the means.
    """

    means: np.ndarray
    points: np.ndarray
    place: np.ndarray
    weights: np.ndarray


def choose_view(
    frames: Sequence[Frame], classes: Sequence[str] = (), kind: str = "auto"
) -> View:
    """The view of a movie.

    Args:
        frames: all its frames, in order.
        classes: names of the classes to show; () shows all.
        kind: "polygon": the means of a simplex would stand at the corners of a regular
            polygon; "principal": the principal plane of the means of the last frame;
            "auto": a tetrahedron for four classes, else "polygon".

    Raises:
        MovieError: for classes that are not there, too few or twice; or where the last
            means do not span a plane.
    """
    if kind not in VIEWS:
        raise MovieError(unknown("view", kind, VIEWS))
    names = frames[0].names
    for name in classes:
        if name not in names:
            raise MovieError(unknown("class", name, names))
    shown = list(classes or names)
    if len(set(shown)) < max(len(shown), 2):
        raise MovieError(
            f"A movie needs at least two classes, each once; got {', '.join(shown)}."
        )
    chosen = np.array([names.index(name) for name in shown])
    count, camera = len(chosen), np.eye(2)
    if kind == "principal":
        last = _unit(_centred(frames[-1].means[chosen]))
        target = _principal(last)
    elif kind == "auto" and count == 4:
        target, camera = _TETRAHEDRON, _camera(azimuth=35.0, elevation=20.0)
    else:
        target = _polygon(count)
    zoom = 1 / np.sqrt((target**2).sum(1).mean())
    return View(chosen, target, camera, float(zoom))


def look(frame: Frame, view: View) -> Picture:
    """A frame in a view; of means that all coincide all is nan."""
    means = _centred(frame.means[view.chosen])
    weights = _centred(frame.weights[view.chosen])
    order = np.full(len(frame.names), -1)
    order[view.chosen] = np.arange(len(view.chosen))
    shown = order[frame.place] >= 0
    place, size = order[frame.place][shown], _size(means)
    # What is cut off of W lies outside of the span of the means: directions that do
    # not point at them are short.
    whole = _size(frame.weights) or 1.0
    length = _size(weights) * max(frame.weight_norm / whole, 1.0)
    seen = toward(means, view.target) @ view.camera * view.zoom
    with np.errstate(divide="ignore", invalid="ignore"):
        at = means / size @ seen
        points = at[place] + frame.deviations[shown] / size @ seen
        return Picture(at, points, place, weights / length @ seen)


def toward(means: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The orthonormal V [r, q] with which the means come nearest the target.

    Args:
        means: class means [C, r].
        target: where they should be [C, q], with q at most r.
    """
    product = means.T @ target
    if not np.isfinite(product).all():
        return np.full(product.shape, np.nan)
    left, _, right = np.linalg.svd(product, full_matrices=False)
    return left @ right


def _polygon(count: int) -> np.ndarray:
    """Corners of a regular polygon [C, 2], as a simplex of unit vectors shows them.

    The first is at the top, the others follow clockwise.  Two are left and right.
    """
    if count == 2:
        return np.array([[-1.0, 0.0], [1.0, 0.0]])
    angle = np.pi / 2 - 2 * np.pi * np.arange(count) / count
    corners = np.stack([np.cos(angle), np.sin(angle)], 1)
    return corners * np.sqrt(2 / (count - 1))


_TETRAHEDRON = np.array(
    [[0, 0, 3], [8**0.5, 0, -1], [-(2**0.5), 6**0.5, -1], [-(2**0.5), -(6**0.5), -1]]
) / 3  # fmt: skip


def _camera(azimuth: float, elevation: float) -> np.ndarray:
    """Where x, y and z are in the picture of a camera at these angles [3, 2]."""
    a, e = np.radians([azimuth, elevation])
    right = [-np.sin(a), np.cos(a), 0]
    up = [-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e)]
    return np.stack([right, up], 1)


def _principal(means: np.ndarray) -> np.ndarray:
    """The means in their principal plane [C, 2].

    Raises:
        MovieError: if they do not span a plane.
    """
    if np.isfinite(means).all():
        left, values, _ = np.linalg.svd(means, full_matrices=False)
        if len(values) > 1 and values[1] > 1e-3 * values[0]:
            return left[:, :2] * values[:2]
    raise MovieError(
        "The class means of the last frame do not span a plane, so that there is no "
        "principal one. Leave out --view=principal."
    )


def _centred(rows: np.ndarray) -> np.ndarray:
    return rows - rows.mean(0)


def _size(rows: np.ndarray) -> float:
    """Root of the mean squared norm of the rows."""
    return float(np.sqrt((rows**2).sum(1).mean()))


def _unit(rows: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return rows / _size(rows)
