"""A film: the pictures of a run, between two frames interpolated."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ncjax.movie.view import MovieError, Picture, View, choose_view, look
from ncjax.runs.frames import Frame

EPOCH, TIME = "epoch", "t"


@dataclasses.dataclass(frozen=True)
class Film:
    """The pictures of a run.

    Attributes:
        title: what is shown, in words.
        unit: what its moments are counted in, `EPOCH` or `TIME`.
        names: names of the classes shown [C].
        view: from where they are seen.
        paints: number of the colour of each of these classes [C].
        frame: what the means should come to, in words; "" draws no frame for it.
        moments: the moments of the frames, increasing [F].
        nc1: NC1 at these moments [F].
        pictures: the frames in the view [F].
    """

    title: str
    unit: str
    names: tuple[str, ...]
    view: View
    paints: tuple[int, ...]
    frame: str
    moments: np.ndarray
    nc1: np.ndarray
    pictures: tuple[Picture, ...]

    def at(self, moment: int | float) -> tuple[Picture, float]:
        """The picture at a moment and NC1 then, between two frames interpolated.

        Positions are interpolated linearly and NC1 on its logarithm, both in the
        logarithm of the moment.  Before the first frame and after the last they stand.
        """
        times = log_moments(self.moments, self.unit)
        here = log_moments(np.array([moment], float), self.unit)
        place = np.interp(here, times, np.arange(len(times))).item()
        low = int(place)
        high, share = min(low + 1, len(times) - 1), place - low
        first, second = self.pictures[low], self.pictures[high]

        def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return (1 - share) * a + share * b if share else a

        picture = Picture(
            between(first.means, second.means),
            between(first.points, second.points),
            first.place,
            between(first.weights, second.weights),
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            nc1 = np.exp(between(np.log(self.nc1[[low]]), np.log(self.nc1[[high]])))
        return picture, nc1.item()


def make_film(
    frames: Sequence[Frame],
    title: str = "",
    *,
    unit: str = EPOCH,
    classes: Sequence[str] = (),
    view: str = "auto",
) -> Film:
    """The film of some frames; that of a flow ends when all but stands still.

    Args:
        frames: at least one, of the same classes and examples, in order.
        title: what is shown, in words.
        unit: what the moments are counted in.
        classes: names of the classes to show; () shows all.
        view: see `ncjax.movie.view.choose_view`.

    Raises:
        MovieError: without frames that can be drawn, for classes that are not there, or
            a view that is not.
    """
    known = [frame for frame in frames if np.isfinite(frame.means).all()]
    if not known:
        raise MovieError("There is no frame that can be drawn: all are nan or none.")
    chosen = choose_view(known, classes, view)
    pairs = [(frame, look(frame, chosen)) for frame in known]
    pairs = [pair for pair in pairs if np.isfinite(pair[1].means).all()]
    if not pairs:
        raise MovieError("All class means coincide in every frame: there is no view.")
    if unit == TIME:
        pairs = pairs[: _still_from([picture for _, picture in pairs]) + 1]
    pictures, count = [picture for _, picture in pairs], len(chosen.chosen)
    if count == 2:
        pictures = _same_side(pictures)
    ideal = "" if view == "principal" else "simplex"
    if count == 2:
        ideal = "opposite means"
    return Film(
        title=title,
        unit=unit,
        names=tuple(known[0].names[k] for k in chosen.chosen),
        view=chosen,
        # A class keeps its colour whatever else is shown, if ten colours suffice.
        paints=tuple(chosen.chosen.tolist())
        if len(known[0].names) <= 10
        else (*range(count),),
        frame=ideal,
        moments=np.array([frame.at for frame, _ in pairs]),
        nc1=np.array([frame.nc1 for frame, _ in pairs]),
        pictures=tuple(pictures),
    )


def moments_of(films: Sequence[Film], count: int) -> np.ndarray:
    """Moments from the first frame of all films to the last, log-spaced [count]."""
    every = np.unique(np.concatenate([film.moments for film in films]))
    if len(every) == 1:
        return every
    logs = log_moments(every, films[0].unit)
    return np.interp(np.linspace(logs[0], logs[-1], count), logs, every)


def log_moments(moments: np.ndarray, unit: str) -> np.ndarray:
    """log(epoch), or log(1 + t) of the time of a flow, which begins at 0 [F]."""
    return np.log(moments) if unit == EPOCH else np.log1p(moments)


def _still_from(pictures: Sequence[Picture]) -> int:
    """Place of the first picture after which nothing moves by 1 % of the target."""
    last = pictures[-1]
    for place in range(len(pictures) - 1, 0, -1):
        before = pictures[place - 1]
        moved = [
            np.abs(getattr(before, part) - getattr(last, part)).max(initial=0.0)
            for part in ("means", "points", "weights")
        ]
        if max(moved) > 0.01:
            return place
    return 0


def _same_side(pictures: Sequence[Picture]) -> list[Picture]:
    """The pictures of two classes, upside down where that is nearer to the last one.

    The second axis has no class mean that would say which side of it is up.
    """
    found = [pictures[0]]
    for picture in pictures[1:]:
        if (picture.points[:, 1] * found[-1].points[:, 1]).sum() < 0:
            turn = np.array([1.0, -1.0])
            picture = Picture(
                picture.means * turn,
                picture.points * turn,
                picture.place,
                picture.weights * turn,
            )
        found.append(picture)
    return found
