"""Which figures a run has in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ncjax.hierarchy import Hierarchy
from ncjax.runs.history import History


def draw(
    history: History,
    class_names: Sequence[str] = (),
    hierarchy: Hierarchy | None = None,
    *,
    again: bool = True,
    suffix: str = ".png",
    columns: int | None = None,
) -> list[Path]:
    """Draws collapse.png, and what else was measured of layers.png, outliers.png ...

    confusion.png is the last one.

    Args:
        history: metrics of the run; without a folder or a row nothing is drawn.
        class_names: names of the classes, for the confusion.
        hierarchy: a tree, for whose levels the confusion has panels.
        again: draw those too that are there.
        suffix: ending of the files, one of `ncjax.style.FORMATS`.
        columns: 1 or 2 for so many columns of a page; None for a screen.

    Returns:
        The files that were written.

    Raises:
        OSError: if they cannot be written.
    """
    folder = history.workdir
    if folder is None or not history.rows:
        return []
    keys = history.rows[-1].keys()
    names = ["collapse"]
    if any(key.startswith("layers/") for key in keys):
        names.append("layers")
    if any(key.startswith("probe/ood/") for key in keys):
        names.append("outliers")
    if "test/confusion" in keys:
        names.append("confusion")
    paths = {name: folder / f"{name}{suffix}" for name in names}
    paths = {name: path for name, path in paths.items() if again or not path.exists()}
    if not paths:
        return []
    from ncjax.runs import outliers_plot, plots  # late: matplotlib takes long to import

    drawn = {
        "collapse": partial(plots.collapse, history),
        "layers": partial(plots.layers, history),
        "outliers": partial(outliers_plot.outliers, history),
        "confusion": partial(plots.confusion, history, class_names, hierarchy),
    }
    for name, path in paths.items():
        plots.save(drawn[name](columns=columns), path)
    return list(paths.values())
