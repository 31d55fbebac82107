"""Which optimizer collapses how far, at equal tuning?  And does Muon?

    python -m tests.benchmarks.studies.optimizers

The BatchNorm MLP 128-128-128 on 10,000 images of Fashion-MNIST, 80 epochs, with eight
optimizers, and with Muon whose last layer is left to AdamW.  Each gets the same
budget: six learning rates over two decades with each of two weight decays on one seed,
of which the one with the least training loss among those that fit all but 0.1 % of the
images is trained with five other seeds.  NC3 is that of the paper, the preset
`zhao2026`: |W/|W| - Mc/|Mc||.
"""

from __future__ import annotations

import runpy
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from ml_collections import ConfigDict

import ncjax
from ncjax import style
from ncjax.statistics import holm, t_interval
from tests.benchmarks.studies.harness import LEVEL, difference, flags, write
from tests.benchmarks.verdicts import Answer, Verdict

COMMAND = "python -m tests.benchmarks.studies.optimizers"
_PAPER = "Zhao, Cheng, Masarczyk & Lucchi, ICLR 2026 (arXiv 2602.16642)"
_DECAYS = (5e-4, 5e-3)
_METRICS = ("nc/nc0", "nc/nc1", "nc/nc2", "nc/nc3")
# Arm -> its fields, and the smallest learning rate tried; the largest is 100 times it.
ARMS: dict[str, tuple[dict[str, Any], float]] = {
    "sgd": ({"name": "sgd"}, 1e-2),
    "sgdw": ({"name": "sgdw"}, 1e-2),
    "adam": ({"name": "adam"}, 1e-4),
    "adamw": ({"name": "adamw"}, 1e-4),
    "signum": ({"name": "signum"}, 1e-5),
    "signumw": ({"name": "signumw"}, 1e-5),
    "lion": ({"name": "lion"}, 1e-5),
    "muon": ({"name": "muon"}, 1e-3),
    "muon, head adamw": (
        {"name": "muon", "head": "adamw", "head_learning_rate": 1e-3},
        1e-3,
    ),
}


def config_of(arm: str, smoke: bool) -> ConfigDict:
    """The configuration of an arm, but for its learning rate and decay."""
    config = runpy.run_path("configs/fashion_mlp_ce.py")["get_config"](
        "smoke" if smoke else ""
    )
    config.num_epochs = 4 if smoke else 80
    config.model.widths = (128, 128, 128)
    config.eval.num_points = 8
    config.optimizer.update(ARMS[arm][0])
    return config


def tuned_rate(arm: str, decay: float, folder: Any, smoke: bool) -> float:
    """The learning rate with the least training loss that still fits the images."""
    config, least = config_of(arm, smoke), ARMS[arm][1]
    config.seed = 1000
    config.optimizer.weight_decay = decay
    values = f"{least:g}..{100 * least:g}:{3 if smoke else 6}"
    found = ncjax.sweep(config, {"optimizer.learning_rate": values}, folder)
    loss, error = found["train/loss"], found["train/error"]
    fits = np.isfinite(loss) & (error <= max(1e-3, np.nanmin(error)))
    place = np.where(fits, loss, np.inf).argmin()
    return float(found["optimizer.learning_rate"][place])


def final(arm: str, decay: float, folder: Any, smoke: bool) -> dict[str, np.ndarray]:
    """Final metrics of the tuned arm, a value for each seed; with its rate."""
    name = f"{arm.replace(', ', '_').replace(' ', '_')}_{decay:g}"
    rate = tuned_rate(arm, decay, folder / "tune" / name, smoke)
    config = config_of(arm, smoke)
    config.num_seeds = 2 if smoke else 5
    config.optimizer.learning_rate = rate
    config.optimizer.weight_decay = decay
    history = ncjax.train(config, folder / "final" / name)
    keys = (*_METRICS, "train/error", "test/error")
    rows = [seed.rows[-1] for seed in history.seeds]
    values = {key: np.array([row[key] for row in rows]) for key in keys}
    values["nc/nc3"] = np.sqrt([row["nc/nc3_papyan"] for row in rows])
    return values | {"rate": np.full(len(rows), rate)}


Found = dict[tuple[str, float], dict[str, np.ndarray]]

