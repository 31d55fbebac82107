"""More classes than dimensions: does cross-entropy on the sphere find the best code?

    launch/spherical.sh gaussian        # trains the networks of part 2
    launch/spherical.sh cifar100        # and these
    python -m tests.benchmarks.studies.spherical      # the rest, with verdicts

1. Unconstrained features on the sphere at a falling temperature (`sphere_flow.py`): the
   margin of the class vectors against the greatest known, in 2 to 5 dimensions.
2. Networks with 100 classes in 10 dimensions at several temperatures: GNC2 against the
   solved code and against the unconstrained optimum at the same temperature.
3. NTCE and NONL against cross-entropy on Fashion-MNIST (`sphere_losses.py`): how soon
   they collapse as far, and the published order of effective ranks and alignments.

What is computed is kept in the folder of the runs, and not computed again.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ncjax import codes, style
from ncjax.io import write_whole
from ncjax.statistics import t_interval
from tests.benchmarks.harness import RESULTS
from tests.benchmarks.studies import sphere_flow, sphere_losses
from tests.benchmarks.studies.harness import LEVEL, answer, difference, flags, write
from tests.benchmarks.verdicts import Verdict

NAME = "spherical"
COMMAND = "python -m tests.benchmarks.studies.spherical"
_PAPER = "Jiang et al., ICML 2024 (arXiv 2310.05351)"
STARTS, STEPS = 16, 60
CLASSES, DIM = 100, 10  # of the networks
# Of the networks, and others between and below.
TAUS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.2, 0.16667, 0.14286, 0.1, 0.07, 0.05, 0.025, 0.01)
# Temperature of the networks -> GNC2 of the published ResNet-18 on CIFAR-100.
PUBLISHED = {1.0: 0.007, 0.2: 0.553, 0.16667: 0.582, 0.14286: 0.591}
_METRICS = {
    "gnc2": "nc/one_vs_rest_w",
    "gnc2_means": "nc/one_vs_rest",
    "gnc1": "nc/gnc1",
    "gnc3": "nc/gnc3",
    "train_error": "train/error",
    "test_error": "test/error",
    "loss": "train/loss",
}
# Folder of the networks -> what they are, and the data to name at launch.
HEADS = {
    "heads": ("100 Gaussian classes, MLP", "gaussian"),
    "longer": ("100 Gaussian classes, MLP, 400 epochs instead of 100", "gaussian"),
    "cifar100": ("CIFAR-100, MLP on fixed features", "cifar100"),
}
STEPS_DOWN = ((1.0, 0.2), (0.2, 0.14286), (0.14286, 0.1), (0.1, 0.05))


class Optimum(NamedTuple):
    """Unconstrained features and vectors at a temperature: their margin and loss."""

    margin: float
    loss: float


# Temperature -> each metric by seed [S].
Heads = dict[float, dict[str, np.ndarray]]


def sizes(smoke: bool) -> list[tuple[int, int]]:
    """(K, d) of part 1: all of d = 3 that is no closed form, and some of the others."""
    if smoke:
        return [(5, 2), (7, 3)]
    found = {2: (5, 8, 12, 20), 3: (5, 6, *range(7, 21))}
    found |= {4: (6, 8, 9, 10, 14, 17, 20), 5: (7, 10, 11, 13, 16, 17, 20)}
    return [(k, d) for d, ks in found.items() for k in ks]


def flows(folder: Path, smoke: bool) -> list[dict]:
    """Part 1: a row for each size and first temperature; what is there is kept."""
    kept = folder / "flow.json"
    rows = json.loads(kept.read_text()) if kept.exists() else []
    done = {(row["num_classes"], row["feature_dim"], row["hottest"]) for row in rows}
    for k, d in sizes(smoke):
        for hottest in (sphere_flow.HOT, sphere_flow.WARM):
            if (k, d, hottest) in done:
                continue
            ends = sphere_flow.flow(
                k,
                d,
                sphere_flow.falling(hottest),
                starts=2 if smoke else STARTS,
                steps=10 if smoke else STEPS,
            )
            row = {"num_classes": k, "feature_dim": d, "hottest": hottest}
            row |= {
                "best": codes.known_margin(k, d),
                "margins": ends.margins().tolist(),
            }
            row |= {"bound": sphere_flow.bound(k, sphere_flow.COLD)}
            row |= {"path": ends.path().tolist(), "spread": float(ends.spread.max())}
            rows.append(row)
            print(f"K = {k}, d = {d}, from {hottest}: {_gaps(row).min():.1e}")
            write_whole(kept, json.dumps(rows) + "\n")
    return rows


def _gaps(row: dict) -> np.ndarray:
    """How far below the best margin each start of a row ended [n]."""
    return row["best"] - np.array(row["margins"])


def judge_flows(rows: list[dict]) -> list[Verdict]:
    """Is the code found at all, from either end, and by most starts?"""
    found = {(r["num_classes"], r["feature_dim"]): np.inf for r in rows}
    for row in rows:
        size = row["num_classes"], row["feature_dim"]
        found[size] = min(found[size], _gaps(row).min() / row["bound"])
    largest, count = max(found.values()), len(rows[0]["margins"])
    verdicts = [
        Verdict(
            claim="Cross-entropy on the sphere ends in the softmax code as its "
            "temperature falls (the best start of each size)",
            source=_PAPER,
            theirs="gap below tau log(K(K-1)/log 2), derived",
            ours=f"largest gap {largest:.2g} of that",
            interval="",
            seeds=0,
            verdict="holds" if largest <= 1 else "does not",
            command=COMMAND,
            note=f"{len(found)} sizes, d = 2 to 5, K up to 20; tau = 1e-4 in the end",
        )
    ]
    for hottest, what in ((sphere_flow.HOT, "high"), (sphere_flow.WARM, "low")):
        these = [row for row in rows if row["hottest"] == hottest]
        reached = np.array([_gaps(row) <= row["bound"] for row in these])  # [R, n]
        never = [r for r, some in zip(these, reached.any(1), strict=True) if not some]
        names = ", ".join(f"({r['num_classes']}, {r['feature_dim']})" for r in never)
        interval = t_interval(reached.mean(axis=0), LEVEL)
        verdicts.append(
            Verdict(
                claim=f"Each start does, from a {what} first temperature, {hottest:g}",
                source="the theorem is on optima; descent may end elsewhere",
                theirs="all starts",
                ours=f"{100 * interval.centre:.0f} % of the starts",
                interval=f"[{100 * interval.low:.0f}, {100 * interval.high:.0f}] %",
                seeds=count,
                verdict="holds" if reached.all() else "does not",
                command=COMMAND,
                note=f"no start of {names or 'none'}; all of "
                f"{reached.all(axis=1).sum()} sizes of {len(these)}",
            )
        )
    return verdicts


def heads(folder: Path) -> Heads:
    """Part 2: the last metrics of the networks of a sweep; {} if it was not trained."""
    rows = _rows(folder)
    found: Heads = {}
    for tau in sorted({float(row["loss.temperature"]) for row in rows}, reverse=True):
        own = [row for row in rows if float(row["loss.temperature"]) == tau]
        own.sort(key=lambda row: int(row["seed"]))
        found[tau] = {
            name: np.array([float(row[key]) for row in own])
            for name, key in _METRICS.items()
        }
    return found


def _rows(folder: Path) -> list[dict[str, str]]:
    """The rows of a sweep, or none."""
    if not (folder / "sweep.csv").exists():
        return []
    with (folder / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def unconstrained(folder: Path, smoke: bool) -> dict[float, Optimum]:
    """Part 2: the unconstrained optimum found at each temperature, and at 0.

    The temperature falls through all of them; of the starts, that with the least loss
    at a temperature speaks for it.  0 stands for the solved code.
    """
    kept = folder / "unconstrained.json"
    if not kept.exists():
        k, d = (12, 4) if smoke else (CLASSES, DIM)
        starts, steps = (2, 10) if smoke else (4, 1500)
        ends = sphere_flow.flow(k, d, np.array(TAUS), starts=starts, steps=steps)
        losses, margins = ends.of_least_loss()
        losses = np.exp(losses / np.array(TAUS))
        rows = list(zip(TAUS, margins.tolist(), losses.tolist(), strict=True))
        rows.append((0.0, codes.solve(k, d, starts=2 if smoke else 32).margin, 0.0))
        write_whole(kept, json.dumps(rows) + "\n")
    return {tau: Optimum(*row) for tau, *row in json.loads(kept.read_text())}


def judge_heads(
    name: str, found: Heads, optimum: dict[float, Optimum]
) -> list[Verdict]:
    """Does GNC2 rise as the temperature falls, and does it approach the code's?"""
    verdicts, (what, data) = [], HEADS[name]
    for warm, cold in STEPS_DOWN:
        if not {warm, cold} <= found.keys():
            continue
        a, b = (found[tau]["gnc2"] for tau in (warm, cold))
        rise, low, high, _ = difference(b, a)
        theirs = f"rises towards {optimum[0.0].margin:.3f}, the code"
        if {warm, cold} <= PUBLISHED.keys():
            theirs = f"{PUBLISHED[warm]:.3g} to {PUBLISHED[cold]:.3g}"
        verdicts.append(
            Verdict(
                claim=f"{what}: GNC2 rises as the temperature falls from {warm:.3g} to "
                f"{cold:.3g}",
                source=_PAPER + ", CIFAR-100, ResNet-18",
                theirs=theirs,
                ours=f"{a.mean():.3f} to {b.mean():.3f}: by {rise:.3f}",
                interval=f"[{low:.3f}, {high:.3f}]",
                seeds=len(a),
                verdict=answer(low, high),
                command=f"launch/spherical.sh {data}",
                note=f"unconstrained optima found: {optimum[warm].margin:.3f} and "
                f"{optimum[cold].margin:.3f}",
            )
        )
    return verdicts


