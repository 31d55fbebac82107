"""The probe `few_shot` against whole arrays; bounds hold; what it refuses."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import transfer
from ncjax.data import DATASETS, DataError, Dataset, Split
from ncjax.probes import METRICS, PROBES
from ncjax.probes.foreign import foreign_classes
from ncjax.runs.metrics import describe
from tests.probes.test_probes import DATA, features, measure, network, subject

NAMES = ("ant", "bee", "cow", "dog")
OPTIONS = {
    "few_shot": ("other",),
    "few_shot_shots": (2,),
    "few_shot_queries": 4,
    "few_shot_episodes": 30,
}


@pytest.fixture(autouse=True)
def other(monkeypatch):
    """Four new classes around random centres, 10 to 13 images of each, mixed."""
    rng = np.random.default_rng(4)
    labels = rng.permutation(np.repeat(np.arange(4), (10, 11, 12, 13))).astype(np.int32)
    centres = rng.normal(size=(4, *DATA.image_shape)) * 2
    images = centres[labels] + rng.normal(size=(46, *DATA.image_shape))
    split = Split(images.astype(np.float32), labels)
    found = Dataset(name="other", train=split, test=split, class_names=NAMES)
    monkeypatch.setitem(DATASETS, "other", lambda: found)
    return found


def chosen(other, names):
    """The same data set with images of some classes alone."""
    labels = np.arange(6, dtype=np.int32) % len(names)
    split = Split(other.test.images[:6], labels)
    return dataclasses.replace(other, train=split, test=split, class_names=names)


def whole(other):
    """Features [C, n, d] of the first ten images of each class."""
    labels = other.test.labels
    rows = np.stack([np.flatnonzero(labels == k)[:10] for k in range(4)])
    with jax.default_matmul_precision("highest"):
        flat = features(network(), jnp.asarray(other.test.images[rows.ravel()]))
    return flat.reshape(4, 10, -1)


def test_it_finds_what_whole_arrays_give(other):
    """8 is no multiple of the 40 examples on 8 devices: padding counts for nothing."""
    probe = PROBES["few_shot"](subject(), **OPTIONS)
    found = measure({"few_shot": probe}, network(), devices=8, batch_size=24)
    found = {key.removeprefix("probe/few_shot/other/"): x for key, x in found.items()}
    each = whole(other)
    of = transfer.classes(each.reshape(40, -1), jnp.repeat(jnp.arange(4), 10), 4)
    assert found["known_means_bound"] == pytest.approx(
        float(transfer.known_means_bound(of)), rel=1e-5
    )
    means, spread = each.mean(1), each.var(1).sum(1)
    pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
    cdnv = [
        (spread[i] + spread[j]) / 2 / ((means[i] - means[j]) ** 2).sum()
        for i, j in pairs
    ]
    assert found["cdnv"] == pytest.approx(float(np.mean(cdnv)), rel=1e-4)
    about = {"number": 30, "queries": 4}
    for shots in OPTIONS["few_shot_shots"]:
        bound = float(transfer.few_shot_bound(of, shots))
        assert found[f"bound_{shots}"] == pytest.approx(bound, rel=1e-5)
        for name in transfer.LEARNERS:
            errors = transfer.episodes(
                each, jax.random.key(0), shots=shots, learner=name, **about
            )
            # One query on an edge may fall to the other side by rounding.
            near = pytest.approx(float(errors.mean()), abs=1.1 / (30 * 16))
            assert found[f"{name}_{shots}"] == near
            sem = float(errors.std(ddof=1)) / np.sqrt(30)
            assert found[f"{name}_{shots}_sem"] == pytest.approx(sem, rel=0.02)
        mean, sem = (found[f"nearest_mean_{shots}{x}"] for x in ("", "_sem"))
        assert mean - 3 * sem < found[f"bound_{shots}"]


def test_classes_that_were_left_out_are_new(other):
    known = chosen(other, ("bee", "dog"))
    images, labels = foreign_classes("held_out", known, most=5)
    assert labels.tolist() == [0] * 5 + [1] * 5
    cow = other.test.images[other.test.labels == 2]
    np.testing.assert_array_equal(images[5:], cow[:5])
    most = chosen(other, NAMES[:3])
    with pytest.raises(DataError, match=r"Of the 4 classes of other 1 are held out"):
        foreign_classes("held_out", most)
    with pytest.raises(DataError, match="other shares 4 classes with other"):
        foreign_classes("other", other)


def test_every_number_has_a_title():
    assert (
        describe("probe/few_shot/other/ridge_5").title
        == "5-shot error of ridge (other)"
    )
    for name in transfer.LEARNERS:
        assert f"few_shot/{name}_1" in METRICS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"few_shot": ()}, r"few_shot must name sets, each once, got \(\)"),
        ({"few_shot_shots": (1, 1)}, r"must hold numbers, each once, got \(1, 1\)"),
        ({"few_shot_shots": (7,)}, r"takes 7 \+ 4 examples of each class.*has 10"),
        ({"few_shot_shots": (0,)}, "shots must be at least 1, got 0"),
        ({"few_shot_ways": 9}, r"ways must be in 2\.\.4, got 9"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PROBES["few_shot"](subject(), **OPTIONS | options)