# (claim, source, metric, arm that is larger, arm that is smaller, published numbers).
CLAIMS = (
    ("NC3 of AdamW is far above that of Adam", _PAPER, "nc/nc3", "adamw", "adam",
     ".78 against .29"),
    ("NC3 of SGDW is above that of SGD", _PAPER, "nc/nc3", "sgdw", "sgd",
     ".80 against .35"),
    ("NC3 of SignumW is above that of Signum", _PAPER, "nc/nc3", "signumw", "signum",
     "1.40 against .58"),
    ("NC0 of AdamW is above that of Adam", _PAPER, "nc/nc0", "adamw", "adam",
     "5.33 against .34"),
    ("NC0 of SignumW is above that of Signum", _PAPER, "nc/nc0", "signumw", "signum",
     "3186 against .78"),
    ("Muon on all layers ends nearer to the simplex (NC2) than AdamW",
     "no published number; closed form of the row sum", "nc/nc2", "adamw", "muon",
     "-"),
    ("Muon on all layers has a smaller NC3 than AdamW",
     "no published number; closed form of the row sum", "nc/nc3", "adamw", "muon",
     "-"),
    ("Muon with AdamW on the last layer has a larger NC0 than Muon on all layers",
     "closed form of the row sum", "nc/nc0", "muon, head adamw", "muon", "-"),
)  # fmt: skip


def judge(found: Found) -> list[Verdict]:
    """Each claim by a paired test over seeds, corrected over all claims of a decay."""
    rows: list[Verdict] = []
    for decay in _DECAYS:
        tests = []
        for _, _, metric, large, small, _ in CLAIMS:
            a, b = found[large, decay][metric], found[small, decay][metric]
            tests.append(difference(a, b, log=True))
        corrected = holm(np.array([test[3] for test in tests]))
        for claim, test, p in zip(CLAIMS, tests, corrected, strict=True):
            text, source, metric, large, small, published = claim
            ratio, low, high, _ = test
            verdict: Answer = "undecided"
            if p < 1 - LEVEL:
                verdict = "holds" if ratio > 1 else "does not"
            centres = [found[arm, decay][metric].mean() for arm in (large, small)]
            rows.append(
                Verdict(
                    claim=f"{text}, weight decay {decay:g}",
                    source=source,
                    theirs=published,
                    ours=f"{centres[0]:.3g} against {centres[1]:.3g}: {ratio:.3g}",
                    interval=f"[{low:.3g}, {high:.3g}]",
                    seeds=len(found[large, decay][metric]),
                    verdict=verdict,
                    command=COMMAND,
                    note=f"geometric mean of the ratio; p = {p:.2g}, corrected",
                )
            )
    return rows


def draw(found: Found) -> Figure:
    """Final NC0 to NC3 of each arm, with intervals over seeds, one colour a decay."""
    figure = Figure(figsize=(3.4 * len(_METRICS), 4), layout="constrained")
    axes = figure.subplots(1, len(_METRICS), sharey=True)
    for axis, metric in zip(axes, _METRICS, strict=True):
        for number, decay in enumerate(_DECAYS):
            for place, arm in enumerate(ARMS):
                each = t_interval(found[arm, decay][metric], LEVEL, log=True)
                height = place + 0.25 * (number - 0.5)
                look = {"color": style.COLORS[number], "lw": 1.4}
                axis.plot([each.low, each.high], [height, height], **look)
                label = f"weight decay {decay:g}" if place == 0 else None
                axis.plot(each.centre, height, "o", ms=4, label=label, **look)
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_yticks(range(len(ARMS)), list(ARMS))
        style.decorate(axis, metric.removeprefix("nc/").upper())
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center")
    return figure


def main() -> None:
    """Trains, measures, and writes results/optimizers."""
    folder, smoke = flags(__doc__, "optimizers")
    arms = [(arm, decay) for arm in ARMS for decay in _DECAYS]
    found: Found = {}
    for number, key in enumerate(arms):
        print(f"{number + 1} of {len(arms)}: {key[0]}, weight decay {key[1]:g}")
        found[key] = final(*key, folder, smoke)
    lines = ["arm,weight_decay,seed,rate," + ",".join((*_METRICS, "train", "test"))]
    for (arm, decay), values in found.items():
        keys = ("rate", *_METRICS, "train/error", "test/error")
        for seed in range(len(values["rate"])):
            cells = ",".join(f"{values[key][seed]:.6g}" for key in keys)
            lines.append(f'"{arm}",{decay:g},{seed},{cells}')
    figure = draw(found)
    if smoke:
        style.save(figure, folder / "optimizers.png")
        print(*judge(found), sep="\n")
    else:
        write("optimizers", judge(found), figure, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
