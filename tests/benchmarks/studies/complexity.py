"""Does what lowers geometric complexity also lower CDNV, and help on new classes?

    launch/complexity.sh
    python -m tests.benchmarks.studies.complexity

1. Digits, an MLP 64-64-64 with and without BatchNorm, three learning rates, batch sizes
   and weight decays: the rank correlation of each with the geometric complexity of the
   features and with CDNV over the 27 settings, by seed.
2. Four weights of the penalty on the geometric complexity, for networks that see the
   digits 0 to 6: complexity, CDNV, and how well the nearest mean of five examples each
   of 7, 8 and 9 tells these apart, beside the bound that theory has for the error.
"""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from scipy import stats

import ncjax
from ncjax import style
from ncjax.config import validate
from ncjax.config.binding import load_data
from ncjax.io import write_whole
from ncjax.statistics import t_interval
from ncjax.sweeps.table import read_sweep
from ncjax.training.experiment import Experiment
from ncjax.training.plan import Members
from ncjax.transfer import classes, directional_cdnv, episodes, few_shot_bound
from tests.benchmarks.studies.harness import LEVEL, answer, difference, flags, write
from tests.benchmarks.verdicts import Verdict

COMMAND = "python -m tests.benchmarks.studies.complexity"
SOURCE = "Munn, Dherin & Gonzalvo, NeurIPS 2024"
GC, CDNV = "probe/geometric_complexity/features/gc", "nc/cdnv"
TITLES = {GC: "geometric complexity", CDNV: "CDNV"}
# Field -> its name, and the published sign of its effect on both.
FIELDS = {
    "optimizer.learning_rate": ("learning rate", -1),
    "batch_size": ("batch size", 1),
    "optimizer.weight_decay": ("weight decay", -1),
}
SHOWN = ("optimizer.learning_rate", "batch_size", "optimizer.weight_decay")
PENALTIES = (0.0, 1e-4, 1e-3, 1e-2)
SEEDS, SHOTS, EPISODES = 5, 5, 200
NORMS = {True: "BatchNorm", False: "no BatchNorm"}


def signs(settings) -> list[Verdict]:
    """Rank correlations over the settings, by seed, against the published signs."""
    found = []
    for norm, who in NORMS.items():
        for field, (name, sign) in FIELDS.items():
            for metric, title in TITLES.items():
                each = correlations(settings, norm, field, metric)
                way = "lower" if sign < 0 else "higher"
                found.append(
                    verdict(
                        f"{who}: a larger {name} goes with a {way} {title}",
                        "yes, in its main text",
                        each,
                        sign,
                    )
                )
        each = correlations(settings, norm, GC, CDNV)
        claim = f"{who}: over all settings {TITLES[GC]} and CDNV rise together"
        found.append(verdict(claim, "yes", each, 1))
    return found


def correlations(settings, norm: bool, first: str, second: str) -> np.ndarray:
    """Spearman's correlation of two columns over the settings, for each seed."""
    these = settings["model.batch_norm"].astype(str) == str(norm)
    seeds = settings["seed"]
    columns = [settings[name].astype(float) for name in (first, second)]
    return np.array(
        [
            stats.spearmanr(*(x[these & (seeds == seed)] for x in columns)).statistic
            for seed in np.unique(seeds)
        ]
    )


def verdict(claim: str, theirs: str, each: np.ndarray, sign: int) -> Verdict:
    """Whether correlations have a sign."""
    found = t_interval(each, LEVEL)
    low, high = sorted((sign * found.low, sign * found.high))
    return Verdict(
        claim=claim,
        source=SOURCE,
        theirs=theirs,
        ours=f"rank correlation {found.centre:.2f}",
        interval=f"[{found.low:.2f}, {found.high:.2f}]",
        seeds=len(each),
        verdict=answer(low, high),
        command=COMMAND,
    )


def penalised(of_new: dict[str, dict[str, list[float]]]) -> list[Verdict]:
    """What the largest penalty does to complexity and CDNV."""
    found = []
    for who, values in of_new.items():
        for key, title in (("gc", TITLES[GC]), ("cdnv", TITLES[CDNV])):
            most, none = (at_weight(values, key, w) for w in (PENALTIES[-1], 0.0))
            ratio, low, high, _ = difference(most, none, log=True)
            found.append(
                Verdict(
                    claim=f"{who}: the penalty on {TITLES[GC]} lowers {title}",
                    source=SOURCE,
                    theirs="yes",
                    ours=f"{ratio:.3g} times at weight {PENALTIES[-1]:g}",
                    interval=f"[{low:.3g}, {high:.3g}]",
                    seeds=SEEDS,
                    verdict=answer(-high, -low, -1),
                    command=COMMAND,
                )
            )
    return found


