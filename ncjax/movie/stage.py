"""How a movie looks: one panel for each film, with NC1 over time below it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from ncjax import style
from ncjax.movie.film import EPOCH, Film
from ncjax.movie.view import Picture

_WIDTH, _HEIGHT, _DPI = 4.4, 5.5, 120  # inches of a panel; both give even pixels
_FRAME, _EDGE = "#b0b0b0", "#dedede"
_MARKERS = "osD^v"  # after ten classes colours return with another marker


class Stage:
    """The figure of some films, of which `show` makes one moment after the other."""

    def __init__(self, films: Sequence[Film]):
        """Draws what stands still, with axes that hold the features of all frames."""
        self.figure = style.new_figure(_WIDTH * len(films), _HEIGHT, layout=None)
        self.figure.set_dpi(_DPI)
        self._canvas = FigureCanvasAgg(self.figure)
        half = max(map(_extent, films))
        span = min(f.moments[0] for f in films), max(f.moments[-1] for f in films)
        nc1 = np.concatenate([film.nc1 for film in films])
        self._panels = [
            _Panel(self.figure, film, at, len(films), half, span, nc1)
            for at, film in enumerate(films)
        ]

    def show(self, moment: int | float) -> None:
        """Moves everything to a moment."""
        for panel in self._panels:
            panel.show(moment)

    def image(self) -> np.ndarray:
        """The figure as it is now, uint8 [height, width, 3]."""
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[:, :, :3].copy()


class _Panel:
    """The panel of a film."""

    def __init__(
        self,
        figure: Any,
        film: Film,
        at: int,
        count: int,
        half: float,
        span: tuple[float, float],
        nc1: np.ndarray,
    ):
        left, wide = at / count, 1 / count
        side = 0.92
        tall = side * _WIDTH / _HEIGHT
        box = (left + 0.04 * wide, 0.95 - tall, side * wide, tall)
        self._film, self._axis = film, figure.add_axes(box)
        _still(self._axis, film, half)
        self._sets = _Moving(self._axis, film)
        self._axis.set_title(film.title, fontsize=10.5, loc="left", color=style.NOTE)
        clear = {"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 1.5}
        look = {"transform": self._axis.transAxes, "va": "top", "bbox": clear}
        self._time = self._axis.text(
            0.02, 0.98, "", fontsize=12, fontweight="bold", zorder=6, **look
        )
        self._nc1 = self._axis.text(0.02, 0.92, "", fontsize=11, zorder=6, **look)
        below = (left + 0.15 * wide, 0.075, 0.79 * wide, 0.065)
        self._line = _timeline(figure.add_axes(below), film, span, nc1)

    def show(self, moment: int | float) -> None:
        film = self._film
        picture, nc1 = film.at(moment)
        moment = float(np.clip(moment, film.moments[0], film.moments[-1]))
        self._sets.show(picture)
        three = float(f"{moment:.3g}")  # digits
        shown = f"epoch {moment:.0f}" if film.unit == EPOCH else f"t = {three:,g}"
        self._time.set_text(shown)
        self._nc1.set_text(f"NC1 {nc1:.2g}" if np.isfinite(nc1) else "NC1 not known")
        past = film.moments <= moment
        done, dot = self._line
        done.set_data(
            np.append(film.moments[past], moment), np.append(film.nc1[past], nc1)
        )
        dot.set_data([moment], [nc1])


class _Moving:
    """What moves: features, class means and directions of the classifier."""

    def __init__(self, axis: Axes, film: Film):
        self._colors = [color(k) for k in film.paints]
        first = film.pictures[0]
        self._points = []
        for k, paint in enumerate(self._colors):
            (drawn,) = axis.plot([], [], ".", ms=5, mew=0, color=paint, alpha=0.5)
            self._points.append((drawn, first.place == k))
        self._rows = LineCollection([], colors=self._colors, lw=2.2, zorder=3)
        axis.add_collection(self._rows)
        self._means = [
            axis.plot([], [], marker(k), ms=8, color=color(k), mec="white", mew=1.1)[0]
            for k in film.paints
        ]
        for drawn in self._means:
            drawn.set_zorder(4)

    def show(self, picture: Picture) -> None:
        for drawn, own in self._points:
            drawn.set_data(*picture.points[own].T)
        rows = np.nan_to_num(picture.weights)
        self._rows.set_segments([np.array([[0, 0], row]) for row in rows])
        for drawn, mean in zip(self._means, picture.means, strict=True):
            drawn.set_data(*mean[:, None])


def color(k: int) -> str:
    """Colour of class k, after ten again the first."""
    return style.COLORS[k % len(style.COLORS)]


def marker(k: int) -> str:
    """Marker of the mean of class k."""
    return _MARKERS[k // len(style.COLORS) % len(_MARKERS)]


def _extent(film: Film) -> float:
    """Half the width of the axes: most features, all means and rows, at most 2.1."""
    far = [np.quantile(np.abs(p.points), 0.97) for p in film.pictures if p.points.size]
    last = film.pictures[-1]
    far = [min(x, 1.7) for x in far]  # of the first epochs some may lie outside
    far += [np.nanmax(np.abs(x)) for x in (last.means, np.nan_to_num(last.weights))]
    far += [np.abs(p.means).max() for p in film.pictures]
    return float(np.clip(1.08 * max(far), 1.4, 2.1))


def _still(axis: Axes, film: Film, half: float) -> None:
    """The target, the names of the classes and the legend of a panel."""
    axis.set_xlim(-half, half)
    axis.set_ylim(-half, half)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_color(style.GRID)
    ideal = film.view.ideal
    if film.frame:
        edges = [ideal[list(pair)] for pair in combinations(range(len(ideal)), 2)]
        thin = 1.2 if len(ideal) <= 4 else 0.6
        axis.add_collection(LineCollection(edges, colors=_EDGE, lw=thin, zorder=0))
        hollow = {"mfc": "white", "mec": _FRAME, "ms": 11, "mew": 1.2, "zorder": 1}
        axis.plot(*ideal.T, "o", **hollow)
    places = _ends(film.pictures[-1].means, ideal, 0.8 * half)
    for members in _together(places, 0.13 * half):
        names = ", ".join(film.names[k] for k in members)
        paint = color(film.paints[members[0]]) if len(members) == 1 else "#333333"
        _name(axis, names, places[members].mean(0), paint, half)
    _legend(axis, film)


def _ends(means: np.ndarray, ideal: np.ndarray, most: float) -> np.ndarray:
    """Places for names: outward of the last means and of the target [C, 2]."""
    far = np.linalg.norm(means, axis=1, keepdims=True)
    size = np.linalg.norm(ideal, axis=1, keepdims=True)
    # A mean near the middle has no direction of its own.
    towards = np.where(far > 0.3 * size, means / np.maximum(far, 1e-9), ideal / size)
    return np.minimum(np.maximum(far, size), most) * towards


def _together(places: np.ndarray, near: float) -> list[list[int]]:
    """The classes whose names would lie on each other, in groups; places [C, 2]."""
    groups: list[list[int]] = []
    for k, place in enumerate(places):
        close = (g for g in groups if np.linalg.norm(places[g[0]] - place) < near)
        group = next(close, None)
        groups.append([k]) if group is None else group.append(k)
    return groups


def _name(axis: Axes, name: str, place: np.ndarray, paint: str, half: float) -> None:
    """The name of a class, outside of where its mean should be."""
    x, y = place + 0.09 * half * place / (np.linalg.norm(place) or 1.0)
    side = "center" if abs(place[0]) < 0.3 else ("left" if place[0] > 0 else "right")
    level = "center" if abs(place[1]) < 0.3 else ("bottom" if place[1] > 0 else "top")
    room = (0.98 - 0.045 * len(name)) * half  # it stays inside of the axes
    x = np.clip(
        x, -room if side == "right" else -half, room if side == "left" else half
    )
    if x < -0.4 * half:  # where the epoch and NC1 stand
        y = min(y, 0.68 * half)
    axis.text(
        *(x, y, name),
        color=paint,
        fontsize=10,
        fontweight="bold",
        ha=side,
        va=level,
        zorder=5,
    )


def _legend(axis: Axes, film: Film) -> None:
    """What points, dots and lines are, below the panel."""
    grey = {"color": "#555555", "ls": ""}
    parts = [
        Line2D([], [], marker=".", ms=5, mew=0, label="feature", **grey),
        Line2D([], [], marker="o", ms=7, mec="white", label="class mean", **grey),
        Line2D([], [], color="#555555", lw=2.2, label="classifier row"),
    ]
    if film.frame:
        hollow = {"marker": "o", "ms": 8, "mfc": "white", "mec": _FRAME, "ls": ""}
        parts.append(Line2D([], [], label=film.frame, **hollow))
    axis.legend(
        handles=parts,
        ncols=len(parts),
        loc="upper center",
        bbox_to_anchor=(0.5, -0.005),
        frameon=False,
        fontsize=8.5,
        handletextpad=0.3,
        columnspacing=1.2,
        handlelength=1.2,
    )


def _timeline(
    axis: Axes, film: Film, span: tuple[float, float], nc1: np.ndarray
) -> tuple[Any, Any]:
    """NC1 over time, grey; returns the curve up to now and its end."""
    start, end = span
    powers = 10.0 ** np.arange(np.floor(np.log10(max(end, 1.0))) + 1)
    powers = powers[powers < end / 2]
    if film.unit == EPOCH:
        axis.set_xscale("log")
        marks = sorted({start, *powers[powers > 2 * start], end})
        axis.set_xticks(marks, [f"{x:g}" for x in marks])
    else:  # log(1 + t), as the flow is shown
        axis.set_xscale("function", functions=(np.log1p, np.expm1))
        names = [f"$10^{k}$" if k else "1" for k in range(len(powers))]
        axis.set_xticks([0, *powers], ["0", *names])
    axis.set_xticks([], minor=True)
    axis.set_xlim(start, end if end > start else start + 1)
    style.log_axis(axis, nc1, 4.0)
    if (known := nc1[np.isfinite(nc1) & (nc1 > 0)]).size:
        ends = sorted({known.min(), known.max()})
        axis.set_yticks(ends, [f"{x:.1g}" if x < 1 else f"{x:.0f}" for x in ends])
        axis.set_yticks([], minor=True)
    axis.plot(film.moments, film.nc1, color=_FRAME, lw=1)
    (done,) = axis.plot([], [], color="black", lw=1.6)
    (dot,) = axis.plot([], [], "o", color="black", ms=5, clip_on=False, zorder=5)
    style.decorate(axis, "", x=film.unit, y="NC1", grid=None)
    return done, dot
