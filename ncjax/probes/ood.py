"""The probe `ood`: how well a network tells foreign images from those of its test set.

For each foreign set and each score of `ncjax.ood.SCORES`: AUROC, the false positive
rate at a true positive rate of 95 %, and the area under the curve of precision and
recall, with the test set as what is known; and NC5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import struct
from ncjax.collapse.outliers import nc5
from ncjax.collapse.registry import Metric
from ncjax.evaluation.passes import Variables
from ncjax.moments import ClassMoments
from ncjax.ood import SCORES, Bank, aupr, auroc, fit, fpr_at_tpr
from ncjax.ood.ranking import POSITIVE
from ncjax.options import check_value, unknown
from ncjax.probes.foreign import foreign_images
from ncjax.probes.probe import TEST, TRAIN, Probe, Reader, Subject
from ncjax.struct import Leaf

TITLES = {
    "msp": "softmax probability",
    "max_logit": "largest logit",
    "energy": "energy",
    "react": "ReAct",
    "knn": "KNN",
    "mahalanobis": "Mahalanobis",
    "relative_mahalanobis": "relative Mahalanobis",
    "vim": "ViM",
    "neco": "NECO",
    "nci": "NCI",
    "fdbd": "fDBD",
}
METRICS = (
    *(
        Metric(
            f"ood/{score}_{key}",
            f"{measure} of {title}",
            sentence,
            home="probe",
            smaller_is_better=smaller,
            percent=smaller,
        )
        for score, title in TITLES.items()
        for key, measure, sentence, smaller in (
            ("auroc", "AUROC", "chance that an outlier has the lower score", False),
            ("fpr95", "FPR95", "false positives at 95 % true positives", True),
            ("aupr", "AUPR", "precision, averaged over the positives", False),
        )
    ),
    Metric(
        "ood/nc5",
        "NC5",
        "|cosine| of the class means and the mean outlier",
        home="probe",
        smaller_is_better=True,
    ),
)


def auroc_keys(keys: Iterable[str]) -> dict[str, dict[str, str]]:
    """The AUROCs among the keys of a row of metrics: foreign set -> score -> key.

    Sets and scores are in the order of the keys.
    """
    start, end = "probe/ood/", "_auroc"
    found: dict[str, dict[str, str]] = {}
    for key in keys:
        if key.startswith(start) and key.endswith(end):
            name, _, score = key.removeprefix(start).rpartition("/")
            found.setdefault(name, {})[score.removesuffix(end)] = key
    return found


@struct.dataclass
class Seen:
    """Moments of the training features, and a sample of them."""

    moments: ClassMoments
    bank: Bank

    def all_reduce(self, axis_name: str) -> Seen:
        """Those of all devices."""
        return Seen(self.moments.all_reduce(axis_name), self.bank.all_reduce(axis_name))


@struct.dataclass
class Scored:
    """Scores of examples [n, S], and the sum of their features [d]."""

    scores: Bank
    features: Leaf

    def all_reduce(self, axis_name: str) -> Scored:
        """Those of all devices."""
        total = jax.lax.psum(self.features, axis_name)
        return Scored(self.scores.all_reduce(axis_name), total)


def ood(
    subject: Subject,
    *,
    ood: tuple[str, ...] = ("noise",),
    ood_dir: str = "",
    ood_resize: bool = False,
    ood_examples: int = 0,
    ood_bank: int = 10_000,
    ood_neighbours: int = 50,
    ood_principal: int = 0,
    ood_main: int = 0,
    ood_percentile: float = 90.0,
    ood_nci: float = 1e-3,
    ood_positive: str = "known",
) -> Probe:
    """Out-of-distribution detection: `ood/SET/SCORE_MEASURE` for each foreign set.

    SCORE is a name of `ncjax.ood.SCORES`, MEASURE "auroc", "fpr95" or "aupr"; and
    `ood/SET/nc5`, |cosine| of the class means and the mean feature of the set.

    Args:
        subject: the networks.
        ood: foreign sets: names of data sets, "noise" or "gaussian"; see
            `ncjax.probes.foreign.foreign_images`.
        ood_dir: data folder of the foreign sets, where it is not the usual one.
        ood_resize: resize images of another shape, instead of refusing them.
        ood_examples: images of each set, evenly spread; 0 for all of its test set.
        ood_bank: training features that KNN, ViM and ReAct look at, at most; an even
            sample.
        ood_neighbours: k of KNN, at most the size of the bank.
        ood_principal: directions that NECO keeps; 0 for K - 1, or d if that is less.
        ood_main: directions that ViM counts as those of known data; 0 for its rule.
        ood_percentile: percentile at which ReAct cuts features off.
        ood_nci: factor of the 1-norm in NCI, chosen by its authors in 1e-4..1e-1.
        ood_positive: what FPR95 and AUPR call positive: "known" (ODIN and most papers)
            or "outliers" (the OpenOOD benchmark).

    Raises:
        ValueError: for options out of range or unknown names.
        DataError: for foreign sets that cannot be had, share classes with the data of
            the network, or do not fit its images.
    """
    train, test = subject.dataset.train, subject.dataset.test
    most = _check(ood, ood_positive, ood_bank, len(train))
    fits = f"in 1..{most}, the training features that are kept (ood_bank)"
    # The usual number is more than a small set has.
    neighbours = min(ood_neighbours, most) if ood_neighbours == 50 else ood_neighbours
    check_value("ood_neighbours", neighbours, lambda k: 1 <= k <= most, fits)
    given = {"dir": ood_dir, "resize": ood_resize, "examples": ood_examples}
    images = {name: foreign_images(name, subject.dataset, **given) for name in ood}
    find = partial(
        fit,
        neighbours=neighbours,
        principal=ood_principal,
        main=ood_main,
        percentile=ood_percentile,
        nci_weight=ood_nci,
    )
    see, score = _passes(subject)

    def measure(variables: Variables, reader: Reader) -> dict[str, jax.Array]:
        rows, bias = subject.classifier(variables)
        classes, width = rows.shape
        moments = ClassMoments.empty(classes, width, scatter="pooled")
        seen = Seen(moments, Bank.empty(len(train), width, most))
        seen = reader.fold(see, seen, variables, TRAIN)
        known = find(seen.moments, rows, bias, seen.bank.rows, seen.bank.there)

        def scored(name: str, size: int) -> Scored:
            empty = Scored(Bank.empty(size, len(SCORES)), jnp.zeros(width))
            return reader.fold(score, empty, variables, name, known)

        inside = scored(TEST, len(test)).scores
        found: dict[str, jax.Array] = {}
        for name, pictures in images.items():
            outside = scored(name, len(pictures))
            values = _apart(inside, outside.scores, ood_positive)
            mean = outside.features / len(pictures)
            values["nc5"] = nc5(seen.moments, mean[None])
            found |= {f"{name}/{key}": value for key, value in values.items()}
        return found

    return Probe(
        measure, {name: (x, np.zeros(len(x), np.int32)) for name, x in images.items()}
    )


def _check(sets: tuple[str, ...], positive: str, bank: int, examples: int) -> int:
    """Checks some options; how many training features are kept."""
    if not sets or len(set(sets)) < len(sets):
        raise ValueError(f"ood must name foreign sets, each once, got {sets!r}.")
    if positive not in POSITIVE:
        raise ValueError(unknown("ood_positive", positive, POSITIVE))
    check_value("ood_bank", bank, lambda n: n >= 1, "at least 1")
    return min(bank, examples)


def _passes(subject: Subject) -> tuple[Callable, Callable]:
    """What becomes of a batch in the pass over training features, and in the scores."""

    def see(seen, variables, images, labels, weights):
        features = subject.features(variables, images)
        moments = seen.moments.update(features, labels, weights)
        return Seen(moments, seen.bank.update(features, weights))

    def score(scored, variables, images, labels, weights, known):
        del labels  # those of a foreign set mean nothing
        features = subject.features(variables, images).astype(jnp.float32)
        rows = jnp.stack([of(known, features) for of in SCORES.values()], axis=1)
        total = scored.features + weights @ features
        return Scored(scored.scores.update(rows, weights), total)

    return see, score


def _apart(known: Bank, outliers: Bank, positive: Any) -> dict[str, jax.Array]:
    """How well each score parts what is known from outliers."""

    def of_score(inside, outside):
        both = inside, outside, known.there, outliers.there
        return {
            "auroc": auroc(*both),
            "fpr95": fpr_at_tpr(*both, positive=positive),
            "aupr": aupr(*both, positive=positive),
        }

    found = jax.vmap(of_score)(known.rows.T, outliers.rows.T)
    return {
        f"{name}_{key}": values[index]
        for index, name in enumerate(SCORES)
        for key, values in found.items()
    }
