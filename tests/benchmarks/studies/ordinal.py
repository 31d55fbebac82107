"""Do networks on ordinal levels collapse as theory says, and must thresholds learn?

    python -m tests.benchmarks.studies.ordinal

MNIST as levels 0 to 9, 2,000 images, the MLP of `configs/mnist_ordinal.py`: fixed and
learned thresholds, three weight decays, and a long tail in which the digit 9 has a
twentieth of the images of 0; five seeds each.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import ncjax
from configs.mnist_ordinal import get_config
from ncjax import style
from ncjax.ordinal import of_rows
from tests.benchmarks.studies.harness import answer, difference, flags, mean, write
from tests.benchmarks.verdicts import Verdict

COMMAND = "python -m tests.benchmarks.studies.ordinal"
SOURCE = "Ma et al., NeurIPS 2025 (arXiv 2506.05801)"
TAIL = {"data.long_tail": "exp", "data.long_tail_ratio": 0.05}
LEARNED = {"classifier.learn_thresholds": True}
# Name of each group of networks -> what it changes of the config.
ARMS: dict[str, dict] = {
    "fixed, no decay": {"optimizer.weight_decay": 0.0},
    "fixed, 5e-3": {},
    "fixed, 2e-2": {"optimizer.weight_decay": 2e-2},
    "learned, 5e-3": LEARNED,
    "fixed, long tail": TAIL,
    "learned, long tail": {**TAIL, **LEARNED},
}
PAIRS = tuple((f"fixed, {x}", f"learned, {x}") for x in ("5e-3", "long tail"))
METRICS = ("nc/onc1", "nc/onc2", "nc/onc3")
COLUMNS = (
    *METRICS,
    *("nc/onc2_raw", "nc/onc2_means", "nc/order", "train/error", "train/loss"),
    *("test/error", "test/mae", "test/mae_median", "test/ece"),
)
RARE = 3  # the last levels of the long tail
Histories = dict[str, ncjax.History]


def config_of(arm: str, smoke: bool):
    """The configuration of the networks of one group."""
    config = get_config("smoke" if smoke else "")
    config.num_seeds = 2 if smoke else 5
    config.eval.num_points = 10
    config.eval.confusion = True
    for field, value in ARMS[arm].items():
        section, option = field.split(".")
        config[section][option] = value
    return config


def last(history: ncjax.History, key: str) -> np.ndarray:
    """The last value of each seed."""
    return np.array([one[key][-1] for one in history.seeds])


def recall(history: ncjax.History) -> np.ndarray:
    """Share of the examples of the last levels that are recognised, of each seed."""
    tables = np.array([one["test/confusion"][-1] for one in history.seeds])
    found = np.diagonal(tables, axis1=1, axis2=2) / tables.sum(2)
    return found[:, -RARE:].mean(1)


def verdict(claim: str, theirs: str, ours: str, **rest) -> Verdict:
    """A verdict with what all of this study have in common."""
    common = {"source": SOURCE, "command": COMMAND, "interval": "", "seeds": 5}
    return Verdict(claim=claim, theirs=theirs, ours=ours, **common | rest)


def collapse(histories: Histories) -> list[Verdict]:
    """Verdicts on order, ONC1 to ONC3, and on what the decay does to them."""
    orders = np.concatenate([last(h, "nc/order") for h in histories.values()])
    found = [
        verdict(
            "the means of all levels lie in order along w, in every network",
            "z_1 <= ... <= z_Q",
            f"in {np.sum(orders == 1)} of {len(orders)} networks",
            seeds=0,
            note="of 5 seeds in each setting",
            verdict="holds" if np.all(orders == 1) else "does not",
        )
    ]
    some = histories["fixed, 2e-2"]
    for key in METRICS[:2]:
        name = key.removeprefix("nc/").upper()
        first = np.array([one[key][0] for one in some.seeds])
        ratio, low, high, _ = difference(last(some, key), first, log=True)
        found.append(
            verdict(
                f"{name} with weight decay 2e-2 ends below a tenth of that of the "
                "first epoch",
                "tends to 0",
                f"{ratio:.3g} times, at {mean(last(some, key), log=True)[0]}",
                interval=f"[{low:.3g}, {high:.3g}]",
                verdict=answer(-high, -low, -0.1),
            )
        )
    free = histories["fixed, no decay"]
    centre, interval = mean(last(free, "nc/onc3"), log=True)
    low, high = (float(x) for x in interval.strip("[]").split(","))
    found.append(
        verdict(
            "without decay inner levels end within 5 % of half the gap from the middle "
            "of their fixed thresholds (ONC3)",
            "in the middle",
            centre,
            interval=interval,
            verdict=answer(-high, -low, -0.05),
        )
    )
    pair = last(some, "nc/onc3"), last(histories["fixed, 5e-3"], "nc/onc3")
    ratio, low, high, _ = difference(*pair, log=True)
    found.append(
        verdict(
            "a larger decay keeps inner levels further from the middle: 2e-2 against "
            "5e-3",
            "in the middle as decay vanishes",
            f"{ratio:.3g} times",
            interval=f"[{low:.3g}, {high:.3g}]",
            verdict=answer(low, high, 1.0),
        )
    )
    return found


def thresholds(histories: Histories) -> list[Verdict]:
    """Verdicts on fixed against learned thresholds, paired by seed."""
    found = []
    for fixed, learned in PAIRS:
        about = fixed.removeprefix("fixed, ")
        about = about if "long" in about else f"weight decay {about}"
        pair = histories[fixed], histories[learned]
        for key, name, unit in (
            ("test/error", "a smaller test error", 100),
            ("test/mae", "a smaller mean absolute error", 1),
        ):
            shift, low, high, p = difference(*(unit * last(h, key) for h in pair))
            found.append(
                verdict(
                    f"fixed thresholds give {name} than learned ones ({about})",
                    "fixed are better",
                    f"{shift:+.3g}{' points' if unit == 100 else ''} "
                    f"({unit * last(pair[0], key).mean():.3g} against "
                    f"{unit * last(pair[1], key).mean():.3g})",
                    interval=f"[{low:.3g}, {high:.3g}]",
                    verdict=answer(-high, -low),
                    note=f"paired, p = {p:.2g}",
                )
            )
    pair = tuple(recall(histories[arm]) for arm in PAIRS[-1])
    shift, low, high, p = difference(*(100 * x for x in pair))
    found.append(
        verdict(
            f"fixed thresholds recognise more of the {RARE} rarest levels (long tail)",
            "fixed are more sensitive to minorities",
            f"{shift:+.3g} points ({100 * pair[0].mean():.3g} % against "
            f"{100 * pair[1].mean():.3g} %)",
            interval=f"[{low:.3g}, {high:.3g}]",
            verdict=answer(low, high),
            note=f"paired, p = {p:.2g}",
        )
    )
    return found


def levels(folder: Path, arm: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Latent number of the mean of each level [K], and the thresholds [K - 1]."""
    run = ncjax.load(folder / arm.replace(", ", "_").replace(" ", "_"), seed=seed)
    direction, cuts = of_rows(*run.classifier)
    return np.asarray(run.class_means @ direction), np.asarray(cuts)


