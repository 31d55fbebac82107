"""Are the features of two labels the sum of those of one, in trained networks?

    launch/sets.sh                            # the networks
    python -m tests.benchmarks.studies.sets   # table, figure and verdicts

Three networks on one or two MNIST digits in an image, five seeds each, beside the
optimum of the unconstrained-features model that has the loss of the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

import ncjax
from ncjax import multilabel, style
from ncjax.data import pair_sets
from ncjax.statistics import t_interval
from ncjax.ufm.theory.pick_all_label import optimum_of_loss
from tests.benchmarks.harness import RESULTS
from tests.benchmarks.studies.harness import LEVEL, answer, difference, flags, write
from tests.benchmarks.verdicts import Answer, Verdict

COMMAND = "launch/sets.sh && python -m tests.benchmarks.studies.sets"
SOURCE = "Li et al., ICML 2024"
MAIN = "pick_all_label"
RUNS = {
    MAIN: "pick-all-label",
    "plain": "pick-all-label without BatchNorm",
    "bce": "binary cross-entropy",
}
METRICS = (
    *("nc/nc1", "nc/nc2", "nc/nc3", "nc/set_angle", "nc/set_angle_wrong"),
    *("nc/set_variability", "nc/sum_unexplained", "nc/set_scale"),
    *("train/error", "train/set_error", "train/loss", "test/error", "test/set_error"),
    "test/sum_unexplained",
)
OWN = ("theory_scale", "li2024_angle", "li2024_ratio")
PIXELS = ("set_angle", "set_angle_wrong", "set_variability", "set_scale")
SIZES = (3000, 12000, 60000)  # images whose pixels are measured
NEAR = 10.0  # degrees that are taken for a sum


def per_set(dataset) -> tuple[float, float]:
    """Training examples of each label alone, and of each two labels together."""
    sizes, k = dataset.train.labels.sum(1), dataset.num_classes
    return np.sum(sizes == 1) / k, np.sum(sizes == 2) / (k * (k - 1) / 2)


def wrong_in_theory(k: int) -> float:
    """Mean angle of a sum of two vectors of a simplex to the sums of two others."""
    shared, apart = 2 * (k - 2), (k - 2) * (k - 3) / 2
    length = 2 - 4 / k
    cosines = (1 - 4 / k) / length, -4 / k / length
    angles = np.rad2deg(np.arccos(cosines))
    return (shared * angles[0] + apart * angles[1]) / (shared + apart)


def read(folder: Path) -> tuple[list[ncjax.History], dict[str, np.ndarray]]:
    """The history of every seed of a run, and their last values by name [S]."""
    loaded = [ncjax.load(folder, seed=seed) for seed in range(5)]
    found = {key: np.array([one.history[key][-1] for one in loaded]) for key in METRICS}
    extra: dict[str, list[float]] = {name: [] for name in OWN}
    for one, loss in zip(loaded, found["train/loss"], strict=True):
        theirs = multilabel.set_angles(one.moments, multilabel.PRESETS["li2024"])
        extra["li2024_angle"].append(float(theirs["set_angle"]))
        extra["li2024_ratio"].append(float(theirs["set_angle_ratio"]))
        scale = np.nan
        if one.config.loss.name == "pick_all_label":
            sizes = per_set(one.dataset)
            scale = optimum_of_loss(one.dataset.num_classes, sizes, loss).sum_scales[1]
        extra["theory_scale"].append(scale)
    return [one.history for one in loaded], found | {
        name: np.array(x) for name, x in extra.items()
    }


def of_images(number: int) -> dict[str, np.ndarray]:
    """Angle and variability of the pixels of so many images, in five draws [S]."""
    take = jax.jit(multilabel.SetMoments.update)
    rows = []
    for seed in range(5):
        train = pair_sets(source="mnist", train_size=number, seed=seed).train
        moments = multilabel.SetMoments.empty(10, train.images[0].size)
        for part in range(0, number, 3000):
            pixels = train.images[part : part + 3000].reshape(3000, -1) / np.float32(
                255
            )
            moments = take(moments, pixels, train.labels[part : part + 3000])
        rows.append(multilabel.measure(moments, only=PIXELS))
    return {key: np.array([float(row[key]) for row in rows]) for key in PIXELS}


def sums(found: Mapping[str, Mapping[str, np.ndarray]]) -> list[Verdict]:
    """Whether sets are near their sums, for each of the networks."""
    claims = []
    for name, title in RUNS.items():
        values = found[name]
        angle = t_interval(values["nc/set_angle"], LEVEL)
        claims.append(
            _verdict(
                f"{title}: means of two labels are within {NEAR:g} degrees of the sum "
                "of their means",
                "0 degrees in theory",
                f"{angle.centre:.3g} degrees",
                (angle.low, angle.high),
                answer(-angle.high, -angle.low, -NEAR),
                f"training error at most {100 * values['train/error'].max():.2g} %",
            )
        )
    return claims


def images() -> tuple[Verdict, str]:
    """Whether a small angle is a sign of collapse: that of the images themselves."""
    found = {number: of_images(number) for number in SIZES}
    lines = ["images,seed," + ",".join(PIXELS)]
    for number, values in found.items():
        for seed in range(5):
            row = ",".join(f"{values[key][seed]:.6g}" for key in PIXELS)
            lines.append(f"{number},{seed},{row}")
    means = [f"{values['set_angle'].mean():.3g}" for values in found.values()]
    angle = t_interval(found[SIZES[-1]]["set_angle"], LEVEL)
    verdict = _verdict(
        f"{SIZES[-1]} images themselves, no network: means of two labels are more than "
        f"{NEAR:g} degrees from the sums, so that a small angle is a sign of collapse",
        "nothing is said of it",
        f"{angle.centre:.3g} degrees",
        (angle.low, angle.high),
        answer(angle.low, angle.high, NEAR),
        f"of {', '.join(map(str, SIZES))} images {', '.join(means)}: chance alone",
    )
    return verdict, "\n".join([*lines, ""])


def wrong_sums(found: Mapping[str, Mapping[str, np.ndarray]]) -> list[Verdict]:
    """How far wrong sums are, and what is left of it as published, not centred."""
    expected = wrong_in_theory(10)
    wrong = t_interval(found[MAIN]["nc/set_angle_wrong"], LEVEL)
    claims = [
        _verdict(
            f"{RUNS[MAIN]}: other sums are as far as a simplex has them, to 1 degree",
            f"{expected:.1f} degrees",
            f"{wrong.centre:.1f} degrees",
            (wrong.low, wrong.high),
            within(wrong.low - expected, wrong.high - expected, 1.0),
        )
    ]
    for name, title in RUNS.items():
        values = found[name]
        ratio = t_interval(values["li2024_ratio"], LEVEL)
        claims.append(
            _verdict(
                f"{title}: as published, not centred, the angle is at most "
                f"{NEAR / 90:.2f} of that to all sums",
                "0 in theory",
                f"{ratio.centre:.2g}",
                (ratio.low, ratio.high),
                answer(-ratio.high, -ratio.low, -NEAR / 90),
                f"{values['li2024_angle'].mean():.3g} degrees; centred "
                f"{(values['nc/set_angle'] / values['nc/set_angle_wrong']).mean():.2g}",
            )
        )
    return claims


def lengths(found: Mapping[str, Mapping[str, np.ndarray]]) -> list[Verdict]:
    """Whether sets are as long as the optimum with the loss of the network has them."""
    claims = []
    for name in (MAIN, "plain"):
        values = found[name]
        gap, low, high, _ = difference(values["nc/set_scale"], values["theory_scale"])
        claims.append(
            _verdict(
                f"{RUNS[name]}: in units of their sums, sets are as long as the "
                "optimum with the loss of the network has them, to 0.02",
                f"s_2/s_1 = {values['theory_scale'].mean():.3f}, derived",
                f"{values['nc/set_scale'].mean():.3f}, {gap:+.3f}",
                (low, high),
                within(low, high, 0.02),
            )
        )
    return claims


def within(low: float, high: float, most: float) -> Answer:
    """Whether a difference with this interval is at most so large."""
    if max(-low, high) <= most:
        return "holds"
    return "does not" if low > most or high < -most else "undecided"


def _verdict(claim, theirs, ours, ends, verdict, note="") -> Verdict:
    interval = f"[{ends[0]:.3g}, {ends[1]:.3g}]"
    return Verdict(claim, SOURCE, theirs, ours, interval, 5, verdict, COMMAND, note)


def draw(histories: Mapping[str, list[ncjax.History]]) -> Figure:
    """Angles, NC1 and the scale of sets over the epochs, means of the seeds."""
    figure = Figure(figsize=(10.5, 3.4), layout="constrained")
    axes = figure.subplots(1, 3)
    keys = "nc/set_angle", "nc/nc1", "nc/set_scale"
    for (name, seeds), color in zip(histories.items(), style.COLORS):
        epochs = seeds[0]["epoch"]
        mean = {key: np.mean([one[key] for one in seeds], 0) for key in METRICS}
        for axis, key in zip(axes, keys):
            axis.plot(epochs, mean[key], color=color, lw=1.4, label=RUNS[name])
        axes[0].plot(epochs, mean["nc/set_angle_wrong"], color=color, lw=1, ls="--")
    axes[0].axhline(NEAR, color=style.GREY, lw=1, ls=":")
    for axis, title in zip(
        axes,
        (
            "Degrees to the sum (dashed: to wrong sums)",
            "NC1 of single labels",
            "Length of sets in units of sums",
        ),
    ):
        axis.set_xscale("log")
        style.decorate(axis, title, x="epoch")
    for axis in axes[:2]:
        axis.set_yscale("log")
    axes[2].legend(frameon=False, fontsize=8)
    return style.for_page(figure, None)


def table(found: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """The last values of each network, as CSV."""
    columns = (*METRICS, *OWN)
    lines = ["run,seed," + ",".join(columns)]
    for name, values in found.items():
        for seed in range(len(values[columns[0]])):
            row = ",".join(f"{values[key][seed]:.6g}" for key in columns)
            lines.append(f"{name},{seed},{row}")
    return "\n".join([*lines, ""])


def main() -> None:
    """Reads the runs, and writes results/sets."""
    folder, _ = flags(__doc__, "sets")
    read_all = {name: read(folder / name) for name in RUNS}
    found = {name: values for name, (_, values) in read_all.items()}
    histories = {name: history for name, (history, _) in read_all.items()}
    of_pixels, rows = images()
    claims = [*sums(found), of_pixels, *wrong_sums(found), *lengths(found)]
    (RESULTS / "sets").mkdir(exist_ok=True)
    (RESULTS / "sets" / "images.csv").write_text(rows)
    write("sets", claims, draw(histories), table(found))


if __name__ == "__main__":
    main()