def lines_of_heads(heads_: dict[str, Heads], optimum: dict[float, Optimum]) -> str:
    """A row for each network, as CSV."""
    lines = [
        "run,temperature,seed,"
        + ",".join(_METRICS)
        + ",gnc2_unconstrained,loss_unconstrained,gnc2_code"
    ]
    for name, found in heads_.items():
        for tau, values in found.items():
            for seed in range(len(values["gnc2"])):
                cells = ",".join(f"{values[key][seed]:.6g}" for key in _METRICS)
                ends = ",".join(f"{x:.6g}" for x in (*optimum[tau], optimum[0.0][0]))
                lines.append(f"{name},{tau:g},{seed},{cells},{ends}")
    return "\n".join(lines) + "\n"


def lines_of_rates(folder: Path) -> str:
    """A row for each temperature and learning rate of one seed, as CSV."""
    fields = {"temperature": "loss.temperature", "rate": "optimizer.learning_rate"}
    fields |= _METRICS
    lines = [",".join(fields)]
    for row in _rows(folder):
        lines.append(",".join(f"{float(row[key]):.6g}" for key in fields.values()))
    return "\n".join(lines) + "\n"


def lines_of_flows(rows: list[dict]) -> str:
    """A row for each size and first temperature, as CSV."""
    lines = ["num_classes,feature_dim,first_temperature,best_known,margin,gap,bound"]
    lines[0] += ",share_of_starts,worst_start,spread_within"
    for row in rows:
        gaps = _gaps(row)
        cells = [row["num_classes"], row["feature_dim"], row["hottest"], row["best"]]
        cells += [max(row["margins"]), gaps.min(), row["bound"]]
        cells += [np.mean(gaps <= row["bound"]), gaps.max(), row["spread"]]
        lines.append(",".join(f"{cell:.9g}" for cell in cells))
    return "\n".join(lines) + "\n"


