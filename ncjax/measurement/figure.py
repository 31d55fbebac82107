"""The picture of a measurement: spectrum, angles and spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, NullLocator

from ncjax.collapse import rounding_variance
from ncjax.measurement.checks import unit_rows
from ncjax.moments import ClassMoments
from ncjax.style import (
    BLUE,
    GREY,
    ORANGE,
    decorate,
    for_page,
    log_axis,
    log_curve,
    new_figure,
)

_STEM = "#dbe4ef"
_NAMED = 30  # classes that get their names
_NUMBERS = 10  # classes whose cosines are written out
_MATRIX = 200  # classes shown as a matrix, beyond: a histogram
_SAMPLED = 2000  # classes of which the histogram takes all pairs
_LONGEST = 16  # characters of a name


def figure(
    moments: ClassMoments,
    title: str,
    class_names: Sequence[str] | None = None,
    columns: int | None = None,
) -> Figure:
    """Spectrum of the class means, their cosines, and the spread of each class.

    Left: singular values of the centred class means over their root mean square; all
    1 at a simplex.  Middle: cosines of the centred means; white where they are
    -1/(K-1), as at a simplex.  Right: standard deviation of each class over the root
    mean square distance of class means; 0 at collapse.

    Args:
        moments: class moments of the features.
        title: text above the panels.
        class_names: names of class 0, 1, ..., if they are known.
        columns: 1 or 2 for so many columns of a page; None for a screen.
    """
    count = np.asarray(moments.count, np.float64)
    here = np.flatnonzero(count > 0)
    # Differences to one pivot first: the means may have a large common part.
    pivot = np.asarray(moments.pivot, np.float64)[here]
    means = pivot - pivot[:1] + np.asarray(moments.offset, np.float64)[here]
    means = means / float(moments.unit)
    centred = means - means.mean(axis=0)
    deviation = np.sqrt(np.asarray(moments.spread, np.float64)[here] / count[here])
    names = [str(k) for k in here]
    if class_names is not None:
        names = [_short(class_names[k]) for k in here.tolist()]

    layout = ConstrainedLayoutEngine(wspace=0.05)
    if columns == 1:  # no room for two of them
        drawn = new_figure(5.2, 13, layout, columns)
        axes = drawn.subplots(3, 1)
    else:
        drawn = new_figure(14, 4.6, layout, columns)
        axes = drawn.subplots(1, 3, width_ratios=(1, 1.12, 1))
    _spectrum(axes[0], centred)
    # Two columns of a page leave no room for many of them.
    numbers = 5 if columns == 2 else _NUMBERS
    _cosines(drawn, axes[1], centred, names, numbers)
    with jax.enable_x64(moments.pivot.dtype == np.float64):
        rounding = rounding_variance(moments.in_units())
    rounding = np.asarray(rounding, np.float64)[here].sum(axis=1)
    _spread(axes[2], centred, deviation, names, math.sqrt(rounding.mean()))
    drawn.suptitle(title, fontsize=11, x=0.01, ha="left")
    return for_page(drawn, columns)


def _spectrum(axis: Axes, centred: np.ndarray) -> None:
    """Singular values of the centred class means [K, d] over their r.m.s."""
    classes, width = centred.shape
    rank = min(classes - 1, width)
    values = np.linalg.svd(centred, compute_uv=False)[:rank]
    scale = math.sqrt(np.mean(values**2)) or 1.0
    values = values / scale
    index = np.arange(1, rank + 1)
    style = "-" if rank > 60 else "o-"
    axis.axhline(1, color=GREY, lw=1.2, ls="--", label="simplex")
    axis.plot(index, values, style, color=BLUE, ms=4, lw=1.4, label="class means")
    if values[-1] >= 0.03 * values[0]:  # also where all are 0
        axis.set_ylim(0, max(1.25, 1.15 * values[0]))
    else:
        axis.set_yscale("log")
        axis.set_ylim(max(values[-1], 1e-7 * values[0]) / 2, 2 * values[0])
    axis.set_xlim(0.5, rank + 0.5) if rank <= 60 else axis.set_xlim(1, rank)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.legend(frameon=False, fontsize=9, loc="lower left")
    decorate(
        axis,
        "Spectrum of the centred class means",
        x="direction",
        y="singular value / r.m.s.",
        grid="y",
    )


def _cosines(
    drawn: Figure, axis: Axes, centred: np.ndarray, names: list[str], numbers: int
) -> None:
    """Cosines of all pairs of class means as a matrix; of many as a histogram.

    Up to so many `numbers` of classes have their cosines written out.
    """
    classes = len(centred)
    ideal = -1 / (classes - 1)
    unit = unit_rows(centred)
    if classes > _MATRIX:
        _histogram(axis, unit, ideal)
        return
    cosines = unit @ unit.T
    off = ~np.eye(classes, dtype=bool)
    span = float(np.clip(np.abs(cosines[off] - ideal).max(initial=0), 0.05, 2))
    low, high = max(-1.0, ideal - span), min(1.0, ideal + span)
    image = axis.imshow(
        np.where(off, cosines, np.nan),
        cmap="RdBu_r",
        norm=TwoSlopeNorm(ideal, min(low, ideal - 1e-3), max(high, ideal + 1e-3)),
        interpolation="nearest",
    )
    axis.set_facecolor("#d9d9d9")
    bar = drawn.colorbar(image, ax=axis, shrink=0.9, pad=0.02)
    bar.set_label(f"cosine (white: simplex, {ideal:.3g})", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    axis.set_title("Cosines of the centred class means", fontsize=10, loc="left")
    axis.tick_params(length=0 if classes <= _NAMED else 2, labelsize=8)
    axis.spines[:].set_visible(False)
    if classes <= _NAMED:
        _name_ticks(axis, names, "x")
        _name_ticks(axis, names, "y")
    if classes <= numbers:
        _write_cosines(axis, image, cosines)


def _write_cosines(axis: Axes, image: AxesImage, cosines: np.ndarray) -> None:
    """Each cosine as a number on its cell, dark on light or light on dark."""
    classes = len(cosines)
    for i, j in np.argwhere(~np.eye(classes, dtype=bool)):
        red, green, blue, _ = image.cmap(image.norm(cosines[i, j]))
        dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
        text = axis.text(
            j,
            i,
            f"{cosines[i, j]:.2f}".replace("0.", ".").replace("-", "\u2212"),
            ha="center",
            va="center",
            fontsize=11 if classes <= 5 else 7,
            color="white" if dark else "#333333",
        )
        text.set_in_layout(False)


def _histogram(axis: Axes, unit: np.ndarray, ideal: float) -> None:
    """Cosines of pairs of unit rows [K, d], beside that of a simplex, `ideal`."""
    classes = len(unit)
    number = min(classes, _SAMPLED)
    kept = unit[np.linspace(0, classes - 1, number).astype(int)]
    cosines = (kept @ kept.T)[np.triu_indices(len(kept), 1)]
    axis.hist(cosines, bins=80, color=BLUE, density=True)
    axis.axvline(ideal, color=GREY, ls="--", lw=1.2, label=f"simplex, {ideal:.2g}")
    # Where all cosines agree, a narrow axis would make mountains of rounding.
    reach = max(0.02, 1.05 * np.abs(cosines - ideal).max())
    axis.set_xlim(max(-1.02, ideal - reach), min(1.02, ideal + reach))
    axis.yaxis.set_major_locator(NullLocator())
    axis.legend(frameon=False, fontsize=9, loc="upper right")
    part = "" if classes <= _SAMPLED else f", pairs of {_SAMPLED:,} classes"
    title = f"Cosines of the centred class means{part}"
    decorate(axis, title, x="cosine", y="density", grid="y")


def _spread(
    axis: Axes,
    centred: np.ndarray,
    deviation: np.ndarray,
    names: list[str],
    rounding: float,
) -> None:
    """Standard deviation of each class, and of rounding, over the distance of means."""
    classes = len(centred)
    # Mean square distance of pairs of means, from their norms: they are centred.
    distance = math.sqrt(2 / (classes - 1) * np.sum(centred**2)) or math.nan
    ratio = deviation / distance
    named = classes <= _NAMED
    place, label = np.arange(classes), "class"
    if not named:
        ratio, place = np.sort(ratio)[::-1], place + 1
        label = "classes, widest first"
    title = "Spread within each class"
    if (ratio > 0).any():
        title += _draw_spread(axis, place, ratio, rounding / distance, stems=named)
    else:
        text = "0 in every class: the features have collapsed exactly"
        if math.isnan(distance):
            text = "undefined: all class means are equal"
        axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", fontsize=9)
        axis.set(xticks=[], yticks=[])
    if named:
        _name_ticks(axis, names, "x")
    axis.set_xlim(place[0] - 0.6 * named, place[-1] + 0.6 * named)
    decorate(axis, title, x=label, y="std / distance of class means", grid="y")


def _name_ticks(axis: Axes, names: list[str], which: Literal["x", "y"]) -> None:
    """The names of the classes along an axis; long ones upright below it."""
    ticks = axis.set_xticks if which == "x" else axis.set_yticks
    upright = which == "x" and max(map(len, names)) > 3
    size = 8 if len(names) <= 20 else 7
    ticks(range(len(names)), names, rotation=90 if upright else 0, fontsize=size)


def _draw_spread(
    axis: Axes, place: np.ndarray, ratio: np.ndarray, floor: float, *, stems: bool
) -> str:
    """Points on stems or one line, and the floor of rounding; what to say of that.

    The axis starts at 0 where the values are of one size, else it is logarithmic.
    """
    style: dict[str, Any] = {"lw": 1.8}
    if stems:
        style = {"ls": "", "marker": "o", "ms": 6}
    # Far below, the rounding floor would squeeze everything else into a line.
    near = ratio[ratio > 0].min() / 1e3 < floor
    if stems:
        axis.vlines(place[ratio > 0], 0, ratio[ratio > 0], color=_STEM, lw=3)
    if near or ratio.max() > 10 * ratio.min():
        log_axis(axis, np.append(ratio, floor) if near else ratio)
        log_curve(axis, place, ratio, color=BLUE, **style)
    else:
        axis.plot(place, ratio, color=BLUE, **style)
        axis.set_ylim(0, 1.15 * ratio.max())
    if near:
        axis.axhline(floor, color=ORANGE, ls=":", lw=1.4)
        return f"  (dotted: rounding, {floor:.0e})"
    return f"  (rounding: {floor:.0e})"


def _short(name: str) -> str:
    """The name of a class, cut if it is long."""
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "\u2026"
