from ncjax.hierarchy.tree import Hierarchy


def from_nested(tree, classes=None):
    names, parents = ["root"], [-1]

    def walk(node, parent):
        for child in node:
            names.append(child if isinstance(child, str) else f"inner{len(names)}")
            parents.append(parent)
            if not isinstance(child, str):
                walk(child, len(names) - 1)

    walk(tree, 0)
    return Hierarchy(names, parents, classes)


def read(p):
    raise NotImplementedError


C = "airplane automobile bird cat deer dog frog horse ship truck".split()
F = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]
BUILTIN = {
    "cifar10": lambda: from_nested(
        (
            (("cat", "deer", "dog", "horse"), "frog", "bird"),
            (("automobile", "truck"), "ship", "airplane"),
        ),
        C,
    ),
    "fashion_mnist": lambda: from_nested(
        (
            (("T-shirt/top", "Pullover", "Coat", "Shirt"), "Trouser", "Dress"),
            (("Sandal", "Sneaker", "Ankle boot"), "Bag"),
        ),
        F,
    ),
    "digits": lambda: from_nested(
        (("0", "6", "8", "9"), ("1", "4", "7"), ("2", "3", "5")), list("0123456789")
    ),
}
