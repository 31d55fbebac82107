"""Runs side by side: statistics, grouping, tables, curves, errors."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ncjax.cli.compare import main
from ncjax.comparison import CompareError, compare
from ncjax.comparison.groups import IGNORED, name
from ncjax.comparison.runs import complete
from ncjax.comparison.tables import cell, plus_minus
from ncjax.config import default, resolved
from ncjax.metrics import METRICS, describe
from ncjax.options import flat
from ncjax.runs import plots
from ncjax.statistics import holm, paired, smallest_p, t_interval

ROOT = Path(__file__).parents[2]


def row(epoch, **more):
    """A measured epoch; severity stands for every metric that may be undefined."""
    return {
        "epoch": epoch,
        "running/loss": 1.0,
        "train/error": 0.0,
        "test/error": 0.1,
        "nc/nc1": 1e-3,
        "nc/nc2": 0.5,
        "test/mistake_severity": 1.5,
        **{key.replace("__", "/"): value for key, value in more.items()},
    }


def write(path, rows, seed=0, **changes):
    """A folder of a run; `changes` replace fields, named with __ for the dot."""
    config = json.loads(json.dumps(resolved(default())))
    config["seed"] = seed
    config["num_epochs"] = int(rows[-1]["epoch"]) if rows else 9
    for field, value in changes.items():
        section, _, option = field.partition("__")
        if option:
            config[section][option] = value
        else:
            config[section] = value
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(config))
    lines = [json.dumps(r) for r in rows]
    lines.insert(0, json.dumps({"epoch": 1, "running/loss": 2.0}))  # not measured
    (path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    return path


SOFT = {"name": "soft_labels", "beta": 4.0}


@pytest.fixture
def runs(tmp_path):
    """Two groups: 4 seeds of cross-entropy, 3 of soft labels, seeds 0, 1, 2 common."""
    folder = tmp_path / "runs"
    errors = {"ce": [0.10, 0.12, 0.14, 0.2], "soft": [0.11, 0.15, 0.16]}
    nc1 = {"ce": [1e-3, 2e-3, 4e-3, 1e-2], "soft": [1e-2, 3e-2, 2e-2]}
    for kind, loss in (("ce", None), ("soft", SOFT)):
        for seed, (error, value) in enumerate(zip(errors[kind], nc1[kind])):
            end = row(30, test__error=error, nc__nc1=value)
            changes = {} if loss is None else {"loss": loss}
            write(folder / f"{kind}{seed}", [row(2), row(9), end], seed, **changes)
    return folder


# Statistics.


def test_t_interval_by_hand():
    # Mean 2, s = 1, n = 3, t(0.975; 2) = 4.302653.
    found = t_interval(np.array([1.0, 2.0, 3.0]), 0.95)
    assert (found.count, found.centre) == (3, 2)
    np.testing.assert_allclose(found.high - 2, 4.302652729911275 / math.sqrt(3))
    np.testing.assert_allclose(2 - found.low, found.high - 2)


def test_t_interval_is_that_of_scipy_along_the_first_axis():
    values = np.random.default_rng(0).normal(3, 1, (5, 7))
    found = t_interval(values, 0.9)
    wanted = stats.t.interval(
        0.9, 4, values.mean(axis=0), stats.sem(values, axis=0, ddof=1)
    )
    np.testing.assert_allclose((found.low, found.high), wanted)


def test_t_interval_on_the_log_scale_is_multiplicative():
    values = np.array([1e-4, 1e-2])
    found = t_interval(values, 0.95, log=True)
    np.testing.assert_allclose(found.centre, 1e-3)
    factor = math.exp(stats.t.ppf(0.975, 1) * np.log(10) * math.sqrt(2) / math.sqrt(2))
    np.testing.assert_allclose(found.high, 1e-3 * factor)
    np.testing.assert_allclose(found.low, 1e-3 / factor)
    scaled = t_interval(1000 * values, 0.95, log=True)
    np.testing.assert_allclose(scaled.high, 1000 * found.high)


def test_t_interval_leaves_out_what_is_undefined():
    values = np.array([[1.0, np.nan, np.nan], [3.0, 2.0, np.nan]])
    found = t_interval(values, 0.95)
    np.testing.assert_array_equal(found.count, [2, 1, 0])
    np.testing.assert_array_equal(found.centre, [2, 2, np.nan])
    np.testing.assert_array_equal(np.isnan(found.low), [False, True, True])
    zero = t_interval(np.array([0.0, 1.0]), 0.95, log=True)
    assert (zero.count, zero.centre) == (2, 0)
    assert math.isnan(zero.low)


def test_t_interval_covers():
    values = np.random.default_rng(1).normal(size=(4, 20_000))
    found = t_interval(values, 0.8)
    inside = (found.low < 0) & (found.high > 0)
    assert abs(inside.mean() - 0.8) < 0.01


def test_holm_against_known_values():
    # Holm (1979) by hand: 0.01 * 4, 0.02 * 3, 0.03 * 2, and max(0.04, 0.06).
    np.testing.assert_allclose(
        holm(np.array([0.04, 0.01, 0.03, 0.02])), [0.06, 0.04, 0.06, 0.06]
    )
    np.testing.assert_allclose(holm(np.array([0.6, 0.7])), [1, 1])
    np.testing.assert_allclose(
        holm(np.array([np.nan, 0.01, np.nan, 0.04])), [np.nan, 0.02, np.nan, 0.04]
    )
    assert holm(np.array([])).size == 0


def test_holm_is_monotone_and_between_raw_and_bonferroni():
    p = np.random.default_rng(2).uniform(size=50) ** 3
    corrected = holm(p)
    order = np.argsort(p)
    assert (np.diff(corrected[order]) >= 0).all()
    assert (corrected >= p).all()
    assert (corrected <= np.minimum(1, 50 * p)).all()


def test_paired_t_is_that_of_scipy():
    rng = np.random.default_rng(3)
    a, b = np.exp(rng.normal(size=(2, 6)))
    wanted = stats.ttest_rel(a, b)
    found = paired(a, b, 0.9)
    assert (found.count, found.note) == (6, "")
    np.testing.assert_allclose(found.p, wanted.pvalue)
    np.testing.assert_allclose(found.difference, (a - b).mean())
    np.testing.assert_allclose((found.low, found.high), wanted.confidence_interval(0.9))

    wanted = stats.ttest_rel(np.log(a), np.log(b))
    found = paired(a, b, 0.9, log=True)
    np.testing.assert_allclose(found.p, wanted.pvalue)
    np.testing.assert_allclose(
        (found.low, found.high), np.exp(wanted.confidence_interval(0.9))
    )
    swapped = paired(b, a, 0.9, log=True)
    np.testing.assert_allclose(swapped.difference, 1 / found.difference)
    np.testing.assert_allclose(swapped.p, found.p)


def test_wilcoxon_is_exact_and_has_a_floor():
    a = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    found = paired(a + np.array([0.1, 0.2, 0.3, 0.4, 0.5]), a, 0.95, test="wilcoxon")
    assert found.p == smallest_p(5) == 0.0625
    zeros = paired(a + np.array([0, 1, -2, 3, 4]), a, 0.95, test="wilcoxon")
    assert 0 < zeros.p <= 1


@pytest.mark.parametrize("test", ["t", "wilcoxon"])
def test_paired_without_variance(test):
    same = np.array([0.1, 0.2, 0.3])
    found = paired(same, same, 0.95, test=test)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
    # The same difference up to float32 rounding is no evidence beyond all bounds.
    values = np.array([3, 5], np.float32) / np.float32(360)
    shifted = np.array([1, 3], np.float32) / np.float32(360)
    found = paired(values, shifted, 0.95, test=test)
    assert math.isnan(found.p)
    assert "same difference in every seed" in found.note
    np.testing.assert_allclose(found.difference, 2 / 360, rtol=1e-6)
    assert paired(same, same, 0.95, log=True, test=test).difference == 1


def test_paired_with_too_little():
    found = paired(np.array([1.0, np.nan, 3.0]), np.array([2.0, 2.0, np.nan]), 0.95)
    assert (found.count, found.difference) == (1, -1)
    assert math.isnan(found.p)
    assert found.note == "no test: 1 common seed"
    found = paired(np.array([]), np.array([]), 0.95)
    assert (found.count, found.note) == (0, "no test: 0 common seeds")
    found = paired(np.array([0.0, 1.0]), np.array([1.0, 2.0]), 0.95, log=True)
    assert math.isnan(found.p)
    assert "no logarithm" in found.note


# Groups and their names.


def test_names_say_what_differs():
    cross_entropy = {"loss.name": "cross_entropy", "loss.label_smoothing": 0.0}
    hxe = {"loss.name": "hxe", "loss.alpha": 0.5, "loss.weighting": "depth"}
    soft = {"loss.name": "soft_labels", "loss.beta": 4.0}
    assert name([cross_entropy, soft, hxe]) == [
        "cross_entropy", "soft_labels beta=4", "hxe alpha=0.5 weighting=depth",
    ]  # fmt: skip
    # What is off, or a word at its default, is not told of an option that others lack.
    more = soft | {"loss.distance": "height", "loss.normalise": False}
    defaults = {"loss.distance": "height", "loss.beta": 4.0}
    assert name([cross_entropy, more], defaults)[1] == "soft_labels beta=4"
    depth = more | {"loss.distance": "depth"}
    assert name([cross_entropy, depth], defaults)[1].endswith("beta=4 distance=depth")
    assert name([cross_entropy, more, depth], defaults)[1].endswith("distance=height")
    smooth = cross_entropy | {"loss.label_smoothing": 0.1}
    assert name([cross_entropy, smooth]) == ["label_smoothing=0", "label_smoothing=0.1"]
    assert name([hxe]) == ["hxe"]
    assert name([hxe, hxe | {"loss.alpha": 1.0}]) == ["alpha=0.5", "alpha=1"]
    # The same word in two sections is written in full, and so is the data's seed.
    both = [{"model.alpha": 1, "loss.alpha": 1}, {"model.alpha": 2, "loss.alpha": 2}]
    assert name(both)[1] == "model.alpha=2 loss.alpha=2"
    assert name([{"data.seed": 0}, {"data.seed": 1}]) == ["data.seed=0", "data.seed=1"]
    assert name([{"model.widths": (8, 8)}, {"model.widths": (4,)}])[0] == "widths=8,8"
    # An option that is off is written where the names would not differ without it.
    assert name([{"loss.x": 0}, {}]) == ["x=0", "default"]


def test_ignored_fields_exist():
    fields = flat(default().to_dict()).keys() | {"data.dir"}
    assert fields >= IGNORED


def test_a_run_of_an_older_version_has_todays_defaults():
    new = json.loads(json.dumps(resolved(default())))
    old = json.loads(json.dumps(new))
    del old["eval"]["pool"], old["data"]["long_tail"]
    assert complete(old) == complete(new)
    alien = {"loss": {"name": "alien", "x": 1}}
    assert {k for k in complete(alien) if k.startswith("loss")} == {
        "loss.name",
        "loss.x",
    }


def test_groups_of_a_folder(runs):
    comparison = compare(runs)
    ce, soft = comparison.groups
    assert (ce.name, ce.seeds) == ("cross_entropy", (0, 1, 2, 3))
    assert (soft.name, soft.seeds) == ("soft_labels beta=4", (0, 1, 2))
    assert comparison.warnings == ()
    np.testing.assert_array_equal(ce.final("test/error"), [0.10, 0.12, 0.14, 0.2])
    again = compare([f"{runs}/s*", runs / "ce0", runs])  # in this order, once each
    assert [g.name for g in again.groups] == [soft.name, ce.name]
    assert again.groups[1].seeds == ce.seeds


def test_the_seed_of_the_data_is_not_ignored_but_bookkeeping_is(tmp_path):
    write(tmp_path / "a", [row(5)], data__seed=0)
    write(tmp_path / "b", [row(5)], data__seed=1, eval__batch_size=7)
    write(tmp_path / "c", [row(5)], seed=1, data__seed=1, checkpoint__keep=9)
    groups = compare(tmp_path).groups
    assert [(g.name, g.seeds) for g in groups] == [
        ("data.seed=0", (0,)), ("data.seed=1", (0, 1)),
    ]  # fmt: skip


# The comparison.


def test_final_table(runs):
    lines = compare(runs).table().splitlines()
    assert len({len(line) for line in lines[:4]}) == 1  # aligned
    head, _, ce, soft = ([c.strip() for c in x.split("|")[1:-1]] for x in lines[:4])
    assert head[:4] == ["Mistakes", "seeds", "epoch", "test error, % ↓"]
    assert ce[:5] == ["cross_entropy", "4", "30", "14.0 ± 6.9", "0 ± 0"]
    mean, half = 14.0, 100 * stats.t.ppf(0.975, 2) * np.std([0.11, 0.15, 0.16], ddof=1)
    assert soft[3] == f"{mean:.1f} ± {half / math.sqrt(3):.1f}"
    text = "\n".join(lines)
    found = t_interval(np.array([1e-2, 3e-2, 2e-2]), 0.95, log=True)
    assert f"{found.centre:.3g} ×/÷ {found.high / found.centre:.3g}" in text
    assert "NC1: geometric mean ×/÷ the factor of the 95 % t-interval" in text
    assert "AHD" not in text  # the runs do not have it


def test_paired_tests_of_a_comparison(runs):
    comparison = compare(runs)
    by_key = {t.metric.key: t for t in comparison.results}
    error = by_key["test/error"]
    assert (error.first, error.second) == ("cross_entropy", "soft_labels beta=4")
    assert error.seeds == (0, 1, 2)  # not the fourth of cross-entropy
    wanted = stats.ttest_rel([0.10, 0.12, 0.14], [0.11, 0.15, 0.16]).pvalue
    np.testing.assert_allclose(error.result.p, wanted)
    log = stats.ttest_rel(np.log([1e-3, 2e-3, 4e-3]), np.log([1e-2, 3e-2, 2e-2]))
    np.testing.assert_allclose(by_key["nc/nc1"].result.p, log.pvalue)
    p = np.array([t.result.p for t in comparison.results])
    np.testing.assert_allclose([t.corrected for t in comparison.results], holm(p))
    text = comparison.tests()
    assert "for the 5 tests made" in text
    assert "identical values" in text  # NC2
    assert "percentage points" in text


def test_against_a_baseline(runs):
    write(runs / "mse0", [row(30)], loss={"name": "mse"})
    write(runs / "mse1", [row(30)], seed=1, loss={"name": "mse"})
    assert len(compare(runs, metrics=["nc/nc2"]).results) == 3
    found = compare(runs, metrics=["nc/nc2"], baseline="soft")  # its beginning
    assert found.baseline == "soft_labels beta=4"
    pairs = [(t.first, t.second) for t in found.results]
    assert pairs == [("cross_entropy", found.baseline), ("mse", found.baseline)]
    with pytest.raises(CompareError, match=r"Unknown baseline 'x'\. Available: 'cross"):
        compare(runs, baseline="x")
    with pytest.raises(CompareError, match="Ambiguous baseline ''"):
        compare(runs, baseline="")


def test_undefined_values_are_counted(runs):
    null = [row(30, test__mistake_severity=None)]
    write(runs / "ce4", null, seed=4)
    write(runs / "mse0", null, loss={"name": "mse"})
    text = compare(runs, metrics=["test/mistake_severity"]).table()
    assert "1.5 ± 0 (4 of 5)" in text
    assert "| undefined " in text
    assert "(k of n): defined in k of n seeds" in text
    assert "One seed, so no interval: mse." in text


def test_single_seeds_have_no_tests(tmp_path):
    write(tmp_path / "a", [row(5)])
    write(tmp_path / "b", [row(5)], loss=SOFT)
    comparison = compare(tmp_path)
    assert "One seed in each group" in comparison.table()
    assert "±" not in comparison.table()
    assert comparison.tests() == "No tests: no two groups have 2 seeds in common."
    assert all(math.isnan(t.corrected) for t in comparison.results)
    write(tmp_path / "c", [row(5)], seed=1)
    one = compare([tmp_path / "a", tmp_path / "c"])
    assert one.tests() == "No tests: there is one group only."
    assert one.groups[0].name == "cross_entropy"


def test_wilcoxon_says_what_it_cannot_do(runs):
    text = compare(runs, test="wilcoxon").tests()
    assert "With 3 seeds the signed-rank test cannot give a p below 0.25" in text


def test_warnings(tmp_path):
    write(tmp_path / "a", [row(5), row(20)])
    write(tmp_path / "b", [row(5), row(10)], seed=1, num_epochs=20)
    unfinished, apart, ends = compare(tmp_path).warnings
    assert "b is unfinished: measured up to epoch 10 of 20." in unfinished
    assert "show the 1 that they share" in apart
    assert "end at different epochs" in ends
    assert "cross_entropy: 10, 20" in ends
    assert "**Warning:** The runs end" in str(compare(tmp_path))


def test_json_has_everything_and_no_nan(runs):
    write(runs / "mse0", [row(30, test__mistake_severity=None)], loss={"name": "mse"})
    found = json.loads(json.dumps(compare(runs).to_dict(), allow_nan=False))
    assert found["level"] == 0.95
    assert found["metrics"]["nc/nc1"]["scale"] == "log"
    names = [group["name"] for group in found["groups"]]
    assert names == ["cross_entropy", "mse", "soft_labels beta=4"]
    error = found["groups"][0]["metrics"]["test/error"]
    assert error["values"] == {"0": 0.1, "1": 0.12, "2": 0.14, "3": 0.2}
    np.testing.assert_allclose(error["centre"], 0.14)
    severity = found["groups"][1]["metrics"]["test/mistake_severity"]
    assert (severity["count"], severity["centre"]) == (0, None)
    test = next(t for t in found["tests"] if t["metric"] == "nc/nc1")
    assert test["note"] == "no test: 1 common seed"
    assert test["p"] is None
    assert test["ratio"] == 1


def test_cells():
    nc1, error = METRICS["nc/nc1"], METRICS["test/error"]
    one = t_interval(np.array([0.0123]), 0.95)
    assert cell(error, one, 1) == "1.23"
    assert cell(error, t_interval(np.array([np.nan] * 2), 0.95), 2) == (
        "undefined (0 of 2)"
    )
    zero = t_interval(np.array([0.0, 1e-3]), 0.95, log=True)
    assert cell(nc1, zero, 2) == "0"
    assert plus_minus(0.046073, 0.001234) == "0.0461 ± 0.0012"
    assert plus_minus(123.4, 56.7) == "123 ± 57"
    assert plus_minus(3e-9, 1.23e-9) == "3e-09 ± 1.2e-09"
    assert plus_minus(0.11, 1e-17) == "0.11 ± 0"
    assert describe("nc/new").heading == "nc/new"


def test_curves_and_figure(tmp_path):
    for seed, epochs in enumerate(([1, 2, 5, 10], [1, 3, 5, 10])):
        rows = [
            row(e, nc__nc1=10.0 ** (seed - e), test__error=0.0 if e > 4 else 0.1)
            for e in epochs
        ]
        write(tmp_path / f"ce{seed}", rows, seed)
    write(tmp_path / "soft", [row(1), row(4), row(10)], loss=SOFT)
    comparison = compare(tmp_path)
    epochs, values = comparison.groups[0].curves("nc/nc1")
    np.testing.assert_array_equal(epochs, [1, 5, 10])  # those that both measured
    assert values.shape == (2, 3)
    epochs, values = comparison.groups[0].curves("nc/absent")
    assert epochs.size == values.size == 0

    figure = comparison.figure()
    panels = {a.get_title(loc="left"): a for a in figure.axes if a.axison}
    assert list(panels) == ["test error", "mistake severity", "NC1", "NC2"]
    nc1 = panels["NC1"]
    assert nc1.get_xscale() == nc1.get_yscale() == "log"
    assert panels["mistake severity"].get_yscale() == "linear"
    np.testing.assert_allclose(
        nc1.lines[0].get_ydata(), 10.0 ** (0.5 - np.array([1, 5, 10]))
    )
    low = nc1.collections[0].get_paths()[0].vertices[:, 1].min()
    wanted = t_interval(np.array([1e-10, 1e-9]), 0.95, log=True).low
    np.testing.assert_allclose(low, wanted)
    zeros = panels["test error"].lines[0]  # hollow, on the lower edge
    np.testing.assert_array_equal(zeros.get_xdata(), [5, 10])
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [
        "cross_entropy", "soft_labels beta=4",
    ]  # fmt: skip
    assert "t-interval" in figure.get_suptitle()


def test_axes_enclose_means_below_every_positive_value(tmp_path):
    write(tmp_path / "a", [row(1), row(2, test__error=0.0)])
    for seed in (1, 2, 3):
        write(tmp_path / str(seed), [row(1), row(2, test__error=0.0)], seed)
    write(tmp_path / "4", [row(1), row(2, test__error=0.1)], 4)
    axis = compare(tmp_path).figure().axes[0]
    np.testing.assert_allclose(axis.lines[0].get_ydata(), [0.1, 0.02])
    assert axis.get_ylim()[0] < 0.02


@pytest.mark.filterwarnings("error")
def test_figure_of_ten_groups(tmp_path):
    for i in range(10):
        write(tmp_path / f"r{i}", [row(1), row(10)], loss=SOFT | {"beta": float(i)})
    figure = compare(tmp_path).figure()
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata())]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 10
    texts = [t.get_text() for t in figure.legends[0].get_texts()]
    assert texts == [f"beta={i}" for i in range(10)]
    plots.save(figure, tmp_path / "drawn.png")
    window = figure.get_window_extent()
    legend = figure.legends[0].get_window_extent()
    assert window.contains(legend.x0, legend.y0)
    assert window.contains(legend.x1, legend.y1)


# Errors.


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: [p / "nowhere"], "There is no folder .*nowhere"),
        (lambda p: [f"{p}/no*"], "No folder of a run matches"),
        (lambda p: [p], "holds none: no config.json"),
        (lambda p: [write(p / "a", [row(1)])], "Nothing to compare: .*only run"),
        (lambda p: [write(p / "a", [row(1)]) / "config.json"], "is a file, not"),
        (
            lambda p: [write(p / "a", [row(1)]), write(p / "b", [], seed=1)],
            "b is unfinished: no epoch has been measured yet",
        ),
        (
            lambda p: [write(p / "a", [row(1)]), write(p / "b", [row(1)])],
            "a and .*b are the same run twice: both are cross_entropy with seed 0",
        ),
        (
            lambda p: [
                write(p / str(i), [{"epoch": 1, "x/y": 1.0}], seed=i) for i in (0, 1)
            ],
            "none of the usual metrics. Choose among theirs: .*x/y",
        ),
    ],
)
def test_bad_runs(tmp_path, make, message):
    with pytest.raises(CompareError, match=message):
        compare(make(tmp_path))


def test_bad_options(runs):
    with pytest.raises(
        CompareError, match=r"Unknown metric 'nc1'\. Available: nc/nc1, "
    ):
        compare(runs, metrics=["nc1"])
    with pytest.raises(CompareError, match="No metrics were chosen"):
        compare(runs, metrics=[])
    with pytest.raises(CompareError, match="between 0 and 1, got 95"):
        compare(runs, level=95.0)
    with pytest.raises(
        CompareError, match=r"Unknown test 'u'\. Available: t, wilcoxon"
    ):
        compare(runs, test="u")


def test_damaged_runs(runs):
    (runs / "ce0" / "config.json").write_text("{")
    with pytest.raises(CompareError, match="ce0 is not one of ncjax, or is damaged"):
        compare(runs)
    (runs / "ce0" / "config.json").write_text("[1]")
    with pytest.raises(CompareError, match="ce0 is not one of ncjax"):
        compare(runs)


def test_a_last_line_cut_short_is_left_out(runs):
    with (runs / "ce0" / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 31, "test/err')
    assert compare(runs).groups[0].runs[0].last == 30


# The command line.


def test_command_line_writes_three_files(runs, tmp_path, capsys):
    out = tmp_path / "new" / "out"
    assert main([str(runs), f"--out={out}", "--metrics=nc/nc1,test/error"]) == 0
    printed = capsys.readouterr().out
    files = sorted(path.name for path in out.iterdir())
    assert files == ["comparison.json", "comparison.md", "comparison.png"]
    text = (out / "comparison.md").read_text(encoding="utf-8")
    assert "## Paired tests" in text
    for line in text.splitlines()[2:]:
        assert line in printed
    assert list(json.loads((out / "comparison.json").read_text())["metrics"]) == [
        "nc/nc1", "test/error",
    ]  # fmt: skip
    assert (out / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_many_tests_are_not_all_printed(tmp_path, capsys):
    for i in range(8):
        for seed in range(3):
            loss = SOFT | {"beta": float(i)}
            noise = 0.1 + 0.001 * seed * (-1) ** i + 1e-4 * i * seed**2
            end = row(3, test__error=noise, nc__nc2=i + 0.001 * noise)
            write(tmp_path / "runs" / f"r{i}s{seed}", [end], seed, loss=loss)
    out = tmp_path / "out"
    arguments = [str(tmp_path / "runs"), f"--out={out}", "--metrics=test/error,nc/nc2"]
    assert main(arguments) == 0
    assert "of 56 comparisons are not shown" in capsys.readouterr().out
    text = (out / "comparison.md").read_text(encoding="utf-8")
    assert text.count("| test error, %") == 1 + 28


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "There is no folder nowhere"),
        (["runs", "--metrics=x"], "Unknown metric 'x'. Available: "),
        (["runs", "--level=2"], "between 0 and 1, got 2.0"),
        (["runs", "--out=runs/ce0/config.json"], "cannot be written: File exists."),
        (["runs", "--baseline=x"], "Unknown baseline 'x'"),
    ],
)
def test_errors_are_one_paragraph(runs, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(runs.parent)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert [path.name for path in runs.parent.iterdir()] == ["runs"]


def test_a_warning_is_one_paragraph(runs, monkeypatch, capsys):
    monkeypatch.chdir(runs.parent)
    write(runs / "late", [row(50)], loss={"name": "mse"})
    assert main(["runs"]) == 0
    captured = capsys.readouterr()
    assert "Written to comparison" in captured.out
    assert captured.err.startswith("warning: The runs end at different epochs")
    assert captured.err.count("\n") == 1


def test_as_a_program(runs):
    bad = subprocess.run(
        [sys.executable, "-m", "ncjax", "compare", "runs", "--baseline=x"],
        cwd=runs.parent,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert bad.returncode == 2
    assert bad.stdout == ""
    assert bad.stderr.count("\n") == 1
    assert "Traceback" not in bad.stderr
    assert bad.stderr.startswith("error: Unknown baseline 'x'")
