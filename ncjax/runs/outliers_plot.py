"""How well outliers are told, over the epochs: the curves of the probe `ood`."""

from __future__ import annotations

from matplotlib.figure import Figure

from ncjax import style
from ncjax.probes.ood import TITLES, auroc_keys
from ncjax.runs.columns import Columns

NC1 = "nc/nc1"


def outliers(history: Columns, columns: int | None = None) -> Figure:
    """The AUROC of every score over the epochs, above NC1; a column for each set.

    Needs a run with `config.eval.probes = ("ood",)`.  With many seeds the lines are
    means, and the band of NC1 is its 95 % interval.

    Args:
        history: the metrics.
        columns: 1 or 2 for so many columns of a page; None for a screen.

    Raises:
        ValueError: if outliers were not measured.
    """
    sets = auroc_keys(history.rows[-1])
    if not sets:
        raise ValueError(
            "No outliers were measured; set config.eval.probes = ('ood',)."
        )
    epochs, start = history["epoch"], history.terminal_epoch
    figure = style.new_figure(3.6 * len(sets) + 1.8, 5.2, columns=columns)
    axes = figure.subplots(
        2, len(sets), sharex=True, sharey="row", squeeze=False, height_ratios=(2.2, 1)
    )
    for (above, below), (name, keys) in zip(axes.T, sets.items(), strict=True):
        for place, (score, key) in enumerate(keys.items()):
            turn, color = divmod(place, len(style.COLORS))
            look = {"color": style.COLORS[color], "ls": style.DASHES[turn], "lw": 1.3}
            above.plot(epochs, history[key], label=TITLES.get(score, score), **look)
        below.set_yscale("log")
        style.log_curve(below, epochs, history[NC1], color=style.GREY, lw=1.4)
        if history.seeds:
            ends = (history[f"{NC1}/{end}"] for end in ("low", "high"))
            style.band(below, epochs, *ends, color=style.GREY)
        for axis in (above, below):
            axis.set_xscale("log")
            if start is not None:
                axis.axvspan(start, epochs[-1], color=style.SHADE, zorder=0)
        style.decorate(above, f"outliers: {name}")
        style.decorate(below, "", x="epoch")
    axes[0, 0].set_ylabel("AUROC", fontsize=9)
    axes[1, 0].set_ylabel("NC1", fontsize=9)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    where = "outside right upper" if columns is None else "outside lower center"
    wide = {"ncols": 1 if columns is None else 1 + columns, "fontsize": 9}
    figure.legend(handles, labels, loc=where, frameon=False, **wide)
    return style.for_page(figure, columns)
