"""Which losses make better mistakes, and what do they do to collapse?

    launch/hierarchy_table.sh fashion
    launch/hierarchy_table.sh cifar10
    launch/hierarchy_table.sh cifar100
    python -m tests.benchmarks.studies.hierarchy    # reads their runs, trains nothing

All methods of a data set have one recipe and the same seeds.  The claims are those of
the only complete table that is published (Hier-COS, CVPR 2026: CIFAR-100 with a
WideResNet-28-8, five seeds): which of two methods is better, by how much there and
here.  Each is a paired test over seeds, corrected over the claims of its data set.
Published rows of HXE are those of its authors' code, which weights by depth; the
formula of their paper weights by height, so that its claim is asked of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ncjax import style
from ncjax.comparison.groups import Group, group
from ncjax.comparison.runs import CompareError, find, read
from ncjax.comparison.theory import add_theory
from ncjax.io import write_whole
from ncjax.statistics import holm, t_interval
from tests.benchmarks.harness import RESULTS
from tests.benchmarks.studies.harness import LEVEL, difference, flags, write
from tests.benchmarks.verdicts import Answer, Verdict

NAME = "hierarchy_table"
DATA = {
    "fashion": "Fashion-MNIST, MLP",
    "cifar10": "CIFAR-10, narrow ResNet-18",
    "cifar100": "CIFAR-100, MLP on fixed features",
}
# Of 100 classes the optima of all methods over their one constant would take hours.
WITH_THEORY = ("fashion", "cifar10")
METHODS = {
    "cross_entropy": "cross-entropy",
    "soft_labels": "soft labels, beta 4",
    "hxe_depth": "HXE by depth, alpha 0.5",
    "hxe_height": "HXE by height, alpha 0.5",
    "hace": "HACE, dilution 0.5",
    "cpcc": "cross-entropy + CPCC",
    "multi_level": "one cross-entropy a level",
    "haf": "HAFeature",
    "cascade": "cascade",
    "label_embedding": "label embedding",
    "haframe": "HAFrame",
    "hier_cos": "Hier-COS",
}
# Key of a metric -> its title, factor and digits in the table.
METRICS = {
    "test/error": ("test error %", 100, 2),
    "test/mistake_severity": ("severity", 1, 3),
    "test/ahd@1": ("AHD@1", 1, 3),
    "test/ahd@5": ("AHD@5", 1, 3),
    "test/ahd@20": ("AHD@20", 1, 3),
    "test/hops": ("HOPS", 1, 3),
    "test/hops@5": ("HOPS@5", 1, 3),
    "test/fpa": ("full path right %", 100, 2),
    "train/error": ("train error %", 100, 2),
    "nc/nc1": ("NC1", 1, 4),
    "nc/nc2": ("NC2", 1, 3),
    "nc/nc3": ("NC3", 1, 3),
    "nc/nc4": ("NC4", 1, 4),
    "nc/gram_to_tree": ("Gram to tree", 1, 3),
    "nc/gram_to_theory": ("Gram to theory", 1, 3),
}
_PAPER = "Sani et al., CVPR 2026 (arXiv 2503.07853), CIFAR-100, WRN-28-8"


class Claim(NamedTuple):
    """That one method has less of a metric than another.

    Attributes:
        metric: key of the metric.
        less: the method that has less.
        more: the method that has more.
        theirs: the published numbers, in this order.
        data: the data sets on which it is asked.
    """

    metric: str
    less: str
    more: str
    theirs: str
    data: tuple[str, ...] = tuple(DATA)


CLAIMS = (
    Claim("test/ahd@20", "haframe", "cross_entropy", "2.182 < 3.184", ("cifar100",)),
    Claim("test/ahd@20", "hier_cos", "cross_entropy", "2.176 < 3.184", ("cifar100",)),
    Claim("test/ahd@20", "haf", "cross_entropy", "2.842 < 3.184", ("cifar100",)),
    Claim("test/ahd@20", "soft_labels", "cross_entropy", "2.73 < 3.18", ("cifar100",)),
    Claim("test/ahd@20", "hxe_depth", "cross_entropy", "3.02 < 3.18", ("cifar100",)),
    Claim("test/ahd@20", "hxe_height", "cross_entropy", "3.02 < 3.18", ("cifar100",)),
    Claim("test/ahd@5", "haframe", "cross_entropy", "1.116 < 2.246"),
    Claim("test/ahd@5", "hier_cos", "cross_entropy", "1.096 < 2.246"),
    Claim("test/hops", "cross_entropy", "haframe", ".545 < .921"),
    Claim("test/hops", "cross_entropy", "hier_cos", ".545 < .932"),
    Claim("test/hops", "haframe", "hier_cos", ".921 < .932"),
    Claim("test/hops", "cross_entropy", "haf", ".545 < .628", ("fashion", "cifar100")),
    Claim("test/mistake_severity", "haframe", "cross_entropy", "2.236 < 2.334"),
    Claim("test/mistake_severity", "hier_cos", "cross_entropy", "2.212 < 2.334"),
    Claim("test/error", "cross_entropy", "soft_labels", "22.15 < 25.66 %"),
    Claim("test/error", "cross_entropy", "hxe_depth", "22.15 < 27.24 %"),
    Claim("test/error", "cross_entropy", "haframe", "22.24 < 22.48 %"),
)
Found = dict[str, dict[str, np.ndarray]]  # method -> metric -> its value for each seed


def values_of(folder: Path) -> dict[str, np.ndarray]:
    """The final metrics of the runs in a folder, a value for each seed."""
    runs = [read(path) for path in find([folder])]
    (found,) = group(runs)
    unfinished = [str(run.path) for run in runs if run.last < run.planned]
    if unfinished:
        raise CompareError(f"Unfinished: {', '.join(unfinished)}.")
    values = {key: found.final(key) for key in METRICS if key in runs[0].rows[-1]}
    if folder.parent.name in WITH_THEORY:
        values["nc/gram_to_theory"] = to_theory(found)
    return values


def to_theory(runs: Group) -> np.ndarray:
    """Distance of each Gram matrix from the nearest optimum of theory, else nan."""
    try:
        ((found,), _) = add_theory([runs])
    except CompareError:
        return np.full(len(runs.runs), np.nan)
    return np.array([run.values["to_prediction"] for run in found.runs])


def judge(data: str, found: Found) -> Iterator[Verdict]:
    """Each claim by a paired test over seeds, corrected over the data set's claims."""
    claims = [claim for claim in CLAIMS if data in claim.data]
    tests = [
        difference(found[c.more][c.metric], found[c.less][c.metric]) for c in claims
    ]
    corrected = holm(np.array([test[3] for test in tests]))
    for claim, (gap, low, high, _), p in zip(claims, tests, corrected, strict=True):
        title, factor, digits = METRICS[claim.metric]
        verdict: Answer = "undecided"
        if p < 1 - LEVEL:
            verdict = "holds" if gap > 0 else "does not"
        less, more = (
            f"{factor * found[name][claim.metric].mean():.{digits}f}"
            for name in (claim.less, claim.more)
        )
        yield Verdict(
            claim=f"{DATA[data]}: {title} of {METHODS[claim.less]} is below that of "
            f"{METHODS[claim.more]}",
            source=_PAPER,
            theirs=claim.theirs,
            ours=f"{less} and {more}: lower by {factor * gap:.{digits}f}",
            interval=f"[{factor * low:.{digits}f}, {factor * high:.{digits}f}]",
            seeds=len(found[claim.less][claim.metric]),
            verdict=verdict,
            command=f"launch/hierarchy_table.sh {data}",
            note=f"p = {p:.2g}, corrected",
        )


