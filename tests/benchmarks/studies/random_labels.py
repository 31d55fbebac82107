"""Do networks collapse when their labels are random?

    launch/random_labels.sh
    python -m tests.benchmarks.studies.random_labels

Digits, of which a share has random labels, and two MLPs with BatchNorm: 128-128-128,
which can fit any labels, and 12-12-12, which has room for the simplex (12 features for
10 classes) but cannot fit them all.  Five shares, five seeds.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ncjax import style
from ncjax.runs.columns import is_measured
from ncjax.runs.history import History
from ncjax.runs.journal import NAME, read
from ncjax.statistics import t_interval
from ncjax.sweeps.table import read_sweep
from tests.benchmarks.studies.harness import LEVEL, answer, difference, flags, write
from tests.benchmarks.verdicts import Verdict

COMMAND = "python -m tests.benchmarks.studies.random_labels"
SOURCE = "Zhu et al., NeurIPS 2021"
RISK = "E & Wojtowytsch, PMLR 145, 2022"
WIDE, NARROW = (128, 128, 128), (12, 12, 12)
SMALL = 0.1  # of NC1 to NC3, as in the table of a sweep
METRICS = {"nc/nc1": "NC1", "nc/nc2": "NC2", "nc/nc3": "NC3"}
COLUMNS = (
    *("train/error", "test/error", *METRICS, "nc/nc4"),
    *("train/loss", "test/loss", "train/jensen_gap", "test/jensen_gap"),
)
Runs = dict[tuple[tuple[int, ...], float], list[History]]  # widths, share -> by seed


def last(runs: list[History], key: str) -> np.ndarray:
    """The last value of each seed."""
    return np.array([run[key][-1] for run in runs])


def collapse(runs: Runs, shares: list[float]) -> list[Verdict]:
    """All labels random: who collapses, and whether as far as with the right ones."""
    found, most = [], shares[-1]
    for key, name in METRICS.items():
        for widths, who in ((WIDE, "wide enough to fit them"), (NARROW, "too narrow")):
            these, wide = runs[widths, most], widths == WIDE
            end = t_interval(last(these, key), LEVEL, log=True)
            sides = (
                (-end.high, -end.low, -SMALL) if wide else (end.low, end.high, SMALL)
            )
            found.append(
                Verdict(
                    claim=f"all labels random, network {who}: {name} ends "
                    f"{'below' if wide else 'above'} {SMALL:g}",
                    source=SOURCE,
                    theirs="falls to 0" if wide else "does not fall to 0",
                    ours=f"{end.centre:.3g}",
                    interval=f"[{end.low:.3g}, {end.high:.3g}]",
                    seeds=len(these),
                    verdict=answer(*sides),
                    command=COMMAND,
                    note=f"training error {last(these, 'train/error').mean():.1%}",
                )
            )
        noisy, clean = (last(runs[WIDE, share], key) for share in (most, shares[0]))
        ratio, low, high, _ = difference(noisy, clean, log=True)
        found.append(
            Verdict(
                claim=f"wide network: {name} ends within twice the value that it has "
                "with the right labels",
                source=SOURCE,
                theirs="0 for both",
                ours=f"{ratio:.3g} times",
                interval=f"[{low:.3g}, {high:.3g}]",
                seeds=len(noisy),
                verdict=answer(-high, -low, -2),
                command=COMMAND,
            )
        )
    return found


def generalisation(runs: Runs, shares: list[float]) -> list[Verdict]:
    """Collapse of the training set says nothing of the test set; nor does its gap."""
    clean, noisy = runs[WIDE, shares[0]], runs[WIDE, shares[-1]]
    gap, low, high, _ = difference(last(noisy, "test/error"), last(clean, "test/error"))
    found = [
        Verdict(
            claim="networks that collapse on random labels err on the test set by half "
            "of all images more than those that collapse on the right ones",
            source=SOURCE,
            theirs="collapse is no evidence of generalisation",
            ours=f"{100 * gap:.3g} %",
            interval=f"[{100 * low:.3g}, {100 * high:.3g}]",
            seeds=len(clean),
            verdict=answer(low, high, 0.5),
            command=COMMAND,
            note="both have a training error of 0",
        )
    ]
    for place, what in (("train", "below 5 %"), ("test", "above 5 %")):
        share = last(noisy, f"{place}/jensen_gap") / last(noisy, f"{place}/loss")
        centre = t_interval(share, LEVEL, log=True)
        less = place == "train"
        sides = (-centre.high, -centre.low, -0.05)
        found.append(
            Verdict(
                claim=f"all labels random, wide network: the Jensen gap of the {place} "
                f"set is {what} of its loss",
                source=RISK,
                theirs="0 at the minimum of the risk that is minimised",
                ours=f"{100 * centre.centre:.3g} %",
                interval=f"[{100 * centre.low:.3g}, {100 * centre.high:.3g}]",
                seeds=len(noisy),
                verdict=answer(*sides)
                if less
                else answer(centre.low, centre.high, 0.05),
                command=COMMAND,
            )
        )
    return found


def draw(runs: Runs, shares: list[float]) -> Figure:
    """NC1 to NC3 and the test error by epoch, a row for each network."""
    figure = Figure(figsize=(12.5, 6), layout="constrained")
    axes = figure.subplots(2, 4, sharex=True, sharey="col")
    for row, (widths, who) in zip(
        axes, ((WIDE, "128-128-128"), (NARROW, "12-12-12")), strict=True
    ):
        for axis, (key, title) in zip(
            row, {**METRICS, "test/error": "test error"}.items(), strict=True
        ):
            for number, share in enumerate(shares):
                these = runs[widths, share]
                values = np.array([run[key] for run in these])
                log = key in METRICS
                found = t_interval(values, LEVEL, log=log)
                color, epochs = style.COLORS[number], these[0]["epoch"]
                style.band(axis, epochs, found.low, found.high, color=color)
                label = f"{share:.0%}"
                axis.plot(epochs, found.centre, color=color, lw=1.4, label=label)
            axis.set_xscale("log")
            if key in METRICS:
                axis.set_yscale("log")
            style.decorate(axis, f"{who}: {title}")
    for axis in axes[1]:
        axis.set_xlabel("epoch", fontsize=9)
    axes[0, 0].legend(title="random labels", fontsize=8, frameon=False)
    note = "means of five seeds (of NC1 to NC3 geometric), bands: 95 % intervals"
    figure.suptitle(note, fontsize=9, color=style.NOTE, x=0.01, ha="left")
    return figure


def table(runs: Runs) -> str:
    """The last values of each network, as CSV."""
    lines = ["widths,random_labels,seed," + ",".join(COLUMNS)]
    for (widths, share), these in runs.items():
        name = "-".join(map(str, widths))
        for seed, run in enumerate(these):
            values = ",".join(f"{run[key][-1]:.6g}" for key in COLUMNS)
            lines.append(f"{name},{share:g},{seed},{values}")
    return "\n".join([*lines, ""])


def main() -> None:
    """Reads the sweep, and writes results/random_labels."""
    folder, smoke = flags(__doc__, "random_labels")
    runs: Runs = {}
    for row in read_sweep(folder).rows:
        widths = tuple(map(int, str(row["model.widths"]).strip("()").split(",")))
        place = runs.setdefault((widths, float(row["data.random_labels"])), [])
        written, _ = read(folder / "members" / str(row["name"]) / NAME)
        place.append(History(list(filter(is_measured, written))))
    shares = sorted({share for _, share in runs})
    found = [*collapse(runs, shares), *generalisation(runs, shares)]
    figure = draw(runs, shares)
    if smoke:
        style.save(figure, folder / "random_labels.png")
        print(*found, sep="\n")
    else:
        write("random_labels", found, figure, table(runs))


if __name__ == "__main__":
    main()
