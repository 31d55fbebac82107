"""Metrics of mistakes: hand-computed, literal NumPy versions, identities, batching."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.evaluation.mistakes import Mistakes, confusion, confusion_by_level
from ncjax.hierarchy import BUILTIN, Hierarchy
from tests.losses.depths import NAMES, TREES

CIFAR = BUILTIN["cifar10"]()
# a and b are siblings, c is their cousin, d lies under the root.
SMALL = Hierarchy(["root", "x", "y", *"abcd"], [-1, 0, 1, 2, 2, 1, 0])


def measure(mistakes, scores, labels):
    values = jax.jit(mistakes.values)(
        jnp.asarray(scores, jnp.float32), jnp.asarray(labels)
    )
    return mistakes.summary(jax.tree.map(lambda v: v.mean(0), values))


def draw(k=10, n=200, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n).astype(np.int32)
    scores = rng.normal(size=(n, k)) + 1.5 * np.eye(k)[labels]
    return scores, labels


def test_hand_computed():
    scores = np.array(
        [
            [9.0, 2, 1, 0],  # right
            [2, 9, 1, 0],  # b for a: height 1
            [0, 1, 2, 9],  # d for c: height 3
            [0, 9, 2, 1],  # b for c: height 2
        ]
    )
    got = measure(Mistakes(SMALL, top=(1, 2)), scores, np.array([0, 0, 2, 2]))
    assert got["error"] == 0.75
    assert got["mistake_severity"] == 2.0
    assert got["ahd@1"] == 1.5
    assert got["top2_error"] == 0.0
    # The two best of each: a b, b a, d c, b c.
    assert got["ahd@2"] == np.mean([0.5, 0.5, 1.5, 1.0])
    assert got["min_distance@2"] == 0.0
    # 1 - h/3 of the two best, over that of the label and its nearest class.
    near = np.array([1 + 2 / 3, 1 + 2 / 3, 1 + 0, 1 / 3 + 1])
    best = np.array([1 + 2 / 3, 1 + 2 / 3, 1 + 1 / 3, 1 + 1 / 3])
    np.testing.assert_allclose(got["precision@2"], np.mean(near / best), rtol=1e-6)
    assert got["level1_error"] == 0.25  # d for c is the only one out of x
    assert got["level2_error"] == 0.5  # b for c too leaves its group


def test_literal_version_on_cifar10():
    scores, labels = draw()
    got = measure(Mistakes(CIFAR, top=(1, 3, 5)), scores, labels)
    heights = CIFAR.lca_heights()
    order = np.argsort(-scores, axis=1)
    wrong = order[:, 0] != labels
    found = heights[labels[:, None], order]
    np.testing.assert_allclose(got["error"], wrong.mean(), rtol=1e-6)
    np.testing.assert_allclose(
        got["mistake_severity"], found[wrong, 0].mean(), rtol=1e-5
    )
    for k in (3, 5):
        in_best = (order[:, :k] == labels[:, None]).any(1)
        np.testing.assert_allclose(got[f"top{k}_error"], 1 - in_best.mean(), rtol=1e-5)
        np.testing.assert_allclose(got[f"ahd@{k}"], found[:, :k].mean(), rtol=1e-5)
        least = found[:, :k].min(1).mean()
        np.testing.assert_allclose(got[f"min_distance@{k}"], least, rtol=1e-5)
        gained = (1 - found[:, :k] / 3).sum(1)
        possible = np.sort(1 - heights[labels] / 3, axis=1)[:, ::-1][:, :k].sum(1)
        np.testing.assert_allclose(
            got[f"precision@{k}"], np.mean(gained / possible), rtol=1e-5
        )
    # Identity: AHD@1 = error x severity.
    np.testing.assert_allclose(
        got["ahd@1"], got["error"] * got["mistake_severity"], rtol=1e-6
    )


def literal(tree, scores, labels, top):
    """Each metric of the decisions as its definition reads, node by node."""
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    above = []
    for leaf in tree.leaves:
        nodes, node = set(), leaf
        while node >= 0:
            nodes.add(node)
            node = tree.parents[node]
        above.append(nodes)

    def meet(a, b):
        return max(above[a] & above[b], key=lambda node: tree.depths[node])

    classes = range(tree.num_classes)
    height = np.array([[tree.heights[meet(a, b)] for b in classes] for a in classes])
    depth = np.array([[tree.depths[meet(a, b)] for b in classes] for a in classes])
    found = {}
    for prefix, ranks in (("", -scores), ("crm_", p @ height)):
        order = np.argsort(ranks, axis=1, kind="stable")
        best, away = order[:, 0], height[labels[:, None], order]
        wrong = best != labels
        found[f"{prefix}error"] = wrong.mean()
        found[f"{prefix}mistake_severity"] = away[wrong, 0].mean()
        from_depth = tree.height - depth[labels, best]
        found[f"{prefix}mistake_severity_depth"] = from_depth[wrong].mean()
        for k in top:
            found[f"{prefix}ahd@{k}"] = away[:, :k].mean()
            if k == 1:
                continue
            found[f"{prefix}top{k}_error"] = (away[:, :k] > 0).all(1).mean()
            found[f"{prefix}min_distance@{k}"] = away[:, :k].min(1).mean()
            near = 1 - height / tree.height
            most = np.sort(near[labels], axis=1)[:, ::-1][:, :k].sum(1)
            gained = np.take_along_axis(near[labels], order, 1)[:, :k].sum(1)
            found[f"{prefix}precision@{k}"] = (gained / most).mean()
        pairs = [(above[a] - {0}, above[b] - {0}) for a, b in zip(labels, best)]
        both = sum(len(a & b) for a, b in pairs)
        of_label, of_best = (sum(len(pair[i]) for pair in pairs) for i in (0, 1))
        found[f"{prefix}hierarchical_precision"] = both / of_best
        found[f"{prefix}hierarchical_recall"] = both / of_label
        found[f"{prefix}hierarchical_f1"] = 2 * both / (of_best + of_label)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_literal_versions_on_trees_of_any_shape(name):
    tree = TREES[name]
    scores, labels = draw(tree.num_classes, n=120)
    top = [k for k in (1, 2, 5, 20) if k < tree.num_classes]
    mistakes = Mistakes(tree, top=tuple(top), crm=True, order=True)
    got = measure(mistakes, scores, labels)
    want = literal(tree, scores, labels, top)
    if "mistake_severity_depth" not in got:  # both distances of the tree are one
        for prefix in ("", "crm_"):
            same = want.pop(f"{prefix}mistake_severity_depth")
            assert same == want[f"{prefix}mistake_severity"]
    for key, value in want.items():
        np.testing.assert_allclose(got[key], value, rtol=2e-5, err_msg=key)
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    for depth in tree.levels[:-1]:
        groups, names = tree.superclasses(depth)
        wrong = (groups[scores.argmax(1)] != groups[labels]).mean()
        np.testing.assert_allclose(got[f"level{depth}_error"], wrong, rtol=1e-5)
        of = p @ (groups[:, None] == np.arange(len(names)))
        gap = calibration(of.max(1), of.argmax(1) == groups[labels])
        np.testing.assert_allclose(got[f"level{depth}_ece"], gap, rtol=1e-4)


def calibration(confidence, right):
    """The gaps between confidence and success in 15 bins, weighed by their shares."""
    want = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            want += inside.mean() * gap
    return want


def test_all_classes_give_a_constant_of_the_labels():
    scores, labels = draw()
    # k = 10 would be all: `top` stops before K, so take the mean from the risk itself.
    rows = CIFAR.lca_heights().mean(1)
    got = measure(Mistakes(CIFAR, top=(9,)), scores, labels)
    worst = np.argmin(scores, axis=1)
    rest = (rows[labels] * 10 - CIFAR.lca_heights()[labels, worst]) / 9
    np.testing.assert_allclose(got["ahd@9"], rest.mean(), rtol=1e-5)


def test_severity_without_mistakes_is_undefined():
    got = measure(Mistakes(CIFAR), np.eye(10), np.arange(10))
    assert got["error"] == 0
    assert got["ahd@1"] == 0
    assert np.isnan(got["mistake_severity"])


def test_without_a_tree():
    scores, labels = draw()
    got = measure(Mistakes(), scores, labels)
    assert set(got) == {"error", "top5_error", "ece"}
    got = measure(Mistakes(calibration=False), scores[:, :3], labels % 3)
    assert set(got) == {"error"}  # 5 of 3 classes is no question


def test_calibration_error_literally():
    scores, labels = draw(n=1000)
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    want = calibration(p.max(1), scores.argmax(1) == labels)
    got = measure(Mistakes(), scores, labels)
    np.testing.assert_allclose(got["ece"], want, rtol=1e-4)
    # Certain and right: calibrated; certain and wrong: not at all.
    assert measure(Mistakes(), 1e4 * np.eye(10), np.arange(10))["ece"] == 0
    wrong = measure(Mistakes(), 1e4 * np.eye(10), (np.arange(10) + 1) % 10)
    np.testing.assert_allclose(wrong["ece"], 1)


def test_risk_minimisation():
    scores, labels = draw()
    got = measure(Mistakes(CIFAR, crm=True), scores, labels)
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    order = np.argsort(p @ CIFAR.lca_heights(), axis=1, kind="stable")
    found = CIFAR.lca_heights()[labels[:, None], order]
    np.testing.assert_allclose(got["crm_error"], (order[:, 0] != labels).mean())
    np.testing.assert_allclose(got["crm_ahd@1"], found[:, 0].mean(), rtol=1e-5)
    np.testing.assert_allclose(got["crm_ahd@5"], found[:, :5].mean(), rtol=1e-5)
    # What it minimises is the expectation under the scores; certain scores decide.
    certain = measure(Mistakes(CIFAR, crm=True), 100 * np.eye(10), np.arange(10))
    assert certain["crm_error"] == 0
    # Torn between a (with b beside it) and d, it plays safe where the top score not.
    torn = np.log(np.array([[0.31, 0.29, 0.0001, 0.3999]]))
    both = measure(Mistakes(SMALL, crm=True), torn, np.array([0]))
    assert both["error"] == 1
    assert both["crm_error"] == 0


def test_batches_add_up():
    scores, labels = draw()
    mistakes = Mistakes(CIFAR, crm=True)
    whole = measure(mistakes, scores, labels)
    compiled = jax.jit(mistakes.values)  # of two sizes: others take as long each
    parts = [
        jax.tree.map(
            lambda v: v.sum(0),
            compiled(jnp.asarray(scores[i], jnp.float32), jnp.asarray(labels[i])),
        )
        for i in np.split(np.arange(200), [1, 67, 133, 199])
    ]
    means = jax.tree.map(lambda *v: sum(v) / 200, *parts)
    for name, value in mistakes.summary(means).items():
        np.testing.assert_allclose(value, whole[name], rtol=1e-5, err_msg=name)


def test_confusion():
    decisions, labels = jnp.array([0, 1, 3, 1, 1]), jnp.array([0, 0, 2, 2, 1])
    table = confusion(decisions, labels, 4)
    want = [[1, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]]
    np.testing.assert_array_equal(table, want)
    grouped, names = confusion_by_level(np.asarray(table), SMALL, 1)
    assert names == ("x", "d")
    np.testing.assert_array_equal(grouped, [[4, 1], [0, 0]])
    whole, _ = confusion_by_level(np.asarray(table), SMALL, 0)
    np.testing.assert_array_equal(whole, [[5]])
    with pytest.raises(ValueError, match="shape \\(3, 3\\), the tree has 4 classes"):
        confusion_by_level(np.zeros((3, 3)), SMALL, 1)