def table(data: str, found: Found) -> str:
    """Mean and half of the 95 % interval of each metric, as Markdown."""
    keys = [key for key in METRICS if any(key in values for values in found.values())]
    rows = [["method", *(METRICS[key][0] for key in keys)], ["---"] * (len(keys) + 1)]
    for method, values in found.items():
        cells = []
        for key in keys:
            _, factor, digits = METRICS[key]
            each = t_interval(factor * values.get(key, np.array([np.nan])), LEVEL)
            half = (each.high - each.low) / 2
            cells.append(f"{each.centre:.{digits}f} ± {half:.{digits}f}")
            if not np.isfinite(each.centre):
                cells[-1] = "-"
        rows.append([METHODS[method], *cells])
    seeds = len(found["cross_entropy"]["test/error"])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return f"## {DATA[data]}, {seeds} seeds\n\n" + "\n".join(lines) + "\n"


def draw(found: dict[str, Found]) -> Figure:
    """A row for each data set, a panel for each of six metrics, a line for a method."""
    keys = ("test/error", "test/mistake_severity", "test/ahd@5", "test/hops")
    keys = (*keys, "nc/nc1", "nc/nc2")
    figure = Figure(
        figsize=(
            2.3 * len(keys),
            0.9 + sum(0.8 + 0.2 * len(f) for f in found.values()),
        ),
        layout="constrained",
    )
    heights = [len(methods) + 3 for methods in found.values()]
    axes = figure.subplots(
        *(len(found), len(keys)), squeeze=False, sharey="row", height_ratios=heights
    )
    for row, (data, methods) in zip(axes, found.items(), strict=True):
        for axis, key in zip(row, keys, strict=True):
            title, factor, _ = METRICS[key]
            for place, values in enumerate(methods.values()):
                each = t_interval(factor * values[key], LEVEL, log=key == "nc/nc1")
                axis.plot([each.low, each.high], [place, place], color=style.BLUE)
                axis.plot(each.centre, place, "o", ms=4, color=style.BLUE)
            if key == "nc/nc1":
                axis.set_xscale("log")
            axis.set_yticks(range(len(methods)), [METHODS[name] for name in methods])
            style.decorate(axis, title)
        row[0].invert_yaxis()
        row[0].set_ylabel(DATA[data].replace(", ", "\n"), fontsize=9)
    return figure


def main() -> None:
    """Reads the runs and writes results/hierarchy_table."""
    folder, _ = flags(__doc__, NAME)
    found: dict[str, Found] = {}
    for data in DATA:
        there = [name for name in METHODS if (folder / data / name).is_dir()]
        if there:
            print(f"Reading {data}: {', '.join(there)}", flush=True)
            found[data] = {name: values_of(folder / data / name) for name in there}
    lines = ["data,method,seed," + ",".join(METRICS)]
    for data, methods in found.items():
        for name, values in methods.items():
            for seed in range(len(values["test/error"])):
                cells = (
                    f"{values[key][seed]:.6g}" if key in values else ""
                    for key in METRICS
                )
                lines.append(f"{data},{name},{seed},{','.join(cells)}")
    verdicts = [v for data, methods in found.items() for v in judge(data, methods)]
    write(NAME, verdicts, draw(found), "\n".join(lines) + "\n")
    pages = [table(data, methods) for data, methods in found.items()]
    write_whole(RESULTS / NAME / "table.md", "# Tables\n\n" + "\n".join(pages))


if __name__ == "__main__":
    main()