def draw(
    rows: list[dict],
    heads_: dict[str, Heads],
    optimum: dict[float, Optimum],
    losses: sphere_losses.Found,
) -> Figure:
    """Gap by temperature, share of the starts, GNC2 by temperature, NC2 by epoch."""
    figure = Figure(figsize=(12, 7.5), layout="constrained")
    axes = figure.subplots(2, 2)
    _draw_gaps(axes[0, 0], rows)
    _draw_shares(axes[0, 1], rows)
    if any(heads_.values()):
        _draw_heads(axes[1, 0], heads_, optimum)
    else:
        axes[1, 0].remove()  # of a smoke run
    _draw_losses(axes[1, 1], losses)
    return figure


def _draw_gaps(axis: Axes, rows: list[dict]) -> None:
    """The best start of each size, from the high temperature on."""
    these = [row for row in rows if row["hottest"] == sphere_flow.HOT]
    taus = sphere_flow.falling(sphere_flow.HOT)
    for place, d in enumerate(sorted({row["feature_dim"] for row in these})):
        for number, row in enumerate(r for r in these if r["feature_dim"] == d):
            gaps = np.maximum(row["best"] - np.array(row["path"]), 1e-7)
            label = None if number else f"d = {d}"
            axis.plot(taus, gaps, color=style.COLORS[place], lw=0.9, label=label)
    limit = [sphere_flow.bound(20, tau) for tau in taus]
    axis.plot(taus, limit, color=style.GREY, ls="--", lw=1, label="bound, K = 20")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.invert_xaxis()
    title = "Margin below the best code, best start"
    style.decorate(axis, title, x="temperature, falling", legend=True)