def draw(histories: Histories, folder: Path) -> Figure:
    """Above ONC1 to ONC3 over epochs; below the levels between their thresholds."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplots(2, 3)
    for column, metric in enumerate(METRICS):
        for number, (arm, history) in enumerate(histories.items()):
            look = {"color": style.COLORS[number % len(style.COLORS)], "lw": 1.4}
            values = np.array([one[metric] for one in history.seeds])
            centre = np.exp(np.log(values).mean(0))
            dashes = "--" if arm.startswith("learned") else "-"
            axes[0, column].loglog(history["epoch"], centre, dashes, label=arm, **look)
        style.decorate(axes[0, column], metric.removeprefix("nc/").upper(), x="epoch")
    axes[0, 0].legend(fontsize=7, frameon=False)
    for axis, arm in zip(
        axes[1], ("fixed, no decay", "fixed, 5e-3", "learned, 5e-3"), strict=True
    ):
        for seed in range(len(histories[arm].seeds)):
            z, cuts = levels(folder, arm, seed)
            axis.plot(z, np.full(len(z), seed), "o", ms=4, color=style.BLUE)
            axis.plot(cuts, np.full(len(cuts), seed), "|", ms=12, color=style.GREY)
        style.decorate(axis, f"z of the levels: {arm}", x="z; bars: thresholds")
        axis.set_yticks(range(len(histories[arm].seeds)))
        axis.set_ylabel("seed", fontsize=9)
    note = "above: geometric means of the seeds"
    figure.suptitle(note, fontsize=9, color=style.NOTE, x=0.01, ha="left")
    return figure


def table(histories: Histories) -> str:
    """The last values of each network, as CSV."""
    lines = ["thresholds,setting,seed," + ",".join([*COLUMNS, "recall of the rarest"])]
    for arm, history in histories.items():
        rare = recall(history)
        for seed, one in enumerate(history.seeds):
            values = [*(one[key][-1] for key in COLUMNS), rare[seed]]
            numbers = ",".join(f"{value:.6g}" for value in values)
            lines.append(f"{arm.replace(', ', ',')},{seed},{numbers}")
    return "\n".join([*lines, ""])


def main() -> None:
    """Trains, measures, and writes results/ordinal."""
    folder, smoke = flags(__doc__, "ordinal")
    histories = {
        arm: ncjax.train(
            config_of(arm, smoke), folder / arm.replace(", ", "_").replace(" ", "_")
        )
        for arm in ARMS
    }
    figure = draw(histories, folder)
    found = [*collapse(histories), *thresholds(histories)]
    if smoke:
        style.save(figure, folder / "ordinal.png")
        return
    write("ordinal", found, figure, table(histories))


if __name__ == "__main__":
    main()
