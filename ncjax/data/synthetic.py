r"""Gaussian classes on a tree, where the geometry of the class means is known.

The tree has the least depth L with branching^L >= num_classes. The ancestor of class k
at level l = 1..L (L being the class itself) is the node
$a_l(k) = \lfloor k / branching^{L-l} \rfloor$, so that the last group of a level is
smaller where the division leaves a rest. With all z and e independent standard normal
in `dim` dimensions and $s_l = depth\_scale^{l-1}$,

$$ \mu_k = \sum_{l=1}^{L} s_l z_{l, a_l(k)}, \qquad x = \mu_y + noise \cdot e. $$

Two classes whose lowest common ancestor lies h levels above them thus have
$E|\mu_j - \mu_k|^2 = 2\,dim \sum_{l=L-h+1}^{L} s_l^2$.
"""

import numpy as np

from ncjax.data.dataset import Dataset, Split, Tree, generator
from ncjax.memory import gigabytes, host_memory
from ncjax.options import check_value


def synthetic(
    *,
    num_classes: int = 8,
    dim: int = 64,
    train_size_per_class: int = 100,
    test_size_per_class: int = 100,
    train_counts: tuple[int, ...] = (),
    branching: int = 2,
    depth_scale: float = 0.5,
    noise: float = 0.5,
    seed: int = 0,
) -> Dataset:
    """A Gaussian mixture whose means walk randomly down a class tree.

    The tree, the train noise and the test noise come from random streams of their own:
    sizes do not change the means.

    Args:
      num_classes: Number of classes K, at least 2.
      dim: Number of dimensions of an example.
      train_size_per_class: Number of training examples of each class.
      test_size_per_class: Number of test examples of each class.
      train_counts: Number of training examples of class 0, 1, ..., for an imbalanced
        set; replaces `train_size_per_class` unless empty.
      branching: Number of children of a node, at least 2; if it is `num_classes` or
        more, the tree is flat and the means are independent.
      depth_scale: Ratio of the offsets' scale from one level to the next, above 0.
      noise: Standard deviation of an example about its mean in each dimension.
      seed: Seed of the means and of the noise.

    Returns:
      Float32 images [n, 1, dim, 1] in the order of the classes, named "0", "1", ...,
      with `tree`.

    Raises:
      ValueError: If an option is out of range.
    """
    for name, value, least in (
        ("num_classes", num_classes, 2),
        ("branching", branching, 2),
        ("dim", dim, 1),
        ("train_size_per_class", train_size_per_class, 1),
        ("test_size_per_class", test_size_per_class, 1),
    ):
        must_be = f"{least} or larger"
        check_value(name, value, lambda v, least=least: v >= least, must_be)
    examples = num_classes * (train_size_per_class + test_size_per_class)
    needed = 8 * dim * (num_classes + sum(train_counts) + examples)
    if needed > host_memory():
        raise ValueError(
            f"{num_classes} classes of {train_size_per_class} and "
            f"{test_size_per_class} examples of dim={dim} need {gigabytes(needed)} of "
            f"memory, and there are {gigabytes(host_memory())}."
        )
    above = "finite and above 0"
    check_value("depth_scale", depth_scale, lambda s: 0 < s < np.inf, above)
    check_value("noise", noise, lambda s: 0 <= s < np.inf, "finite and 0 or larger")
    train_counts = train_counts or (train_size_per_class,) * num_classes
    check_value(
        "train_counts",
        train_counts,
        lambda counts: len(counts) == num_classes and min(counts) >= 1,
        f"empty or {num_classes} numbers of at least 1, one for each of "
        f"num_classes={num_classes}",
    )
    means = _means(num_classes, dim, branching, depth_scale, seed)
    test_counts = (test_size_per_class,) * num_classes
    class_names = tuple(map(str, range(num_classes)))
    return Dataset(
        name="synthetic",
        train=_draw(means, train_counts, noise, generator(seed, "train noise")),
        test=_draw(means, test_counts, noise, generator(seed, "test noise")),
        class_names=class_names,
        tree=_tree(class_names, branching),
    )


def _means(
    num_classes: int, dim: int, branching: int, depth_scale: float, seed: int
) -> np.ndarray:
    """The class means [K, dim]: the sum of the offsets on the way down the tree."""
    rng = generator(seed, "means")
    means = np.zeros((num_classes, dim))
    depth = 1
    while branching**depth < num_classes:
        depth += 1
    for level in range(1, depth + 1):
        ancestor = np.arange(num_classes) // branching ** (depth - level)
        offsets = rng.standard_normal((ancestor[-1] + 1, dim))
        means += (depth_scale ** (level - 1) * offsets)[ancestor]
    return means


def _draw(
    means: np.ndarray, counts: tuple[int, ...], noise: float, rng: np.random.Generator
) -> Split:
    """Examples about the means; `counts` has the number of each class."""
    labels = np.repeat(np.arange(len(means), dtype=np.int32), counts)
    x = rng.standard_normal((len(labels), means.shape[1]), dtype=np.float32)
    x = noise * x + means[labels]
    return Split(x.astype(np.float32)[:, None, :, None], labels)


def _tree(class_names: tuple[str, ...], branching: int) -> tuple[Tree, ...]:
    """Nested tuples of classes, `branching` at each node."""
    tree: tuple[Tree, ...] = class_names
    while len(tree) > branching:
        tree = tuple(tree[i : i + branching] for i in range(0, len(tree), branching))
    return tree