def _draw_shares(axis: Axes, rows: list[dict]) -> None:
    """The share of the starts that reach the code, by size, from either end."""
    names = list(dict.fromkeys((r["feature_dim"], r["num_classes"]) for r in rows))
    firsts = ((sphere_flow.HOT, style.ORANGE), (sphere_flow.WARM, style.BLUE))
    for hottest, color in firsts:
        these = [row for row in rows if row["hottest"] == hottest]
        shares = [np.mean(_gaps(row) <= row["bound"]) for row in these]
        side = 0.2 if hottest == sphere_flow.WARM else -0.2
        places = np.arange(len(these)) + side
        label = f"from temperature {hottest:g}"
        axis.bar(places, shares, 0.4, color=color, label=label)
    dims = [d for d, _ in names]
    for d in sorted(set(dims)):
        middle = np.mean([place for place, own in enumerate(dims) if own == d])
        axis.text(middle, 1.03, f"d = {d}", ha="center", fontsize=8)
        if (first := dims.index(d)) > 0:
            axis.axvline(first - 0.5, color=style.GREY, lw=0.8)
    title = "Share of random starts that reach the best code"
    style.decorate(axis, title, x="classes", legend=True)
    axis.set_ylim(0, 1.35)
    axis.set_yticks([0, 0.5, 1])
    axis.set_xticks(range(len(names)), [str(k) for _, k in names])
    axis.tick_params(axis="x", labelsize=6)
    axis.grid(visible=False, axis="x")


def _draw_heads(
    axis: Axes, heads_: dict[str, Heads], optimum: dict[float, Optimum]
) -> None:
    """GNC2 of the networks, of the unconstrained optimum, and the published."""
    code = optimum[0.0].margin
    curve = [(tau, found.margin) for tau, found in optimum.items() if tau]
    axis.axhline(code, color=style.GREY, ls="--", lw=1, label="solved code")
    axis.plot(*zip(*curve, strict=True), color=style.GREEN, label="unconstrained")
    looks = {"heads": ("Gaussian", style.BLUE), "longer": ("longer", style.ORANGE)}
    looks["cifar100"] = ("CIFAR-100", style.NOTE)
    for name, found in heads_.items():
        label, color = looks[name]
        if not found:
            continue
        each = t_interval(np.array([v["gnc2"] for v in found.values()]).T, LEVEL)
        errors = [each.centre - each.low, each.high - each.centre]
        look = {"color": color, "marker": "o", "ms": 3, "capsize": 2, "lw": 1.2}
        axis.errorbar(list(found), each.centre, errors, label=f"MLP, {label}", **look)
    axis.plot(*zip(*PUBLISHED.items(), strict=True), "x", color="black", label="paper")
    axis.set_xscale("log")
    axis.invert_xaxis()
    axis.set_ylim(0, 1.15 * code)
    title = f"GNC2, {CLASSES} classes in {DIM} dimensions"
    style.decorate(axis, title, x="temperature", legend=True)


def _draw_losses(axis: Axes, losses: sphere_losses.Found) -> None:
    """NC2 by epoch; the level that cross-entropy ends at, and the published share."""
    for (method, found), color in zip(losses.items(), style.COLORS, strict=False):
        each = t_interval(found["curve"], LEVEL, log=True)
        style.band(axis, found["epochs"], each.low, each.high, color=color)
        name = sphere_losses.METHODS[method]
        axis.plot(found["epochs"], each.centre, color=color, label=name)
    ends = losses["cross_entropy"]
    axis.axhline(ends["nc2"].mean(), color=style.GREY, ls="--", lw=1)
    at = sphere_losses.SHARE * ends["epochs"][-1]
    axis.axvline(at, color=style.NOTE, ls=":", lw=1)
    axis.set_xscale("log")
    axis.set_yscale("log")
    title = "NC2, Fashion-MNIST, MLP"
    style.decorate(axis, title, x="epoch (dotted: 7.5 %)", legend=True)


def main() -> None:
    """Computes what is missing, and writes results/spherical."""
    folder, smoke = flags(__doc__, NAME)
    folder.mkdir(parents=True, exist_ok=True)
    losses = sphere_losses.run(folder / "losses", smoke)
    rows = flows(folder, smoke)
    heads_ = {name: heads(folder / name) for name in HEADS}
    optimum = unconstrained(folder, smoke)
    found = judge_flows(rows)
    for name, of_name in heads_.items():
        found += judge_heads(name, of_name, optimum)
    found += sphere_losses.judge(losses)
    figure = draw(rows, heads_, optimum, losses)
    if smoke:
        style.save(figure, folder / f"{NAME}.png")
        print(*found, sep="\n")
        return
    write(NAME, found, figure, lines_of_flows(rows))
    write_whole(RESULTS / NAME / "heads.csv", lines_of_heads(heads_, optimum))
    write_whole(RESULTS / NAME / "rates.csv", lines_of_rates(folder / "rates"))
    write_whole(RESULTS / NAME / "losses.csv", sphere_losses.table(losses))


if __name__ == "__main__":
    main()
