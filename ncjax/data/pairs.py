"""Two images in one: examples with a set of labels, or with a label for each half.

Both halves are images of one of `SOURCES`, of its training split in the training split
and of its test split in the test split.  How often two labels meet is dealt, not drawn:
the numbers of examples are as their chances say, to within one.  Of the images of a
class none is used again before all others are.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int, Shaped

from ncjax.data.dataset import DataError, Dataset, Split, generator
from ncjax.data.digits import digits
from ncjax.data.tfds import cifar10, fashion_mnist, mnist
from ncjax.memory import gigabytes, host_memory
from ncjax.options import check_value, options_of, unknown

SOURCES: dict[str, Callable[..., Dataset]] = {
    "digits": digits,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "cifar10": cifar10,
}


def pair_sets(
    *,
    source: str = "digits",
    single: float = 0.5,
    train_size: int = 1000,
    test_size: int = 1000,
    seed: int = 0,
    dir: str = "",
    download: bool = True,
) -> Dataset:
    """Images of one or two things, labelled with the set of what is on them.

    An image of two things has them side by side, and they are never of one class: two
    equal labels would be a set of one.  An image of one thing has it left or right, at
    random, and zeros in the other half.  Every class is as often alone as any other,
    and every two classes are as often together as any other two, to within one example.

    Args:
      source: Where the images are from: a name in `SOURCES`.
      single: Share of the examples that have one label, in 0..1, to within one example.
      train_size: Number of training examples, enough for every class to occur.
      test_size: Number of test examples, at least 1.
      seed: Seed of all choices.
      dir: The data folder of a source that is downloaded.
      download: Whether the source is downloaded where it is not prepared.

    Returns:
      Images [n, h, 2w, c], and labels bool [n, K] of the target "set".

    Raises:
      DataError: If the source is not there.
      ValueError: If an option is out of range.
    """
    whole = _source(source, dir, download, (train_size, test_size))
    check_value("single", single, lambda s: 0 <= s <= 1, "in 0..1")
    count = whole.num_classes

    def make(split: Split, size: int, rng: np.random.Generator) -> Split:
        one = _deal(np.eye(count), round(single * size), rng)
        two = _deal(np.triu(np.ones((count, count)), 1), size - len(one), rng)
        classes = rng.permutation(np.concatenate([one, two]))
        alone = classes[:, 0] == classes[:, 1]
        images = _stitch(split, rng.permuted(classes, axis=1), rng)
        blank = np.where(alone, rng.integers(2, size=size), -1)
        half = images.shape[2] // 2
        images[blank == 0, :, :half] = 0
        images[blank == 1, :, half:] = 0
        hot = np.zeros((size, count), bool)
        hot[np.arange(size)[:, None], classes] = True
        return Split(images, hot)

    train, test = _both(make, whole, (train_size, test_size), seed, "sets")
    return Dataset(f"{source} sets", train, test, whole.class_names, target="set")


def pair_tasks(
    *,
    source: str = "digits",
    task_classes: tuple[int, ...] = (10, 10),
    correlation: float = 0.0,
    train_size: int = 1000,
    test_size: int = 1000,
    seed: int = 0,
    dir: str = "",
    download: bool = True,
) -> Dataset:
    """Images of two things side by side; each half is a task of its own.

    The left label is uniform on 0..K_1 - 1.  With the probability `correlation` the
    right label is the left one modulo K_2, else it is uniform on 0..K_2 - 1, whatever
    the left one is.

    Args:
      source: Where the images are from: a name in `SOURCES`.
      task_classes: Numbers of classes (K_1, K_2) of the left and of the right task:
        these are the first of the source.
      correlation: Probability in 0..1 with which the right label follows from the left.
      train_size: Number of training examples, enough for every class to occur.
      test_size: Number of test examples, at least 1.
      seed: Seed of all choices.
      dir: The data folder of a source that is downloaded.
      download: Whether the source is downloaded where it is not prepared.

    Returns:
      Images [n, h, 2w, c], labels int32 [n, 2] of the target "tasks", and the names
      "left NAME" and "right NAME" of the K_1 + K_2 classes.

    Raises:
      DataError: If the source is not there.
      ValueError: If an option is out of range.
    """
    whole = _source(source, dir, download, (train_size, test_size))
    check_value("correlation", correlation, lambda s: 0 <= s <= 1, "in 0..1")
    most = whole.num_classes
    check_value(
        "task_classes",
        task_classes,
        lambda sizes: len(sizes) == 2 and all(2 <= k <= most for k in sizes),
        f"two numbers in 2..{most} for the classes of {source}",
    )
    first, second = task_classes
    table = np.full(task_classes, (1 - correlation) / (first * second))
    table[np.arange(first), np.arange(first) % second] += correlation / first

    def make(split: Split, size: int, rng: np.random.Generator) -> Split:
        classes = _deal(table, size, rng)
        return Split(_stitch(split, classes, rng), classes.astype(np.int32))

    train, test = _both(make, whole, (train_size, test_size), seed, "tasks")
    names = tuple(
        f"{side} {name}"
        for side, count in zip(("left", "right"), task_classes, strict=True)
        for name in whole.class_names[:count]
    )
    about = {"target": "tasks", "tasks": tuple(task_classes)}
    return Dataset(f"{source} tasks", train, test, names, **about)


Make = Callable[[Split, int, np.random.Generator], Split]


def _source(name: str, dir: str, download: bool, sizes: tuple[int, int]) -> Dataset:
    """The data set that images are taken from, if so many pairs have room."""
    if name not in SOURCES:
        raise DataError(unknown("source", name, SOURCES))
    for option, size in zip(("train_size", "test_size"), sizes, strict=True):
        check_value(option, size, lambda v: v >= 1, "1 or larger")
    build = SOURCES[name]
    given = {"dir": dir, "download": download}
    whole = build(**{key: given[key] for key in options_of(build)})
    # The pairs, and the images that they are made of.
    needed = 4 * sum(sizes) * int(np.prod(whole.image_shape))
    if needed > host_memory():
        raise ValueError(
            f"{sizes[0]} and {sizes[1]} pairs of {name} need {gigabytes(needed)} of "
            f"memory, and there are {gigabytes(host_memory())}. Take a smaller "
            "config.data.train_size or test_size."
        )
    return whole


def _both(
    make: Make, whole: Dataset, sizes: tuple[int, int], seed: int, purpose: str
) -> tuple[Split, Split]:
    """The training and the test split; the size of one does not change the other."""
    train, test = (
        make(split, size, generator(seed, f"{which} {purpose}"))
        for which, split, size in zip(
            ("train", "test"), (whole.train, whole.test), sizes, strict=True
        )
    )
    return train, test


def _deal(
    table: Float[np.ndarray, "a b"], size: int, rng: np.random.Generator
) -> Int[np.ndarray, "n 2"]:
    """Cells of a table of chances, each as often as its share of all, to within one."""
    exact = size * table.ravel() / table.sum()
    counts = np.floor(exact + 1e-9).astype(int)  # 0.3 * 10 is 2.9999999999999996
    # The largest remainders get what is left; equal ones by lot.
    rest = np.round(exact - counts, 9)
    order = np.lexsort((rng.random(len(rest)), -rest))
    counts[order[: size - counts.sum()]] += 1
    cells = rng.permutation(np.repeat(np.arange(counts.size), counts))
    return np.stack(np.unravel_index(cells, table.shape), 1)


def _stitch(
    split: Split, classes: Int[np.ndarray, "n 2"], rng: np.random.Generator
) -> Shaped[np.ndarray, "n h w2 c"]:
    """Images of the wanted classes, side by side."""
    rows = np.empty(classes.size, int)
    wanted = classes.ravel()
    for k in np.unique(wanted):
        places = np.flatnonzero(wanted == k)
        members = np.flatnonzero(split.labels == k)
        rounds = -(-len(places) // len(members))
        drawn = [rng.permutation(members) for _ in range(rounds)]
        # By lot too, so that left and right have no part in the order.
        rows[rng.permutation(places)] = np.concatenate(drawn)[: len(places)]
    kept, inverse = np.unique(rows, return_inverse=True)
    images = split.take(kept).images[inverse.reshape(classes.shape)]  # [n, 2, h, w, c]
    return np.concatenate([images[:, 0], images[:, 1]], axis=2)
