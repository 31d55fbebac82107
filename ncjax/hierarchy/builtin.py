"""Class trees of the data sets, with the classes in the order of their labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ncjax.hierarchy.formats import from_nested
from ncjax.hierarchy.tree import Hierarchy


def cifar10() -> Hierarchy:
    """CIFAR-10: animals (mammals, bird, frog) and vehicles (on land, ship, airplane).

    Leaves lie at depth 2 or 3, and an inner node at depth t has height 3 - t, so that
    both rules of `Hierarchy.distances` agree.
    """
    mammals, land = ["cat", "deer", "dog", "horse"], ["automobile", "truck"]
    animals = {"mammal": mammals, "bird": None, "frog": None}
    vehicles = {"land_vehicle": land, "ship": None, "airplane": None}
    classes = "airplane automobile bird cat deer dog frog horse ship truck"
    return from_nested(
        {"entity": {"animal": animals, "vehicle": vehicles}}, classes.split()
    )


def cifar100() -> Hierarchy:
    """CIFAR-100: the 20 superclasses that come with the data, each of 5 classes.

    References:
        A. Krizhevsky. Learning Multiple Layers of Features from Tiny Images. 2009.
    """
    return from_nested({"entity": _cifar100(_CIFAR100)}, _CLASSES100)


def cifar100_deep() -> Hierarchy:
    """A tree of height 6 over the superclasses of CIFAR-100; our own, not a standard.

    The 20 superclasses stay whole.  Above them stand groups by kind: animals
    (vertebrates, with the mammals as a group among them, and invertebrates), plants
    (with the superclass of fruit and vegetables, which has the mushroom), and artifacts
    (household, vehicles, buildings).  Leaves lie at depths 2 to 6, so that the two
    rules of `Hierarchy.distances` differ.
    """
    land = ["large_carnivores", "large_omnivores_and_herbivores"]
    land += ["medium_mammals", "small_mammals"]
    mammals = _cifar100(["aquatic_mammals", "people"])
    vertebrates = _cifar100(["fish", "reptiles"])
    vertebrates["mammals"] = mammals | {"land_mammals": _cifar100(land)}
    invertebrates = _cifar100(["insects", "non-insect_invertebrates"])
    household = ["food_containers", "household_electrical_devices"]
    artifacts = {
        "household": _cifar100([*household, "household_furniture"]),
        "vehicles": _cifar100(["vehicles_1", "vehicles_2"]),
    }
    kinds = {
        "animals": {"vertebrates": vertebrates, "invertebrates": invertebrates},
        "plants": _cifar100(["flowers", "fruit_and_vegetables", "trees"]),
        "artifacts": artifacts | _cifar100(["large_man-made_outdoor_things"]),
    }
    kinds |= _cifar100(["large_natural_outdoor_scenes"])
    return from_nested({"entity": kinds}, _CLASSES100)


def cifar100_5() -> Hierarchy:
    """CIFAR-100 in five levels of 2, 4, 8, 20 and 100 nodes; all classes at depth 5.

    The tree of most published tables of CIFAR-100 (Chang et al., Your "Flamingo" is My
    "Bird": Fine-Grained, or Not, CVPR 2021); the names above the superclasses are ours.
    Some nodes have a single child.
    """
    mammals = ["large_carnivores", "large_omnivores_and_herbivores"]
    mammals += ["medium_mammals", "people", "small_mammals"]
    indoors = ["food_containers", "household_electrical_devices"]
    crawling = ["insects", "non-insect_invertebrates", "reptiles"]
    animals = {
        "land_mammals": _cifar100(mammals),
        "reptiles_and_invertebrates": _cifar100(crawling),
        "aquatic_animals": _cifar100(["aquatic_mammals", "fish"]),
    }
    flora = _cifar100(["flowers", "fruit_and_vegetables", "trees"])
    artifacts = {
        "indoor_things": _cifar100([*indoors, "household_furniture"]),
        "outdoor_structures": _cifar100(["large_man-made_outdoor_things"]),
        "vehicles": _cifar100(["vehicles_1", "vehicles_2"]),
    }
    scenes = {"landscapes": _cifar100(["large_natural_outdoor_scenes"])}
    living = {"animals": animals, "plants": {"flora": flora}}
    other = {"artifacts": artifacts, "nature": scenes}
    return from_nested({"entity": {"living": living, "other": other}}, _CLASSES100)


def digits() -> Hierarchy:
    """The ten digits by the shape of their strokes; our own, not a standard.

    Straight (1, 4, 7), or curved: open (2, 3, 5) or with a closed loop (0, 6, 8, 9).
    The straight digits lie less deep than the others, so that the two rules of
    `Hierarchy.distances` differ.
    """
    curved = {"open": ["2", "3", "5"], "loop": ["0", "6", "8", "9"]}
    tree = {"digit": {"straight": ["1", "4", "7"], "curved": curved}}
    return from_nested(tree, list("0123456789"))


def fashion_mnist() -> Hierarchy:
    """Fashion-MNIST by where a piece is worn; our own, not a standard.

    Clothing (the four tops, Trouser, Dress), footwear, and Bag directly under the root.
    The group of footwear has the height of the tops but lies less deep, so that the two
    rules of `Hierarchy.distances` differ.
    """
    tops = ["T-shirt/top", "Pullover", "Coat", "Shirt"]
    clothing = {"tops": tops, "Trouser": None, "Dress": None}
    footwear = ["Sandal", "Sneaker", "Ankle boot"]
    tree = {"article": {"clothing": clothing, "footwear": footwear, "Bag": None}}
    classes = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"]
    return from_nested(
        tree, [*classes, "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
    )


def balanced(arity: int | Sequence[int], height: int | None = None) -> Hierarchy:
    """A tree whose nodes at one depth all have the same number of children.

    The classes are "0", "1", ... from left to right, an inner node "depth.number", and
    the root "root": the class k under `balanced(2, 3)` has the parent `2.{k // 2}`.

    Args:
        arity: number of children of each inner node, given with `height`; or a
            sequence, the number of children of the nodes at depths 0, 1, ...
        height: depth of the classes, if `arity` is one number.

    Raises:
        ValueError: if an arity or the height is below 1, or both or neither of `height`
            and a sequence are given.
        HierarchyError: if that makes less than 2 classes.

    Example:
        >>> from ncjax.hierarchy import balanced
        >>> tree = balanced([2, 2])
        >>> tree.class_names
        ('0', '1', '2', '3')
        >>> tree.lca_heights()[0]  # 0 and 1 are siblings
        array([0, 1, 2, 2]...)
    """
    if isinstance(arity, int) == (height is None):
        raise ValueError(
            f"Got arity={arity!r} and height={height}, must be a number and a height, "
            "as in `balanced(2, 3)`, or one arity for each depth: `balanced((5, 2))`."
        )
    if height is not None and height < 1:
        raise ValueError(f"Got height={height}, must be 1 or larger.")
    arities = [arity] * (height or 0) if isinstance(arity, int) else list(arity)
    if not arities or min(arities) < 1:
        raise ValueError(f"Got arity={arity!r}, must be 1 or larger at each depth.")
    sizes = np.cumprod([1, *arities])
    names, parents = ["root"], [-1]
    for depth, size in enumerate(sizes[1:], 1):
        prefix = f"{depth}." if depth < len(arities) else ""
        above = len(names) - sizes[depth - 1]  # the first node one level up
        names += [f"{prefix}{i}" for i in range(size)]
        parents += (above + np.arange(size) // arities[depth - 1]).tolist()
    return Hierarchy(names, parents)


def _cifar100(superclasses: Iterable[str]) -> dict[str, Any]:
    """Some superclasses of CIFAR-100 with their classes."""
    return {name: _CIFAR100[name].split() for name in superclasses}


_CIFAR100 = {
    "aquatic_mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food_containers": "bottle bowl can cup plate",
    "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
    "household_electrical_devices": "clock keyboard lamp telephone television",
    "household_furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large_carnivores": "bear leopard lion tiger wolf",
    "large_man-made_outdoor_things": "bridge castle house road skyscraper",
    "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
    "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium_mammals": "fox porcupine possum raccoon skunk",
    "non-insect_invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small_mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles_1": "bicycle bus motorcycle pickup_truck train",
    "vehicles_2": "lawn_mower rocket streetcar tank tractor",
}
_CLASSES100 = sorted(" ".join(_CIFAR100.values()).split())

BUILTIN: dict[str, Callable[[], Hierarchy]] = {
    "cifar10": cifar10,
    "cifar100": cifar100,
    "cifar100_5": cifar100_5,
    "cifar100_deep": cifar100_deep,
    "digits": digits,
    "fashion_mnist": fashion_mnist,
    "mnist": digits,
}
