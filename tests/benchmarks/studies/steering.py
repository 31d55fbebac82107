"""Is a geometry that is chosen as good as one that is learned?

    launch/steering.sh WHAT     # data, cifar10, fashion, learned, tuning, methods, ...
    python -m tests.benchmarks.studies.steering_shift
    python -m tests.benchmarks.studies.steering     # reads their runs, trains nothing

Four classes on a square: which of the three assignments is worse, and which a learned
code chooses.  What codes learned in two dimensions follow.  Learned classifiers beside
class means, fixed vectors, the nearest frame and dot regression, with clean and random
labels, few and imbalanced examples, and shifted test images.  Each claim is a paired
test over seeds, corrected over the claims of its question.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ncjax.comparison.runs import Run
from ncjax.io import write_whole
from ncjax.statistics import holm, t_interval
from tests.benchmarks.harness import RESULTS
from tests.benchmarks.studies.harness import LEVEL, difference, flags, write
from tests.benchmarks.studies.steering_figure import draw
from tests.benchmarks.studies.steering_runs import (
    CONDITIONS,
    METHODS,
    RARELY,
    UNCHANGED,
    Shifted,
    Values,
    accuracy,
    methods,
    opposite,
    rank_correlations,
    references,
    runs_of,
    share,
    shifted,
    squares,
    tuning,
)
from tests.benchmarks.studies.steering_tables import csv_of, errors_table, table
from tests.benchmarks.verdicts import Answer, Verdict

NAME = "steering"
GNC = "Jiang et al., ICML 2024 (arXiv 2310.05351)"
ETF = "Yang et al., NeurIPS 2022 (arXiv 2203.09081), CIFAR-100-LT, ResNet-32"
# Folder of the squares -> title; assignment -> title, the alike pair opposite first.
SQUARES = {
    "cifar10": "CIFAR-10, narrow ResNet-18",
    "fashion": "Fashion-MNIST, MLP",
}
# The assignment that has the classes that are most alike opposite, and the second one.
ALIKE = {"cifar10": ("cat_dog", "dog"), "fashion": ("shirt_pullover", "Pullover")}


class Test(NamedTuple):
    """A claim that one of two has less of something than the other.

    Attributes:
        claim: the claim, in a sentence.
        source: who makes it.
        theirs: the published numbers.
        less: values by seed of what is claimed to have less, in % [n].
        more: of the other [n].
        command: what trains the networks.
    """

    claim: str
    source: str
    theirs: str
    less: np.ndarray
    more: np.ndarray
    command: str


def judge(tests: Sequence[Test]) -> Iterator[Verdict]:
    """Each claim by a paired test over common seeds, corrected over all of them."""
    tests = [
        test._replace(
            less=test.less[: len(test.more)], more=test.more[: len(test.less)]
        )
        for test in tests
    ]
    found = [difference(test.more, test.less) for test in tests]
    corrected = holm(np.array([f[3] for f in found]))
    for test, (gap, low, high, _), p in zip(tests, found, corrected, strict=True):
        answer: Answer = "undecided"
        if p < 1 - LEVEL:
            answer = "holds" if gap > 0 else "does not"
        less, more = test.less.mean(), test.more.mean()
        yield Verdict(
            claim=test.claim,
            source=test.source,
            theirs=test.theirs,
            ours=f"{less:.2f} and {more:.2f} %: lower by {gap:.2f}",
            interval=f"[{low:.2f}, {high:.2f}]",
            seeds=len(test.less),
            verdict=answer,
            command=test.command,
            note=f"p = {p:.2g}, corrected",
        )


def judge_squares(found: dict[str, dict[str, list[Run]]]) -> Iterator[Verdict]:
    """Is the assignment with the alike classes opposite the worst of three?"""
    tests = []
    for data, by in found.items():
        alike, _ = ALIKE[data]
        for other in (name for name in by if name not in (alike, "learned")):
            theirs = "89.95 < 91.90, 92.13 %" if data == "cifar10" else "less"
            tests.append((data, alike, other, theirs))
        tests.append((data, alike, "learned", "less"))
    yield from judge(
        [
            Test(
                f"{SQUARES[data]}: accuracy of four classes on a square with "
                f"{words(alike)} opposite is below that with {words(other)}",
                GNC,
                theirs,
                accuracy(found[data][alike]),
                accuracy(found[data][other]),
                f"launch/steering.sh {data}",
            )
            for data, alike, other, theirs in tests
        ]
    )


def words(assignment: str, between: str = " and ") -> str:
    """An assignment in words: the two classes that are opposite."""
    if assignment == "learned":
        return "the learned code"
    return between.join(assignment.split("_"))


def judge_choices(found: dict[str, tuple[str, list[Run]]]) -> Iterator[Verdict]:
    """Do learned codes avoid to put the alike classes opposite?"""
    for title, (partner, runs) in found.items():
        hits = sum(opposite(run) == partner for run in runs)
        part, low, high = share(hits, len(runs))
        answer: Answer = "undecided"
        if high < 1 / 3 or low > 1 / 3:
            answer = "holds" if high < 1 / 3 else "does not"
        first_class = runs[0].config["data.classes"][0]
        what = "cifar10" if "CIFAR" in title else "fashion"
        yield Verdict(
            claim=f"{title}: of codes learned in 2 dimensions fewer than a third have "
            f"{first_class} opposite {partner}",
            source=GNC,
            theirs="0 of 1 (the choice is benign)",
            ours=f"{hits} of {len(runs)}: {part:.2f}",
            interval=f"[{low:.2f}, {high:.2f}]",
            seeds=len(runs),
            verdict=answer,
            command=f"launch/steering.sh {'learned' if len(runs) > 50 else what}",
            note="a third is chance; exact interval",
        )


def judge_order(by: dict[str, np.ndarray]) -> Iterator[Verdict]:
    """Do the distances of learned codes follow others?"""
    for title, values in by.items():
        each = t_interval(values, LEVEL)
        answer: Answer = "undecided"
        if each.low > 0 or each.high < 0:
            answer = "holds" if each.low > 0 else "does not"
        yield Verdict(
            claim="Fashion-MNIST, 10 classes in 2 dimensions: distances in the learned "
            f"code follow those {title} (Spearman's correlation above 0)",
            source=GNC,
            theirs="more than 0 (suggested by one code)",
            ours=f"{each.centre:.2f}, of {len(values)} runs {np.mean(values > 0):.0%} "
            "above 0",
            interval=f"[{each.low:.2f}, {each.high:.2f}]",
            seeds=len(values),
            verdict=answer,
            command="launch/steering.sh learned",
        )


def judge_regression(found: dict[str, dict[str, Values]]) -> Iterator[Verdict]:
    """Is a fixed simplex with dot regression better than what is learned?"""
    tests = []
    for condition, by in found.items():
        theirs = "less"
        if condition == "long_tail":
            theirs = "56.0 < 56.92 % (users of the code: 56.98 > 55.34 %)"
        tests.append(
            Test(
                f"Fashion-MNIST, {CONDITIONS[condition]}: test error of dot regression "
                "to a fixed simplex is below that of learned cross-entropy",
                ETF,
                theirs,
                100 * by["dot_regression"]["test/error"],
                100 * by["linear"]["test/error"],
                f"launch/steering.sh {_command(condition)}",
            )
        )
    yield from judge(tests)


def judge_means(errors: dict[str, dict[str, np.ndarray]]) -> Iterator[Verdict]:
    """Are class means as classifier as good as a learned one, or better?

    Args:
        errors: condition -> method -> test error by seed, %.
    """
    tests = []
    for condition, by in errors.items():
        theirs = "less (fine-tuning of other networks)"
        if condition == CONDITIONS["0"]:
            theirs = "comparable"
        elif condition in CONDITIONS.values():
            theirs = "no number is published"
        tests += [
            Test(
                f"Fashion-MNIST, {condition}: test error of class means (CMF) is below "
                f"that of a {METHODS[other].replace(',', '')} classifier",
                GNC,
                theirs,
                by["class_means"],
                by[other],
                _command(condition),
            )
            for other in ("linear", "spherical")
            if "class_means" in by and other in by
        ]
    yield from judge(tests)
    clean = errors[CONDITIONS["0"]]
    gap, low, high, _ = difference(clean["class_means"], clean["spherical"])
    comparable: Answer = "undecided"
    if max(abs(low), abs(high)) < 1 or low > 1 or high < -1:
        comparable = "holds" if max(abs(low), abs(high)) < 1 else "does not"
    yield Verdict(
        claim="Fashion-MNIST, clean: test error of class means (CMF) is within 1 % of "
        "the images of that of a learned spherical classifier",
        source=GNC,
        theirs="comparable",
        ours=f"higher by {gap:.2f} %",
        interval=f"[{low:.2f}, {high:.2f}]",
        seeds=len(clean["class_means"]),
        verdict=comparable,
        command=_command(CONDITIONS["0"]),
    )


def _command(condition: str) -> str:
    """What trains the networks of a condition, by its title."""
    names = {title: name for name, title in CONDITIONS.items()}
    if condition.startswith("fine-tuned"):
        return "launch/steering.sh finetune"
    if condition not in names:
        return "python -m tests.benchmarks.studies.steering_shift"
    name = names[condition]
    return f"launch/steering.sh {name if name in RARELY else 'methods'}"


def pooled(
    errors: dict[str, dict[str, np.ndarray]],
) -> dict[str, dict[str, np.ndarray]]:
    """The same with the mean over all shifts of the test images as one condition."""
    found = {c: by for c, by in errors.items() if "test images" not in c}
    for start in ("", "fine-tuned, "):
        each = [by for c, by in errors.items() if c.startswith(f"{start}test images")]
        if each:
            found[f"{start}shifted test images"] = {
                m: np.mean([by[m] for by in each], axis=0) for m in each[0]
            }
    return found


def errors_of(
    found: dict[str, dict[str, Values]], shifts: dict[str, Shifted]
) -> dict[str, dict[str, np.ndarray]]:
    """Condition -> method -> test error by seed, %.

    Args:
        found: name of a condition -> method -> its values.
        shifts: "" or "fine-tuned" -> method -> shift of the test images -> its errors.
    """
    errors = {
        CONDITIONS[c]: {m: 100 * v["test/error"] for m, v in by.items()}
        for c, by in found.items()
    }
    for name, by in shifts.items():
        for shift in next(iter(by.values())):
            title = f"test images {shift}"
            if name:
                title = name if shift == UNCHANGED else f"{name}, {title}"
            # Those of `found` are measured anew; on negatives all networks fail.
            if (not name and shift == UNCHANGED) or shift == "inverted":
                continue
            errors[title] = {
                m: 100 * np.array(by[m][shift]) for m in METHODS if m in by
            }
    return errors


def main() -> None:
    """Reads the runs and writes results/steering."""
    folder, _ = flags(__doc__, NAME)
    square = {d: squares(folder, d) for d in SQUARES if (folder / d).is_dir()}
    choices = {
        SQUARES[data]: (ALIKE[data][1], by["learned"]) for data, by in square.items()
    }
    four = "Fashion-MNIST, MLP, 400 images"
    choices[four] = ("Pullover", runs_of(folder / "learned" / "four"))
    ten = runs_of(folder / "learned" / "ten")
    orders = {
        name: rank_correlations(ten, reference)
        for name, reference in references(folder / "data").items()
    }
    found = methods(folder)
    found = {c: {m: by[m] for m in METHODS if m in by} for c, by in found.items()}
    shifts = shifted(folder)
    errors = errors_of(found, shifts)
    verdicts = [
        *judge_squares(square),
        *judge_choices(choices),
        *judge_order(orders),
        *judge_regression(found),
        *judge_means(pooled(errors)),
    ]
    accuracies = {
        d: {words(name, " opposite "): accuracy(runs) for name, runs in by.items()}
        for d, by in square.items()
    }
    figure = draw(
        {SQUARES[data]: by for data, by in accuracies.items()},
        orders,
        {c: {METHODS[m]: e for m, e in by.items()} for c, by in errors.items()},
    )
    text = csv_of(accuracies, orders, found, shifts, tuning(folder))
    write(NAME, verdicts, figure, text)
    pages = [
        table(CONDITIONS[c], {METHODS[m]: v for m, v in by.items()}, c not in RARELY)
        for c, by in found.items()
    ]
    page = "# Tables\n\n" + "\n".join([*pages, errors_table(errors)])
    write_whole(RESULTS / NAME / "table.md", page)


if __name__ == "__main__":
    main()
