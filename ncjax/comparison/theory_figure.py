"""Gram matrices of trained networks above those of theory, the fitted optimum."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ncjax.comparison.theory import GroupTheory
from ncjax.comparison.theory_tables import spectrum
from ncjax.gram import gram_cosines
from ncjax.hierarchy import Hierarchy
from ncjax.hierarchy.draw import leaf_order
from ncjax.style import COLORS, decorate, for_page, new_figure, part

_FOUND, _PREDICTED = COLORS[:2]
_COLUMNS = 5
_NAMED = 20  # classes at most whose names are written


def figure(groups: Sequence[GroupTheory], columns: int | None = None) -> Figure:
    """A column for each group: cosines found, those of theory, spectra.

    Theory is the optimum of the unconstrained-features model whose constant c is fitted
    to the network.  Means over seeds, classes in the order of the tree, with lines
    between its superclasses.  Colours are cosines of centred class means, on one scale
    that ends at the largest between different classes.

    Args:
        groups: the groups.
        columns: 1 or 2 for so many columns of a page; None for a screen.
    """
    wide = min(len(groups), {None: _COLUMNS, 1: 2, 2: 4}.get(columns, _COLUMNS))
    bands = math.ceil(len(groups) / wide)
    size = max(2.3 * wide + 1.6, 4.5), 6.5 * bands
    drawn = new_figure(*size, columns=columns)
    grid = drawn.subplots(3 * bands, wide, squeeze=False)
    axes = grid.reshape(bands, 3, wide).swapaxes(1, 2).reshape(-1, 3)
    limit = max(_largest_cosine(run.gram) for group in groups for run in group.runs)
    for place, (group, column) in enumerate(zip(groups, axes, strict=False)):
        found, predicted, spectra = column
        first = place % wide == 0
        named = first and len(group.hierarchy.class_names) <= _NAMED
        _heat(found, [run.gram for run in group.runs], group.hierarchy, limit, named)
        expected = [run.prediction for run in group.runs]
        _heat(predicted, expected, group.hierarchy, limit, named)
        found.set_title(f"{textwrap.fill(group.name, 24)}\nfound", fontsize=9)
        predicted.set_title("theory, fitted optimum", fontsize=9)
        _spectra(spectra, group)
        if first:
            spectra.set_ylabel("eigenvalue of the Gram", fontsize=9)
            spectra.legend(frameon=False, fontsize=8)
    for axis in axes[len(groups) :].ravel():
        axis.set_axis_off()
    look = {"shrink": 0.4, "aspect": 40, "extend": "max"}
    label = "cosine of centred class means"
    drawn.colorbar(axes[0, 0].images[0], ax=grid, label=label, **look)
    return for_page(drawn, columns)


def _heat(axis: Axes, grams: list, tree: Hierarchy, limit: float, named: bool) -> None:
    """Cosines of the mean Gram matrix, on request with the names of the classes."""
    order = leaf_order(tree)
    cosines = gram_cosines(np.mean(grams, axis=0))[np.ix_(order, order)]
    axis.imshow(cosines, cmap="RdBu_r", vmin=-limit, vmax=limit)
    axis.set_xticks([])
    part(axis, tree.lineage[1:-1, order])
    names = [tree.class_names[k] for k in order] if named else []
    axis.set_yticks(range(len(names)), names, fontsize=7)
    axis.tick_params(length=0)


def _largest_cosine(gram: np.ndarray) -> float:
    """Between different classes, in size."""
    cosines = np.abs(gram_cosines(gram))
    return float(cosines[~np.eye(len(cosines), dtype=bool)].max())


def _spectra(axis: Axes, group: GroupTheory) -> None:
    number = len(group.runs[0].gram) - 1
    rank = np.arange(1, number + 1)
    for run in group.runs:
        axis.plot(rank, spectrum(run.gram)[:number], "o", color=_FOUND, ms=3, alpha=0.5)
    expected = np.mean([spectrum(run.prediction) for run in group.runs], axis=0)
    axis.plot([], [], "o", color=_FOUND, ms=3, label="found")
    axis.plot(rank, expected[:number], "-", color=_PREDICTED, lw=1.2, label="theory")
    axis.set_ylim(0, 1)
    axis.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    decorate(axis, "", x="rank")
