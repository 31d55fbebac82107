"""The probe `few_shot`: what the features of a network are worth for new classes.

For each set of new classes: the error of classifiers that learn from a few examples,
over many episodes, beside the bounds that the directional variances promise.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.collapse.registry import Metric
from ncjax.evaluation.passes import Variables
from ncjax.ood import Bank
from ncjax.options import check_value
from ncjax.probes.foreign import foreign_classes
from ncjax.probes.probe import Probe, Reader, Subject
from ncjax.transfer import (
    LEARNERS,
    classes,
    directional_cdnv,
    episodes,
    few_shot_bound,
    known_means_bound,
)

TITLES = {
    "nearest_mean": "nearest mean",
    "linear": "a linear probe",
    "ridge": "ridge",
}
_USUAL = (1, 2, 5, 10, 20, 50)  # shots whose numbers have titles
_DOWN = {"home": "probe", "smaller_is_better": True}
METRICS = (
    *(
        Metric(
            f"few_shot/{name}_{shots}",
            f"{shots}-shot error of {title}",
            "mean over episodes, on new classes",
            percent=True,
            **_DOWN,
        )
        for shots in _USUAL
        for name, title in TITLES.items()
    ),
    *(
        Metric(
            f"few_shot/bound_{shots}",
            f"bound on the {shots}-shot error",
            "of nearest means, from moments of the new classes",
            percent=True,
            **_DOWN,
        )
        for shots in _USUAL
    ),
    Metric(
        "few_shot/known_means_bound",
        "bound with known means",
        "on the error of the nearest of the true means, 4V/(1+4V)",
        percent=True,
        **_DOWN,
    ),
    Metric(
        "few_shot/directional_cdnv",
        "directional CDNV",
        "variance along the line between two new classes, over its length squared",
        log=True,
        **_DOWN,
    ),
    Metric(
        "few_shot/cdnv",
        "CDNV of new classes",
        "mean variance of two new classes over their distance squared",
        log=True,
        **_DOWN,
    ),
)


def few_shot(
    subject: Subject,
    *,
    few_shot: tuple[str, ...] = ("held_out",),
    few_shot_dir: str = "",
    few_shot_resize: bool = False,
    few_shot_shots: tuple[int, ...] = (1, 5),
    few_shot_ways: int = 0,
    few_shot_queries: int = 15,
    few_shot_episodes: int = 200,
    few_shot_examples: int = 100,
    few_shot_seed: int = 0,
) -> Probe:
    """Few-shot transfer to new classes: `few_shot/SET/KEY` for each set of them.

    KEY is LEARNER_SHOTS, the mean error of a learner of `ncjax.transfer.LEARNERS` over
    the episodes; LEARNER_SHOTS_sem, the standard error of that mean; bound_SHOTS and
    known_means_bound, what `ncjax.transfer.bounds` promises for nearest means in
    episodes of all classes; directional_cdnv and cdnv, means over pairs of classes.

    Args:
        subject: the networks.
        few_shot: sets of new classes: names of data sets, or "held_out", the classes of
            the network's own data set that `config.data.classes` has left out.
        few_shot_dir: data folder of these sets, where it is not the usual one.
        few_shot_resize: resize images of another shape, instead of refusing them.
        few_shot_shots: numbers of examples of each class to learn from.
        few_shot_ways: classes of an episode; 0 for all.
        few_shot_queries: examples of each class that an episode classifies.
        few_shot_episodes: number of episodes.
        few_shot_examples: test images of each class that are looked at, at most; 0 for
            as many as the smallest class has.
        few_shot_seed: seed of the draws, the same at every epoch.

    Raises:
        ValueError: for options out of range, or more shots than a class has.
        DataError: for sets that cannot be had, share classes with the data of the
            network, or do not fit its images.
    """
    if not few_shot or len(set(few_shot)) < len(few_shot):
        raise ValueError(f"few_shot must name sets, each once, got {few_shot!r}.")
    if not few_shot_shots or len(set(few_shot_shots)) < len(few_shot_shots):
        raise ValueError(
            f"few_shot_shots must hold numbers, each once, got {few_shot_shots!r}."
        )
    check_value("few_shot_examples", few_shot_examples, lambda n: n >= 0, "0 or larger")
    given = {"dir": few_shot_dir, "resize": few_shot_resize}
    sets = {
        name: foreign_classes(name, subject.dataset, most=few_shot_examples, **given)
        for name in few_shot
    }
    options = {
        "number": few_shot_episodes,
        "queries": few_shot_queries,
        "ways": few_shot_ways,
    }
    for images, labels in sets.values():  # refuses what cannot be drawn
        shape = int(labels.max()) + 1, len(images) // (int(labels.max()) + 1), 2
        for shots in few_shot_shots:
            jax.eval_shape(
                lambda x, m=shots: episodes(x, jax.random.key(0), shots=m, **options),
                jax.ShapeDtypeStruct(shape, jnp.float32),
            )

    def see(drawn, variables, images, labels, weights):
        features = subject.features(variables, images).astype(jnp.float32)
        rows = jnp.concatenate([features, labels[:, None].astype(jnp.float32)], 1)
        return drawn.update(rows, weights)

    def measure(variables: Variables, reader: Reader) -> dict[str, jax.Array]:
        width = subject.classifier(variables)[0].shape[1]
        found: dict[str, jax.Array] = {}
        for name, (images, labels) in sets.items():
            empty = Bank.empty(len(images), width + 1)
            bank = reader.fold(see, empty, variables, name)
            features, classes_of = _ordered(bank, len(images))
            number = int(labels.max()) + 1
            values = _bounds(features, classes_of, number, few_shot_shots)
            each = features.reshape(number, -1, width)
            values |= _errors(each, few_shot_seed, few_shot_shots, options)
            found |= {f"{name}/{key}": value for key, value in values.items()}
        return found

    return Probe(measure, sets)


def _ordered(bank: Bank, number: int) -> tuple[jax.Array, jax.Array]:
    """Features [n, d] and labels [n], sorted by label, whatever device read them."""
    labels = jnp.where(bank.there, bank.rows[:, -1], jnp.inf)
    order = jnp.argsort(labels, stable=True)[:number]
    return bank.rows[order, :-1], labels[order].astype(jnp.int32)


def _bounds(
    features: jax.Array, labels: jax.Array, number: int, all_shots: tuple[int, ...]
) -> dict[str, jax.Array]:
    """What the moments of the new classes promise."""
    of = classes(features, labels, number)
    away = ~np.eye(number, dtype=bool)
    both = (of.spread[:, None] + of.spread[None]) / 2
    cdnv = jnp.where(away, both / jnp.where(away, of.distances, 1), 0)
    found = {
        "known_means_bound": known_means_bound(of),
        "directional_cdnv": jnp.nanmean(directional_cdnv(of)),
        "cdnv": jnp.sum(cdnv) / away.sum(),
    }
    return found | {f"bound_{m}": few_shot_bound(of, m) for m in all_shots}


def _errors(
    features: jax.Array,
    seed: int,
    all_shots: tuple[int, ...],
    options: dict[str, int],
) -> dict[str, jax.Array]:
    """Mean errors over the episodes, and the standard errors of these means."""
    found, key = {}, jax.random.key(seed)
    for shots in all_shots:
        for name in LEARNERS:
            each = episodes(features, key, shots=shots, learner=name, **options)
            found[f"{name}_{shots}"] = jnp.mean(each)
            error = jnp.std(each, ddof=1) if len(each) > 1 else jnp.nan
            found[f"{name}_{shots}_sem"] = jnp.asarray(error / np.sqrt(len(each)))
    return found
