"""Losses that know a tree: published values, literal NumPy versions, limits, heads."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.classifiers import CLASSIFIERS
from ncjax.classifiers.haframe import frame_gram
from ncjax.classifiers.linear import LinearLayer
from ncjax.classifiers.vectors import sibling_vectors, symmetric_root
from ncjax.gram import centred_gram
from ncjax.hierarchy import BUILTIN, Hierarchy, balanced
from ncjax.losses import (
    GEOMETRY,
    LOSSES,
    OUTPUTS,
    cascade,
    cross_entropy,
    haframe,
    hxe,
    label_embedding,
    multi_level,
    soft_labels,
)
from ncjax.losses.hierarchical import hxe_coefficients

CIFAR = BUILTIN["cifar10"]()
# A leaf under the root, leaves of three depths, and a chain of single children.
UNEVEN = Hierarchy(
    ["root", "x", "y", "chain", "link", *"abcdef"],
    [-1, 0, 1, 0, 3, 0, 1, 2, 2, 4, 1],
)
TREES = {"cifar10": CIFAR, "uneven": UNEVEN}
# airplane, automobile, cat, frog with the logits 0.3 i - 1
LABELS = jnp.array([0, 1, 3, 6])
LOGITS = jnp.tile(0.3 * jnp.arange(10) - 1, (4, 1))


def draw(tree, n=40, scale=3.0):
    rng = np.random.default_rng(0)
    logits = scale * rng.normal(size=(n, tree.num_classes))
    return logits, rng.integers(0, tree.num_classes, n).astype(np.int32)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def literal_hxe(tree, logits, labels, alpha, weighting, normalise=False):
    """The sum over the edges, as it is written in the paper."""
    p, below = softmax(logits), tree.ancestors()  # [K, M]
    order = tree.heights if weighting == "height" else tree.depths
    weights = np.exp(-alpha * order)
    if normalise:
        weights = weights / (weights[1:].sum() + 1)
    values = []
    for row, label in zip(p, labels, strict=True):
        node, value = tree.leaves[label], 0.0
        while tree.parents[node] >= 0:
            parent = tree.parents[node]
            ratio = row[below[:, node]].sum() / row[below[:, parent]].sum()
            value -= weights[node] * np.log(ratio)
            node = parent
        values.append(value)
    return np.array(values)


@pytest.mark.parametrize(
    ("alpha", "want"),
    [
        (0.0, [3.999156, 3.699156, 3.099156, 2.199156]),
        (0.1, [3.879888, 3.527134, 2.933051, 2.066900]),
        (0.5, [3.583243, 3.065121, 2.497998, 1.737953]),
        (1.0, [3.430237, 2.779818, 2.243444, 1.568286]),
    ],
)
def test_hxe_reference_values(alpha, want):
    got = hxe(LOGITS, LABELS, hierarchy=CIFAR, alpha=alpha)
    np.testing.assert_allclose(got, want, atol=2e-6)


@pytest.mark.parametrize(
    ("beta", "want"),
    [
        (1.0, [2.78752, 2.69697, 2.660953, 2.605699]),
        (4.0, [3.602016, 3.12189, 2.785524, 2.354416]),
        (10.0, [3.991946, 3.614231, 3.030888, 2.202651]),
    ],
)
def test_soft_label_reference_values(beta, want):
    got = soft_labels(LOGITS, LABELS, hierarchy=CIFAR, beta=beta)
    np.testing.assert_allclose(got, want, atol=2e-6)


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
@pytest.mark.parametrize("weighting", ["height", "depth"])
@pytest.mark.parametrize("normalise", [False, True])
def test_hxe_is_the_sum_over_edges(tree, weighting, normalise):
    logits, labels = draw(tree)
    want = literal_hxe(tree, logits, labels, 0.7, weighting, normalise)
    with jax.enable_x64(True):
        got = hxe(
            jnp.asarray(logits),
            jnp.asarray(labels),
            hierarchy=tree,
            alpha=0.7,
            weighting=weighting,
            normalise=normalise,
        )
        np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
@pytest.mark.parametrize("weighting", ["height", "depth"])
def test_hxe_without_alpha_is_cross_entropy(tree, weighting):
    logits, labels = draw(tree)
    logits, labels = jnp.asarray(logits, jnp.float32), jnp.asarray(labels)

    def value_and_grad(loss):
        return jax.value_and_grad(lambda z: loss(z, labels).mean())(logits)

    got = value_and_grad(
        lambda z, y: hxe(z, y, hierarchy=tree, alpha=0.0, weighting=weighting)
    )
    want = value_and_grad(cross_entropy)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-6)
    np.testing.assert_allclose(got[1], want[1], atol=1e-7)


@pytest.mark.parametrize("weighting", ["height", "depth"])
def test_hxe_of_huge_gaps(weighting):
    # All the mass on class 0, the label elsewhere: every edge where the paths differ
    # costs its weight times the gap, and the others nothing.
    for label in range(1, 10):
        logits = jnp.zeros((1, 10)).at[0, 0].set(1e4)
        value, grad = jax.value_and_grad(
            lambda z, y=label: hxe(
                z, jnp.array([y]), hierarchy=CIFAR, alpha=0.5, weighting=weighting
            ).sum()
        )(logits)
        order = CIFAR.heights if weighting == "height" else CIFAR.depths
        lca = [a for a in CIFAR.lineage[:, label] if a in CIFAR.lineage[:, 0]][-1]
        child = CIFAR.lineage[CIFAR.depths[lca] + 1, label]
        np.testing.assert_allclose(value, np.exp(-0.5 * order[child]) * 1e4, rtol=1e-3)
        assert np.isfinite(grad).all()
        np.testing.assert_allclose(grad.sum(), 0, atol=1e-6)


def test_hxe_is_convex_with_heights_and_not_with_depths():
    tree = BUILTIN["cifar10"]()
    rng = np.random.default_rng(0)
    a, b = (jnp.asarray(5 * rng.normal(size=(5000, 10))) for _ in range(2))
    labels = jnp.asarray(rng.integers(0, 10, 5000))
    for weighting, convex in (("height", True), ("depth", False)):

        def loss(z, weighting=weighting):
            return hxe(z, labels, hierarchy=tree, alpha=1.0, weighting=weighting)

        excess = loss((a + b) / 2) - (loss(a) + loss(b)) / 2
        assert (float(excess.max()) <= 1e-5) == convex


def test_hxe_coefficients_sum_to_the_weight_of_the_leaf():
    for tree in TREES.values():
        for weighting in ("height", "depth"):
            table = hxe_coefficients(tree, 0.7, weighting)
            order = tree.heights if weighting == "height" else tree.depths
            np.testing.assert_allclose(
                table.sum(0), np.exp(-0.7 * order[tree.leaves]), rtol=1e-12
            )


@pytest.mark.parametrize("distance", ["height", "depth"])
def test_soft_labels_literally_and_their_limits(distance):
    logits, labels = draw(UNEVEN)
    z, y = jnp.asarray(logits, jnp.float32), jnp.asarray(labels)
    log_p = np.log(softmax(logits))

    def ours(beta, **options):
        return soft_labels(
            z, y, hierarchy=UNEVEN, beta=beta, distance=distance, **options
        )

    targets = np.exp(-3 * UNEVEN.distances(distance))
    targets /= targets.sum(1, keepdims=True)
    want = -(targets[labels] * log_p).sum(1)
    np.testing.assert_allclose(ours(3.0), want, rtol=1e-5)
    entropy = -(targets * np.log(targets)).sum(1)[labels]
    divergence = ours(3.0, subtract_entropy=True)
    np.testing.assert_allclose(divergence, want - entropy, rtol=1e-4, atol=1e-6)
    # At the target itself the divergence is 0: the least value.
    least = soft_labels(
        jnp.log(jnp.asarray(targets, jnp.float32)),
        jnp.arange(6),
        hierarchy=UNEVEN,
        beta=3.0,
        distance=distance,
        subtract_entropy=True,
    )
    np.testing.assert_allclose(least, 0, atol=1e-6)
    np.testing.assert_allclose(ours(0.0), -log_p.mean(1), rtol=1e-5)
    np.testing.assert_allclose(ours(1e4), cross_entropy(z, y), rtol=1e-5, atol=1e-6)


def test_soft_labels_of_huge_gaps():
    logits = jnp.array([[1e4] + 9 * [0.0]])
    loss = soft_labels(logits, jnp.array([3]), hierarchy=CIFAR, beta=4.0)
    targets = np.exp(-4 * CIFAR.distances()[3])
    want = 1e4 * (1 - targets[0] / targets.sum())
    np.testing.assert_allclose(loss, [want], rtol=1e-6)


def test_label_embedding_is_the_cholesky_factor_rotated():
    classifier = CLASSIFIERS["label_embedding"](10, hierarchy=CIFAR)
    fixed, vectors = classifier.vectors, classifier.vectors.dense()
    published = np.linalg.cholesky(1 - CIFAR.distances().astype(np.float64))
    rotation = np.linalg.solve(published, vectors)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(10), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(vectors @ vectors.T, 1 - CIFAR.distances(), atol=1e-6)
    np.testing.assert_allclose(
        np.linalg.eigvalsh(vectors @ vectors.T),
        [1 / 3] * 4 + [2 / 3] * 2 + [0.81282, 0.90836, 2.18718, 3.42497],
        atol=1e-5,
    )
    at_target = jnp.asarray(5 * vectors, jnp.float32)
    labels = jnp.arange(10)
    np.testing.assert_allclose(
        label_embedding(at_target, labels, vectors=fixed), 0, atol=1e-6
    )
    np.testing.assert_array_equal(classifier.scores(at_target).argmax(1), labels)
    # 1 - cosine to another class is its distance in the tree.
    shifted = label_embedding(at_target, (labels + 1) % 10, vectors=fixed)
    want = CIFAR.distances()[np.arange(10), (np.arange(10) + 1) % 10]
    np.testing.assert_allclose(shifted, want, atol=1e-6)


def test_label_embedding_of_nothing_has_a_finite_gradient():
    vectors = CLASSIFIERS["label_embedding"](10, hierarchy=CIFAR).vectors
    grad = jax.grad(
        lambda e: label_embedding(e, jnp.array([0]), vectors=vectors).sum()
    )(jnp.zeros((1, 10)))
    assert np.isfinite(grad).all()


@pytest.mark.parametrize(
    ("gamma", "least", "cosines"),
    [
        (3.0, -0.255912, (0.2061, -0.0859, -0.1934)),
        (5.0, -0.157017, (0.0615, -0.1157, -0.1492)),
    ],
)
def test_haframe_minimum_in_closed_form(gamma, least, cosines):
    gram = frame_gram(CIFAR, gamma)
    got = gram[3, [5, 6, 0]]  # cat and dog, frog, airplane
    np.testing.assert_allclose(got, cosines, atol=5e-5)
    far = np.exp(-gamma)
    np.testing.assert_allclose((gram[3, 0] - far) / (1 - far), least, atol=1e-6)
    values = np.linalg.eigvalsh(gram)
    np.testing.assert_allclose(values[0], 0, atol=1e-12)  # no smaller m is possible
    np.testing.assert_allclose(np.diag(gram), 1, atol=1e-12)
    frame = symmetric_root(gram)
    np.testing.assert_allclose(frame @ frame.T, gram, atol=1e-7)


@pytest.mark.parametrize("gamma", [0.3, 3.0, 50.0])
@pytest.mark.parametrize(
    "tree",
    [
        CIFAR,
        UNEVEN,
        balanced((7,)),
        balanced((2, 2, 2)),
        balanced((3, 4, 5)),
        # Many siblings, classes under the root and an only child, not in tree order.
        Hierarchy(
            ["root", "x", "y", "z", *"abcdefghijkl"],
            [-1, 0, 1, 1, *[2] * 6, 3, *[0] * 3, 1, 1],
            classes=list("lcaebdkfhgij"),
        ),
    ],
    ids=["cifar10", "uneven", "7", "2x2x2", "3x4x5", "shuffled"],
)
def test_root_by_siblings_is_the_symmetric_root(tree, gamma):
    gram = frame_gram(tree, gamma)
    root = sibling_vectors(gram, tree)
    np.testing.assert_allclose(root.dense() @ root.dense().T, gram, atol=1e-12)
    np.testing.assert_allclose(root.dense(), symmetric_root(gram), atol=1e-6)
    outputs, labels = draw(tree)
    want = outputs @ symmetric_root(gram)
    got = root.apply(jnp.asarray(outputs, jnp.float32))
    np.testing.assert_allclose(got, want, atol=2e-5)
    # The loss as it is written, with the frame that the run saves as its classifier.
    make = CLASSIFIERS["haframe"]
    classifier = make(tree.num_classes, hierarchy=tree, frame_gamma=gamma)
    frame = classifier.vectors.dense()
    np.testing.assert_allclose(classifier.weights({})[0], frame, atol=1e-7)
    logits = outputs @ frame.T
    cosines = logits / np.linalg.norm(outputs, axis=1, keepdims=True)
    matching = ((cosines - gram[labels]) ** 2).sum(1)
    entropy = -np.log(softmax(logits)[np.arange(len(labels)), labels])
    got = haframe(
        jnp.asarray(outputs, jnp.float32),
        jnp.asarray(labels),
        vectors=classifier.vectors,
    )
    np.testing.assert_allclose(got, entropy + matching, rtol=1e-5, atol=1e-5)


def test_root_by_siblings_takes_fewer_products():
    tree = balanced((10, 10, 10))
    root = sibling_vectors(frame_gram(tree, 3.0), tree)
    rows = jnp.ones((1, 1000))
    (cost,) = [jax.jit(root.apply).lower(rows).compile().cost_analysis()]
    assert cost["flops"] < 0.5 * 2 * 1000**2


def test_haframe_limits():
    np.testing.assert_allclose(  # the least m would be -1.034
        frame_gram(CIFAR, 1.0)[3, 0], 2 * np.exp(-1) - 1, atol=1e-6
    )
    simplex = (10 * np.eye(10) - 1) / 9
    np.testing.assert_allclose(frame_gram(CIFAR, 200.0), simplex, atol=1e-9)
    labels = jnp.arange(10)
    frame = jnp.asarray(symmetric_root(frame_gram(CIFAR, 3.0)), jnp.float32)
    vectors = CLASSIFIERS["haframe"](10, hierarchy=CIFAR).vectors
    matched = haframe(4 * frame, labels, vectors=vectors, cosine_weight=100.0)
    plain = haframe(4 * frame, labels, vectors=vectors, cosine_weight=0.0)
    np.testing.assert_allclose(matched, plain, rtol=1e-4)  # on the frame: no gap
    exact = -np.log(np.diag(softmax(4 * frame_gram(CIFAR, 3.0))))
    # The spacing of float32 at the largest logit, 4, is 5e-7.
    np.testing.assert_allclose(plain, exact, atol=5e-7)


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_multi_level_adds_the_levels(tree):
    outputs = OUTPUTS["multi_level"](tree)
    rng = np.random.default_rng(0)
    z = jnp.asarray(rng.normal(size=(30, outputs.size)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, tree.num_classes, 30))
    start, parts = 0, []
    for depth in tree.levels:
        groups, names = tree.superclasses(depth)
        part = z[:, start : start + len(names)]
        parts.append(cross_entropy(part, jnp.asarray(groups)[labels]))
        start += len(names)
    np.testing.assert_allclose(
        multi_level(z, labels, hierarchy=tree), sum(parts), rtol=1e-6
    )
    weights = tuple(float(i) for i in range(len(parts)))
    np.testing.assert_allclose(
        multi_level(z, labels, hierarchy=tree, level_weights=weights),
        sum(w * p for w, p in zip(weights, parts, strict=True)),
        rtol=1e-5,
    )
    # The scores are the logits of the last level, in the order of the labels.
    last = cross_entropy(outputs.scores(z), labels)
    np.testing.assert_allclose(last, parts[-1], rtol=1e-6)
    np.testing.assert_allclose(
        z @ jnp.asarray(outputs.readout, jnp.float32).T, outputs.scores(z), rtol=1e-6
    )


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_cascade_multiplies_along_the_path(tree):
    outputs = OUTPUTS["cascade"](tree)
    rng = np.random.default_rng(0)
    z = 3 * rng.normal(size=(30, tree.num_nodes - 1))
    labels = rng.integers(0, tree.num_classes, 30)
    p = np.zeros((30, tree.num_classes))
    for k in range(tree.num_classes):
        node, product = tree.leaves[k], np.ones(30)
        while tree.parents[node] >= 0:
            siblings = np.flatnonzero(tree.parents == tree.parents[node]) - 1
            product *= softmax(z[:, siblings])[:, list(siblings).index(node - 1)]
            node = tree.parents[node]
        p[:, k] = product
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-12)
    z32 = jnp.asarray(z, jnp.float32)
    np.testing.assert_allclose(outputs.scores(z32), np.log(p), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        cascade(z32, jnp.asarray(labels), hierarchy=tree),
        -np.log(p[np.arange(30), labels]),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_flat_tree_makes_all_of_them_flat():
    flat = Hierarchy(["root", *"abcde"], [-1, 0, 0, 0, 0, 0])
    logits, labels = draw(flat)
    z, y = jnp.asarray(logits, jnp.float32), jnp.asarray(labels)
    want = cross_entropy(z, y)
    for name in ("hxe", "multi_level", "cascade"):
        np.testing.assert_allclose(LOSSES[name](z, y, hierarchy=flat), want, rtol=1e-5)


def test_split_features_shield_the_coarse_ones():
    sizes = OUTPUTS["multi_level"](CIFAR, split_features=True).size
    assert sizes == (2, 6, 10)
    head = LinearLayer(sizes)
    features = jax.random.normal(jax.random.key(0), (7, 30))
    params = head.init(jax.random.key(1), features)

    def fine(params, features):
        return jnp.sum(head.apply(params, features)[:, 8:] ** 2)

    of_params, of_features = jax.grad(fine, argnums=(0, 1))(params, features)
    np.testing.assert_array_equal(of_features[:, :20], 0)  # the parts of coarser heads
    assert (np.abs(of_features[:, 20:]) > 0).all()
    assert (np.abs(of_params["params"]["kernel"][:, 8:]) > 0).all()  # but it sees them

    def coarse(features):
        return jnp.sum(head.apply(params, features)[:, :2] ** 2)

    np.testing.assert_array_equal(jax.grad(coarse)(features)[:, 10:], 0)
    # What the heads compute is one linear map, with the parameters of a Dense layer.
    kernel, bias = params["params"]["kernel"], params["params"]["bias"]
    np.testing.assert_allclose(
        head.apply(params, features), features @ kernel + bias, rtol=1e-4, atol=1e-5
    )
    with pytest.raises(ValueError, match="2 features cannot be split between 3 heads"):
        head.init(jax.random.key(1), features[:, :2])


def test_one_level_is_a_flat_classifier():
    from flax import linen as nn

    features = jax.random.normal(jax.random.key(0), (7, 30))
    flat, dense = LinearLayer((5,)), nn.Dense(5)
    for init in (flat.init, dense.init):
        assert init(jax.random.key(1), features)["params"]["kernel"].shape == (30, 5)
    params = dense.init(jax.random.key(1), features)
    np.testing.assert_array_equal(
        flat.apply(params, features), dense.apply(params, features)
    )


def test_predicted_gram_matrices():
    grams = {name: geometry(CIFAR) for name, geometry in GEOMETRY.items()}
    for name in ("label_embedding", "haframe"):
        vectors = CLASSIFIERS[name](10, hierarchy=CIFAR).vectors
        grams[name] = centred_gram(vectors.gram)
    for name, gram in grams.items():
        np.testing.assert_allclose(gram.sum(0), 0, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(gram, gram.T, atol=1e-12)
        assert np.linalg.eigvalsh(gram)[0] > -1e-6
    values = np.linalg.eigvalsh(GEOMETRY["soft_labels"](CIFAR))
    want = [0, *4 * [1 / 3], *2 * [2 / 3], 0.820678, 0.951252, 2.694737]
    np.testing.assert_allclose(values, want, atol=1e-6)


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        (soft_labels, {"beta": -1.0}, "beta must be at least 0 and finite, got -1"),
        (soft_labels, {"beta": float("inf")}, "beta must be at least 0"),
        (soft_labels, {"distance": "edges"}, "'edges'. Available: height, depth"),
        (hxe, {"alpha": float("nan")}, "alpha must be finite, got nan"),
        (hxe, {"weighting": "width"}, "'width'. Available: height, depth"),
        (haframe, {"cosine_weight": -1.0}, "cosine_weight must be at least 0"),
        (multi_level, {"level_weights": (1.0,)}, "3 finite numbers .* got"),
    ],
)
def test_bad_options(loss, options, message):
    if loss is haframe:
        options["vectors"] = CLASSIFIERS["haframe"](10, hierarchy=CIFAR).vectors
    else:
        options["hierarchy"] = CIFAR
    outputs = jnp.zeros((1, 18 if loss is multi_level else 10))
    with pytest.raises(ValueError, match=message):
        loss(outputs, jnp.zeros(1, jnp.int32), **options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("haframe", {"frame_gamma": 0.0}, "frame_gamma must be above 0"),
        ("haframe", {"distance": "edges"}, "'edges'. Available: height, depth"),
        ("label_embedding", {"distance": "edges"}, "Unknown classifier.distance"),
    ],
)
def test_bad_options_of_classifiers(name, options, message):
    with pytest.raises(ValueError, match=message):
        CLASSIFIERS[name](10, hierarchy=CIFAR, **options)
    with pytest.raises(ValueError, match="tree has 10 classes, the classifier 7"):
        CLASSIFIERS[name](7, hierarchy=CIFAR)


def test_a_tree_of_another_size():
    for loss in (soft_labels, hxe):
        with pytest.raises(ValueError, match="tree has 10 classes, the logits 7"):
            loss(jnp.zeros((1, 7)), jnp.zeros(1, jnp.int32), hierarchy=CIFAR)
