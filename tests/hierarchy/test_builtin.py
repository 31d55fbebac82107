"""Built-in trees, and balanced ones."""

import numpy as np
import pytest

from ncjax.hierarchy import BUILTIN, HierarchyError, balanced


def test_builtin_trees_have_the_labels_of_the_data():
    tops = "T-shirt/top|Trouser|Pullover|Dress|Coat|Sandal|Shirt|Sneaker|Bag|Ankle boot"
    assert BUILTIN["fashion_mnist"]().class_names == tuple(tops.split("|"))
    for name in ("mnist", "digits"):
        assert BUILTIN[name]().class_names == tuple("0123456789")
    ten = "airplane automobile bird cat deer dog frog horse ship truck"
    assert BUILTIN["cifar10"]().class_names == tuple(ten.split())
    for name in ("cifar100", "cifar100_5", "cifar100_deep"):
        tree = BUILTIN[name]()
        assert tree.class_names == tuple(sorted(tree.class_names))  # as in the data
        assert tree.num_classes == 100
        some = "apple bowl chair dolphin lamp mouse plain rose squirrel train"
        assert tree.class_names[::10] == (*some.split(),)


def test_cifar100_superclasses():
    flat, deep = BUILTIN["cifar100"](), BUILTIN["cifar100_deep"]()
    groups, names = flat.superclasses(1)
    assert len(names) == 20
    np.testing.assert_array_equal(np.bincount(groups), [5] * 20)
    assert {c for c, g in zip(flat.class_names, groups) if names[g] == "people"} == {
        *("baby", "boy", "girl", "man", "woman")
    }
    assert deep.height == 6
    of = {name: i for i, name in enumerate(deep.names)}
    for leaf, group in zip(deep.leaves, groups):  # the superclasses stay whole
        assert deep.parents[leaf] == of[names[group]]
    assert (deep.distances() != deep.distances("depth")).any()


def test_cifar100_in_five_levels():
    """Sizes of the levels and of some groups, as in the published table of classes."""
    tree = BUILTIN["cifar100_5"]()
    sizes = [len(tree.superclasses(depth)[1]) for depth in range(1, 6)]
    assert sizes == [2, 4, 8, 20, 100]
    assert (tree.depths[tree.leaves] == 5).all()
    counts = [np.bincount(tree.superclasses(depth)[0]).tolist() for depth in (1, 2, 3)]
    assert sorted(counts[0]) == [35, 65]
    assert sorted(counts[1]) == [5, 15, 30, 50]
    assert sorted(counts[2]) == [5, 5, 10, 10, 15, 15, 15, 25]
    classes, heights = tree.class_names, tree.lca_heights()
    apart = {
        **{("bear", "baby"): 2, ("bear", "bee"): 3, ("bear", "rose"): 4},
        **{("bear", "bus"): 5, ("bed", "bowl"): 2, ("bed", "bus"): 3},
        **{("bed", "sea"): 4, ("crab", "snake"): 2, ("otter", "shark"): 2},
    }
    for (one, other), height in apart.items():
        assert heights[classes.index(one), classes.index(other)] == height


def test_builtin_shapes():
    heights = {name: make().height for name, make in BUILTIN.items()}
    assert heights == {
        **{"cifar10": 3, "cifar100": 2, "cifar100_5": 5, "cifar100_deep": 6},
        **{"digits": 3, "mnist": 3, "fashion_mnist": 3},
    }
    fashion = BUILTIN["fashion_mnist"]()
    row = dict(zip(fashion.class_names, fashion.lca_heights()[0].tolist()))
    assert (row["Shirt"], row["Dress"], row["Bag"], row["Sandal"]) == (1, 2, 3, 3)
    assert (fashion.distances() != fashion.distances("depth")).any()
    digits = BUILTIN["digits"]().lca_heights()
    assert (digits[6, 9], digits[3, 8], digits[1, 7], digits[1, 8]) == (1, 2, 1, 3)


def test_balanced():
    tree = balanced((2, 3))
    assert tree.class_names == tuple("012345")
    assert tree.nested() == {"root": {"1.0": [*"012"], "1.1": [*"345"]}}
    assert balanced(2, 3) == balanced((2, 2, 2))
    k = np.arange(8)
    want = np.frompyfunc(lambda a, b: int(a ^ b).bit_length(), 2, 1).outer(k, k)
    np.testing.assert_array_equal(balanced(2, 3).lca_heights(), want.astype(int))
    np.testing.assert_array_equal(
        balanced(3, 2).distances(), balanced(3, 2).distances("depth")
    )
    assert balanced((1, 2, 1)).height == 3
    for arguments, message in (
        ((2,), "arity=2 and height=None"),
        (((2, 2), 2), r"arity=\(2, 2\) and height=2"),
        ((2, 0), "height=0, must be 1"),
        ((0, 2), "arity=0, must be 1"),
        (((),), r"arity=\(\)"),
        (((2, 0),), "must be 1 or larger at each depth"),
    ):
        with pytest.raises(ValueError, match=message):
            balanced(*arguments)
    with pytest.raises(HierarchyError, match="at least 2 classes, got 1"):
        balanced(1, 4)
