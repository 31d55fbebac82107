"""Part of a dataset: some classes, fewer or imbalanced examples, random labels.

Train examples, test examples and random labels each have a random stream of their own,
with numbers for every example of the whole split. So no option changes what another
draws, and with one seed fewer examples or fewer random labels are a part of more.
Examples stay in their order.

References:
  C. Zhang et al. Understanding deep learning requires rethinking generalization.
  ICLR 2017.
  Z. Zhu et al. A geometric analysis of neural collapse with unconstrained features.
  NeurIPS 2021.
"""

import dataclasses

import numpy as np
from jaxtyping import Int, Int32

from ncjax.data.dataset import (
    DataError,
    Dataset,
    RandomLabels,
    Split,
    Tree,
    generator,
)
from ncjax.data.labelled import say
from ncjax.options import check_value, suggest

# What classes may be taken as: classes, or levels in the order of their names.
_OF_CLASSES = ("class", "ordinal")


def select(
    dataset: Dataset,
    *,
    classes: tuple[int | str, ...] = (),
    examples_per_class: int = 0,
    test_examples_per_class: int = 0,
    long_tail: str = "none",
    long_tail_ratio: float = 0.01,
    random_labels: float = 0.0,
    target: str = "class",
    seed: int = 0,
) -> Dataset:
    """Applies the options below in their order; the defaults change nothing.

    Args:
      dataset: The dataset to take a part of. Images are copied only if some go.
      classes: Names or indices of the classes to keep in both splits, relabelled 0,
        1, ... in the order given; empty keeps all.
      examples_per_class: Number of training examples to keep of each class, chosen at
        random; 0 keeps all.
      test_examples_per_class: The same number for the test split.
      long_tail: Profile of the sizes of the training classes, see `long_tail_counts`.
        The largest class gets as many examples as the smallest has before.
      long_tail_ratio: Size of the smallest class relative to the largest, in (0, 1].
      random_labels: Probability with which a training label is replaced by one drawn
        uniformly from all classes (which may be the same), as in Zhang et al.  Test
        labels stay as they are.
      target: What the labels are: "class", or "ordinal" where the classes are levels
        with an order, that of their names; `classes` puts them in another.
      seed: Seed of all choices.

    Raises:
      DataError: If a class or a number of examples is asked for that is not there, or
        the examples have no classes, or other labels than `target` says.
      ValueError: If an option is out of range.
    """
    if dataset.train.labels.dtype != np.int32 or dataset.train.labels.ndim != 1:
        asked = {
            "classes": classes != (),
            "examples_per_class": examples_per_class != 0,
            "test_examples_per_class": test_examples_per_class != 0,
            "long_tail": long_tail != "none",
            "random_labels": random_labels != 0,
        }
        _check_target(dataset, target, ("class", dataset.target))
        return _whole(dataset, [name for name, chosen in asked.items() if chosen])
    _check_target(dataset, target, _OF_CLASSES)
    kept = _class_indices(dataset, classes)
    names = tuple(dataset.class_names[k] for k in kept)
    relabel = np.full(dataset.num_classes, -1, np.int32)  # -1 marks what goes
    relabel[kept] = np.arange(len(kept))
    labels, test_labels = relabel[dataset.train.labels], relabel[dataset.test.labels]

    sizes = _sizes(labels, names, examples_per_class, "examples_per_class")
    if long_tail != "none":
        largest = int(sizes.min())
        sizes = long_tail_counts(largest, len(names), long_tail, long_tail_ratio)
    labels = _keep(labels, sizes, generator(seed, "train examples"))
    random = _random_labels(labels, len(names), seed)
    train = _take(dataset.train, labels).labelled(random.labels(random_labels))

    option = "test_examples_per_class"
    sizes = _sizes(test_labels, names, test_examples_per_class, option)
    test_labels = _keep(test_labels, sizes, generator(seed, "test examples"))
    if target == "ordinal" and names != tuple(map(str, range(len(names)))):
        order = " < ".join(names[:12]) + (" < ..." if names[12:] else "")
        say(f"{dataset.name}: levels {order} (config.data.classes puts them in order).")
    return dataclasses.replace(
        dataset,
        train=train,
        test=_take(dataset.test, test_labels),
        class_names=names,
        tree=None if dataset.tree is None else _prune(dataset.tree, names),
        random=random,
        target=dataset.target if target == "class" else target,
    )


