"""Groups: runs that differ in nothing but the seed, and paired tests between them."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ncjax.collapse import Metric
from ncjax.comparison.runs import CompareError, Run
from ncjax.config import default
from ncjax.config.stored import RECORDER
from ncjax.losses import REGULARISERS
from ncjax.options import all_options, flat
from ncjax.probes import PROBES
from ncjax.statistics import Interval, Paired, holm, paired, t_interval

# Fields that change neither what a network learns nor what its last layer's metrics
# mean.
IGNORED = {
    *("seed", "num_seeds", "data.dir", "data.placement", "data.device_mb"),
    *("checkpoint.every_epochs", "checkpoint.keep", "checkpoint.max_share"),
    "max_skipped",
    *("eval.batch_size", "eval.buffer_mb", "eval.confusion", "eval.crm", "eval.epochs"),
    *(
        "eval.gram",
        "eval.layers",
        "eval.movie",
        "eval.num_points",
        "eval.order",
        "eval.probes",
        "eval.scatter",
        "eval.specific",
    ),
}

# Sections in the order in which a name mentions them.
_ORDER = ("data", "hierarchy", "model", "classifier", "loss", "optimizer", "eval")
_OFF = (0, "", "none", None, ())
_FACTORS = ("loss.temperature", "init_scale")  # they are off at 1
# Extras of a loss that it is seldom trained with, and what they are when switched off.
_EXTRAS = {
    **dict.fromkeys((f"loss.{name}" for name in REGULARISERS), 0),
    "loss.alpha_schedule": "constant",
    "loss.alpha_end": 0,
    "loss.learn_alpha": False,
}
_ABSENT = object()  # the value of a field that a configuration does not have


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs of one configuration, by seed.

    Attributes:
        name: what sets the configuration apart from those of the other groups.
        runs: the runs, by ascending seed.
    """

    name: str
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of its runs, ascending."""
        return tuple(run.seed for run in self.runs)

    def final(self, key: str) -> np.ndarray:
        """A metric at the last measured epoch of each run [n]; NaN where undefined.

        Args:
            key: key of the metric, as in metrics.jsonl.
        """
        return np.array([run.rows[-1].get(key, math.nan) for run in self.runs])

    def summary(self, metric: Metric, level: float) -> Interval:
        """Mean and interval of a metric over the seeds, at the last measured epoch.

        Args:
            metric: the metric; if it spans decades, its logarithm is averaged.
            level: confidence of the interval.
        """
        return t_interval(self.final(metric.key), level, metric.log)

    def curves(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """A metric at the epochs that all runs measured: epochs [m], values [n, m].

        Args:
            key: key of the metric, as in metrics.jsonl.
        """
        columns = [
            {int(row["epoch"]): row[key] for row in run.rows if key in row}
            for run in self.runs
        ]
        epochs = sorted(set.intersection(*map(set, columns)))
        values = [[column[epoch] for epoch in epochs] for column in columns]
        return np.array(epochs, int), np.array(values, float)


def group(runs: Sequence[Run]) -> list[Group]:
    """Puts runs that differ in nothing but the seed into one group.

    Args:
        runs: the runs, in any order; groups stand in the order of their first runs.

    Raises:
        CompareError: if two runs of a group have the same seed.
    """
    members: dict[tuple, list[Run]] = {}
    for run in runs:
        members.setdefault(_identity(run.config), []).append(run)
    defaults = {field: _freeze(v) for field, v in flat(default().to_dict()).items()}
    names = _name_kinds([dict(identity) for identity in members], defaults)
    groups = []
    for title, of_group in zip(names, members.values(), strict=True):
        ordered = sorted(of_group, key=lambda run: run.seed)
        for one, other in itertools.pairwise(ordered):
            if one.seed == other.seed:
                hint = (
                    " Recorders of other seeds need config={'seed': ...}."
                    if is_recorded(one.config)
                    else ""
                )
                raise CompareError(
                    f"{one.path} and {other.path} are the same run twice: both are "
                    f"{title} with seed {one.seed}. Leave one out.{hint}"
                )
        groups.append(Group(title, tuple(ordered)))
    return groups


@dataclasses.dataclass(frozen=True)
class PairTest:
    """A paired test between two groups in one metric, by seed.

    Attributes:
        metric: what is compared.
        first: name of the first group; the difference is first - second.
        second: name of the second group.
        seeds: the seeds that both groups have.
        result: the difference, its interval and the p-value.
        corrected: p-value corrected over all tests of the comparison (Holm).
    """

    metric: Metric
    first: str
    second: str
    seeds: tuple[int, ...]
    result: Paired
    corrected: float


def paired_tests(
    groups: Sequence[Group],
    metrics: Sequence[Metric],
    baseline: Group | None,
    level: float,
    test: str,
) -> tuple[PairTest, ...]:
    """All pairs of groups in every metric; p-values corrected together.

    Args:
        groups: the groups, in the order of the tables.
        metrics: what is compared.
        baseline: the group with which the others are compared; None for all pairs.
        level: confidence of the intervals.
        test: "t" or "wilcoxon".
    """
    if baseline is None:
        pairs = list(itertools.combinations(groups, 2))
    else:
        pairs = [(g, baseline) for g in groups if g is not baseline]
    found = []
    for metric, (a, b) in itertools.product(metrics, pairs):
        seeds, in_a, in_b = np.intersect1d(a.seeds, b.seeds, return_indices=True)
        of_a, of_b = a.final(metric.key)[in_a], b.final(metric.key)[in_b]
        result = paired(of_a, of_b, level, metric.log, test)
        common = tuple(int(s) for s in seeds)
        found.append((metric, a.name, b.name, common, result))
    corrected = holm(np.array([result.p for *_, result in found], float))
    each = zip(found, corrected.tolist(), strict=True)
    return tuple(PairTest(*test, p) for test, p in each)


def is_recorded(config: Mapping[str, Any]) -> bool:
    """Whether a `Recorder` has measured a run that something else has trained."""
    return any(field.startswith(f"{RECORDER}.") for field in config)


def _name_kinds(
    configs: Sequence[dict[str, Any]], defaults: Mapping[str, Any]
) -> list[str]:
    """Names for runs of ours and for recorded ones, whose fields are others."""
    names: dict[int, str] = {}
    recorded = [i for i, config in enumerate(configs) if is_recorded(config)]
    ours = [i for i in range(len(configs)) if i not in recorded]
    for kind, prefix in ((ours, ""), (recorded, "recorded " if ours else "")):
        each = name([configs[i] for i in kind], defaults) if kind else []
        names |= {i: prefix + text for i, text in zip(kind, each, strict=True)}
    return [names[i] for i in range(len(configs))]


def name(
    configs: Sequence[dict[str, Any]], defaults: Mapping[str, Any] | None = None
) -> list[str]:
    """A name for each configuration, made of the fields in which they differ.

    Such as `cross_entropy`, `soft_labels beta=4`, `hxe alpha=0.5 weighting=depth`: the
    name of a loss or a model is written alone, the value of another field with the name
    of the field.  A field that some configurations do not have is left out where it is
    off, and where it is a word or a switch at its default.  A regulariser or a schedule
    (`_EXTRAS`) is left out of the names of those that are trained without it.

    Args:
        configs: configurations as {"loss.name": "mse", ...}.
        defaults: default value of each field.
    """
    if len(configs) == 1:
        return [str(configs[0].get("loss.name", "all runs"))]
    fields = sorted({f for config in configs for f in config}, key=_place)
    differ = [f for f in fields if len({c.get(f, _ABSENT) for c in configs}) > 1]
    telling = [f for f in differ if not _is_mute(f, configs, defaults or {})]
    names = _write(configs, telling)
    return names if len(set(names)) == len(names) else _write(configs, differ)


def _identity(config: dict[str, Any]) -> tuple:
    """All that the runs of a group have in common, hashable.

    A run that has no probe counts as one that has it with its usual options.
    """
    unset = {f"eval.{option}": v for option, v in all_options(PROBES.values()).items()}
    fields = ((field, _freeze(config[field])) for field in sorted(config))
    return tuple(
        (field, value)
        for field, value in fields
        if field not in IGNORED and unset.get(field, _ABSENT) != value
    )


def _freeze(value: Any) -> Any:
    """A value with tuples for lists, so that it is hashable."""
    return tuple(map(_freeze, value)) if isinstance(value, list) else value


def _place(field: str) -> tuple[int, bool, str]:
    """Key that sorts fields: by section, in each the name first, then the alphabet."""
    section, dot, option = field.partition(".")
    place = _ORDER.index(section) if dot and section in _ORDER else len(_ORDER)
    return place, option != "name", field


def _is_mute(
    field: str, configs: Sequence[dict[str, Any]], defaults: Mapping[str, Any]
) -> bool:
    """Whether a field may be left out: some lack it, for all others it is off.

    A word or a switch at its default counts as off; a number must be 0, a factor 1.
    """
    values = {config.get(field, _ABSENT) for config in configs}
    if len(values) != 2 or _ABSENT not in values:
        return False
    (value,) = values - {_ABSENT}
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if field in _FACTORS:
        return value == 1
    return value in _OFF or (not number and value == defaults.get(field, _ABSENT))


def _write(configs: Sequence[dict[str, Any]], fields: Sequence[str]) -> list[str]:
    last = Counter(field.rpartition(".")[2] for field in fields)

    def part(field: str, value: Any) -> str:
        section, _, option = field.rpartition(".")
        if option == "name" and section:
            return str(value)
        ambiguous = last[option] > 1 or option == "seed"
        return f"{field if ambiguous else option}={_text(value)}"

    def write(config: dict[str, Any]) -> str:
        said = {f: part(f, config[f]) for f in fields if f in config}
        shown = [
            text for f, text in said.items() if _EXTRAS.get(f, _ABSENT) != config[f]
        ]
        return " ".join(shown or said.values()) or "default"

    return [write(config) for config in configs]


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_text, value)) or "()"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value)