def at_weight(values: dict[str, list[float]], key: str, weight: float) -> np.ndarray:
    """The values of the networks with one weight of the penalty, by seed."""
    return np.array(values[key])[np.array(values["penalty"]) == weight]


def config_of(norm: bool, smoke: bool):
    """Networks that see the digits 0 to 6."""
    config = ncjax.default()
    config.data.classes = tuple(range(7))
    config.hierarchy.name = "none"
    config.model.widths, config.model.batch_norm = (64, 64, 64), norm
    config.num_epochs = 5 if smoke else 150
    config.num_seeds = len(PENALTIES) * SEEDS
    config.optimizer.weight_decay = 2e-3
    config.eval.probes, config.eval.gc_method = ("geometric_complexity",), "exact"
    return config


def transferred(norm: bool, smoke: bool) -> dict[str, list[float]]:
    """For each network its penalty, GC, and errors and bounds on the digits 7 to 9."""
    config = config_of(norm, smoke)
    weights = np.repeat(PENALTIES, SEEDS)
    members = Members(
        tuple(range(SEEDS)) * len(PENALTIES),
        {"loss.gc_penalty": tuple(map(float, weights))},
    )
    experiment = Experiment(validate(config), load_data(config), members=members)
    state = experiment.init()
    for epoch in range(1, config.num_epochs + 1):
        state, _ = experiment.epoch(state, epoch)
    measured = experiment.evaluate(state)
    config.data.classes = (7, 8, 9)
    new = load_data(config).train
    network = experiment.network

    def tried(variables):
        features = network.features(variables, new.images)
        of = classes(features, new.labels, 3)
        few = np.stack([np.flatnonzero(new.labels == k)[:100] for k in range(3)])
        key = jax.random.key(0)
        errors = episodes(features[few], key, shots=SHOTS, number=EPISODES)
        axes = directional_cdnv(of)
        return {
            "error": errors.mean(),
            "worst": errors.max(),
            "bound": few_shot_bound(of, SHOTS),
            "directional": jax.numpy.nanmean(axes),
        }

    found = jax.jit(jax.vmap(tried))(network.variables(state))
    found |= {"gc": measured[GC], "cdnv": measured[CDNV], "penalty": weights}
    found["train_error"] = measured["train/error"]
    return {key: np.asarray(value).tolist() for key, value in found.items()}


def few_shots(of_new: dict[str, dict[str, list[float]]]) -> list[Verdict]:
    """The bound on the error with new classes, and what the penalty does to it."""
    found = []
    for who, values in of_new.items():
        error, bound = np.array(values["error"]), np.array(values["bound"])
        worst = np.array(values["worst"])
        # It is a bound on the mean; a single episode may break it.
        broken = int((worst > bound).sum())
        episodes_too = (
            f"{broken} have an episode beyond it" if broken else "all episodes"
        )
        found.append(
            Verdict(
                claim=f"{who}: the bound on the {SHOTS}-shot error holds",
                source="Luthra, Salunkhe & Galanti, ICML 2026, and `ncjax.transfer`",
                theirs="the mean error is at most the bound",
                ours=f"in {(error <= bound).sum()} of {len(error)} networks, "
                f"{episodes_too}; the mean error is "
                f"{100 * error.mean():.1f} %, the largest of an episode "
                f"{100 * worst.max():.0f} %, the bound {100 * bound.mean():.0f} %",
                interval="",
                seeds=0,
                verdict="holds" if (error <= bound).all() else "does not",
                command=COMMAND,
                note=f"new classes, mean over {EPISODES} episodes of each network",
            )
        )
        most, none = (at_weight(values, "error", w) for w in (PENALTIES[-1], 0.0))
        gap, low, high, _ = difference(most, none)
        found.append(
            Verdict(
                claim=f"{who}: the penalty lowers the {SHOTS}-shot error",
                source=SOURCE,
                theirs="yes",
                ours=f"{100 * gap:.2g} % at weight {PENALTIES[-1]:g}",
                interval=f"[{100 * low:.2g}, {100 * high:.2g}]",
                seeds=SEEDS,
                verdict=answer(-high, -low),
                command=COMMAND,
            )
        )
    return found


