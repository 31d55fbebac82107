"""Which figures a run has in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ncjax.hierarchy import Hierarchy
from ncjax.runs.history import History


def draw(
    history: History,
    class_names: Sequence[str] = (),
    hierarchy: Hierarchy | None = None,
    *,
    again: bool = True,
) -> None:
    """Draws collapse.png, and layers.png and confusion.png if they were measured.

    Args:
        history: metrics of the run; without a folder or a row nothing is drawn.
        class_names: names of the classes, for the confusion.
        hierarchy: a tree, for whose levels the confusion has panels.
        again: draw those too that are there.

    Raises:
        OSError: if they cannot be written.
    """
    folder = history.workdir
    if folder is None or not history.rows:
        return
    keys = history.rows[-1].keys()
    names = ["collapse.png"]
    if any(key.startswith("layers/") for key in keys):
        names.append("layers.png")
    if "test/confusion" in keys:
        names.append("confusion.png")
    names = [name for name in names if again or not (folder / name).exists()]
    if not names:
        return
    from ncjax.runs import plots  # late: matplotlib takes long to import

    drawn = {
        "collapse.png": partial(plots.collapse, history),
        "layers.png": partial(plots.layers, history),
        "confusion.png": partial(plots.confusion, history, class_names, hierarchy),
    }
    for name in names:
        plots.save(drawn[name](), folder / name)