def long_tail_counts(
    largest: int, num_classes: int, profile: str, ratio: float
) -> Int[np.ndarray, "K"]:
    """Class sizes n_0 >= n_1 >= ... of an imbalanced set, rounded down, at least 1.

    Args:
      largest: Size n_0 of the largest class.
      num_classes: Number of classes K.
      profile: "none" for n_0 in all classes, "exp" for n_k = n_0 ratio^(k / (K-1)) as
        in Cui et al., "step" for n_0 in the first floor(K / 2) classes and n_0 ratio
        in the others as in Buda et al.
      ratio: Size of the smallest class relative to the largest, n_{K-1} / n_0, in
        (0, 1].

    References:
      Y. Cui et al. Class-balanced loss based on effective number of samples. CVPR 2019.
      M. Buda et al. A systematic study of the class imbalance problem in
      convolutional neural networks. Neural Networks 106, 2018.
    """
    k = np.arange(num_classes)
    exponents = {
        "none": 0 * k,
        "exp": k / (num_classes - 1),
        "step": k >= num_classes // 2,
    }
    if profile not in exponents:
        raise ValueError(
            f"Unknown long_tail {profile!r}. Available: {', '.join(exponents)}."
        )
    allowed = "above 0 and at most 1"
    check_value("long_tail_ratio", ratio, lambda r: 0 < r <= 1, allowed)
    # 100 * 0.29 is 28.999...: a rounding error must not cost an example.
    sizes = np.floor(largest * ratio ** exponents[profile] * (1 + 1e-12))
    return np.maximum(sizes, 1).astype(int)


def _check_target(dataset: Dataset, target: str, allowed: tuple[str, ...]) -> None:
    """Raises `DataError` for labels that cannot be taken as what is asked for."""
    if target not in allowed:
        raise DataError(
            f"{dataset.name}: config.data.target = {target!r}, and its examples are "
            f"labelled with the target {dataset.target!r}. Available: "
            f"{', '.join(dict.fromkeys(allowed))}."
        )


def _whole(dataset: Dataset, asked: list[str]) -> Dataset:
    """A dataset without classes, of which no part can be chosen by its class."""
    if asked:
        raise DataError(
            f"{dataset.name}: {', '.join(asked)} choose by class, and its examples are "
            f"labelled with the target {dataset.target!r}. Leave "
            f"{'them' if len(asked) > 1 else 'it'} out, and choose the size by the "
            "options of the dataset."
        )
    return dataset


def _class_indices(dataset: Dataset, classes: tuple[int | str, ...]) -> list[int]:
    """Indices of the classes, of all if none is given."""
    names = dataset.class_names
    known = {c: k for k, name in enumerate(names) for c in (k, name)}
    for c in classes:
        if c not in known:
            raise DataError(
                f"Unknown class {c!r} of {dataset.name}. Available: "
                f"0..{len(names) - 1} or {', '.join(names)}.{suggest(str(c), names)}"
            )
    kept = [known[c] for c in classes or names]
    if len(set(kept)) < max(len(kept), 2):
        raise DataError(
            f"Got classes={classes}, must be 2 or more, none of them twice."
        )
    return kept


def _sizes(
    labels: Int32[np.ndarray, "n"], names: tuple[str, ...], per_class: int, option: str
) -> Int[np.ndarray, "K"]:
    """Number of examples to keep of each class: `per_class`, or all if that is 0."""
    present = np.bincount(labels[labels >= 0], minlength=len(names))
    if not 0 <= per_class <= present.min():
        raise DataError(
            f"Got {option}={per_class}, must be at most {present.min()}, the size of "
            f"the smallest class {names[present.argmin()]!r}, or 0 for all examples."
        )
    return np.full(len(names), per_class) if per_class else present


def _keep(
    labels: Int32[np.ndarray, "n"],
    sizes: Int[np.ndarray, "K"],
    rng: np.random.Generator,
) -> Int32[np.ndarray, "n"]:
    """Labels with -1 for all but `sizes[k]` random examples of each class k."""
    keys = rng.random(len(labels))
    kept = np.full_like(labels, -1)
    for k, size in enumerate(sizes):
        members = np.flatnonzero(labels == k)
        kept[members[np.argsort(keys[members])[:size]]] = k
    return kept


def _random_labels(
    labels: Int32[np.ndarray, "n"], num_classes: int, seed: int
) -> RandomLabels:
    """What random labels are drawn from, of the examples whose label is not -1."""
    rng = generator(seed, "random labels")
    uniform = rng.random(len(labels))
    drawn = rng.integers(num_classes, size=len(labels), dtype=np.int32)
    rows = np.flatnonzero(labels >= 0)
    return RandomLabels(labels[rows], uniform[rows], drawn[rows])


def _take(split: Split, labels: Int32[np.ndarray, "n"]) -> Split:
    """The examples whose label is not -1; only their images are decoded."""
    rows = np.flatnonzero(labels >= 0)
    return Split(split.take(rows).images, labels[rows])


def _prune(tree: Tree, names: tuple[str, ...]) -> Tree:
    """The tree without the other classes and without groups left empty."""
    if isinstance(tree, str):
        return tree
    branches = (_prune(b, names) for b in tree if not isinstance(b, str) or b in names)
    return tuple(b for b in branches if b)