def draw(settings, of_new: dict[str, dict[str, list[float]]]) -> Figure:
    """CDNV over complexity for all settings and with the penalty; few-shot errors."""
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    axes = figure.subplots(2, 3)
    for row, (norm, who) in zip(axes, NORMS.items(), strict=True):
        these = settings["model.batch_norm"].astype(str) == str(norm)
        rates = settings["optimizer.learning_rate"].astype(float)
        for number, rate in enumerate(np.unique(rates)):
            chosen = these & (rates == rate)
            x, y = settings[GC][chosen], settings[CDNV][chosen]
            look = {"color": style.COLORS[number], "ms": 4, "label": f"{rate:g}"}
            row[0].loglog(x, y, "o", **look)
        for number, weight in enumerate(PENALTIES):
            look = {"color": style.COLORS[number], "ms": 4, "label": f"{weight:g}"}
            gc, cdnv, error = (
                at_weight(of_new[who], key, weight) for key in ("gc", "cdnv", "error")
            )
            row[1].loglog(gc, cdnv, "o", **look)
            row[2].semilogx(gc, error, "o", **look)
        style.decorate(row[0], f"{who}: CDNV", x=TITLES[GC])
        style.decorate(row[1], f"{who}: CDNV with the penalty", x=TITLES[GC])
        style.decorate(row[2], f"{who}: {SHOTS}-shot error of 7, 8, 9", x=TITLES[GC])
        row[0].legend(title="learning rate", fontsize=8, frameon=False)
        row[1].legend(title="weight of the penalty", fontsize=8, frameon=False)
    for axis in axes.flat:
        logged = (
            [axis.xaxis, axis.yaxis] if axis.get_yscale() == "log" else [axis.xaxis]
        )
        for ruler in logged:  # less than two decades: 2 and 5 are named too
            ruler.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ruler.set_major_formatter(FuncFormatter(lambda x, place: f"{x:g}"))
            ruler.set_minor_formatter(NullFormatter())
    note = "a point for each network"
    figure.suptitle(note, fontsize=9, color=style.NOTE, x=0.01, ha="left")
    return figure


def table(settings, of_new: dict[str, dict[str, list[float]]]) -> str:
    """What each network has found, as CSV."""
    head = "part,batch_norm,learning_rate,batch_size,weight_decay,gc_penalty,seed"
    lines = [f"{head},train_error,gc,cdnv,few_shot_error,worst_episode,"]
    lines[0] += "bound,directional_cdnv"
    for row in settings.rows:
        fields = [str(row[name]) for name in ("model.batch_norm", *SHOWN)]
        values = (f"{float(row[key]):.6g}" for key in ("train/error", GC, CDNV))
        lines.append(",".join(["settings", *fields, "0", str(row["seed"]), *values]))
        lines[-1] += ",,,,"
    for who, few in of_new.items():
        for i, weight in enumerate(few["penalty"]):
            keys = (
                *("train_error", "gc", "cdnv"),
                *("error", "worst", "bound", "directional"),
            )
            values = ",".join(f"{few[key][i]:.6g}" for key in keys)
            place = f"penalty,{who == NORMS[True]},0.05,128,0.002,{weight:g}"
            lines.append(f"{place},{i % SEEDS},{values}")
    return "\n".join([*lines, ""])


def kept(folder: Path, norm: bool, smoke: bool) -> dict[str, list[float]]:
    """What `transferred` finds, or has found."""
    place = folder / f"transfer_{norm}.json"
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(place, json.dumps(transferred(norm, smoke)))
    return json.loads(place.read_text())


def main() -> None:
    """Reads the sweep, trains for part 2, and writes results/complexity."""
    folder, smoke = flags(__doc__, "complexity")
    of_new = {who: kept(folder, norm, smoke) for norm, who in NORMS.items()}
    if smoke:
        print(*few_shots(of_new), sep="\n")
        return
    settings = read_sweep(folder / "settings")
    found = [*signs(settings), *penalised(of_new), *few_shots(of_new)]
    write("complexity", found, draw(settings, of_new), table(settings, of_new))


if __name__ == "__main__":
    main()
