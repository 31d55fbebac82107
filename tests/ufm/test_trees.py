"""Optima of hierarchical losses on class trees."""

import numpy as np
import pytest

from ncjax.hierarchy.soft_labels import soft_label_limit
from ncjax.ufm import Problem, certify, geometry, solve, solve_many
from tests.thin import thin
from tests.ufm.problems import BINARY, CIFAR10, balanced_problem, solved

# loss, option, c, f*, rank, NC2, NC3, six cosines.
TABLE = [
    ("cross_entropy", None, 1e-3, 0.07112918, 9, 0, 0, (-0.1111,) * 6),
    (
        "soft_labels",
        1,
        1e-4,
        2.24059766,
        9,
        0.7104,
        0.7165,
        (0.3867, 0.5954, -0.0087, 0.1098, 0.2359, -0.4665),
    ),
    (
        "soft_labels",
        4,
        1e-4,
        1.30839153,
        9,
        0.7067,
        0.7129,
        (0.3818, 0.5912, -0.0099, 0.1081, 0.2336, -0.4636),
    ),
    (
        "soft_labels",
        4,
        1e-3,
        1.33413226,
        9,
        0.7018,
        0.7078,
        (0.3813, 0.5883, -0.0161, 0.1058, 0.2294, -0.4597),
    ),
    (
        "soft_labels",
        4,
        1e-2,
        1.56584608,
        9,
        0.6767,
        0.6805,
        (0.3910, 0.5758, -0.0516, 0.0862, 0.1974, -0.4448),
    ),
    (
        "soft_labels",
        10,
        1e-3,
        0.28746323,
        9,
        0.5043,
        0.5100,
        (0.2586, 0.4371, -0.1562, -0.0045, 0.0515, -0.3376),
    ),
    (
        "soft_labels",
        30,
        1e-3,
        0.07156633,
        9,
        0.0060,
        0.0060,
        (-0.1077, -0.1044, -0.1124, -0.1099, -0.1099, -0.1132),
    ),
    (
        "hxe",
        0.1,
        1e-3,
        0.07004854,
        9,
        0.0386,
        0.0387,
        (-0.1240, -0.1394, -0.1178, -0.1279, -0.1393, -0.0985),
    ),
    (
        "hxe",
        0.5,
        1e-4,
        0.00865541,
        9,
        0.1496,
        0.1499,
        (-0.1616, -0.2249, -0.1365, -0.1736, -0.2203, -0.0607),
    ),
    (
        "hxe",
        0.5,
        1e-3,
        0.06578387,
        9,
        0.2042,
        0.2044,
        (-0.1802, -0.2697, -0.1458, -0.1958, -0.2612, -0.0412),
    ),
    (
        "hxe",
        0.5,
        1e-2,
        0.44465945,
        8,
        0.3429,
        0.3432,
        (-0.2300, -0.3989, -0.1701, -0.2519, -0.3697, 0.0132),
    ),
    (
        "hxe",
        1,
        1e-3,
        0.06075643,
        8,
        0.3447,
        0.3460,
        (-0.2379, -0.4177, -0.1621, -0.2623, -0.3688, 0.0177),
    ),
]


PAIRS = [
    ("cat", "dog"),
    ("automobile", "truck"),
    ("cat", "frog"),
    ("frog", "bird"),
    ("airplane", "ship"),
    ("cat", "automobile"),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: "-".join(map(str, row[:3])))
def test_cifar10_tree(row):
    loss, option, c, value, rank, nc2, nc3, cosines = row
    name = {"soft_labels": "beta", "hxe": "alpha"}.get(loss)
    problem = balanced_problem(c, loss, **({name: option} if name else {}))
    solution, _ = solved(problem)
    found = geometry(solution.params)
    np.testing.assert_allclose(solution.objective, value, rtol=0, atol=6e-9)
    assert found.rank == rank
    np.testing.assert_allclose([found.nc2, found.nc3], [nc2, nc3], atol=6e-5)
    index = {name: i for i, name in enumerate(CIFAR10.class_names)}
    measured = [found.cosines[index[a], index[b]] for a, b in PAIRS]
    np.testing.assert_allclose(measured, cosines, rtol=0, atol=6e-5)


def test_cifar10_tree_spectra():
    """Singular values of Zbar; height-weighted HXE drops animals against vehicles."""
    soft, _ = solved(balanced_problem(1e-3, "soft_labels", beta=4))
    values = [10.68075, 3.87106, 3.24406, 2.62740, 2.62622, 1.31385, *[1.30926] * 3, 0]
    np.testing.assert_allclose(geometry(soft.params).singular_values, values, atol=6e-6)
    tree, _ = solved(balanced_problem(1e-3, "hxe", alpha=0.5))
    values = [7.02026, 6.95905, 6.92488, *[6.79061] * 3, 6.51211, 6.26116, 2.67519, 0]
    np.testing.assert_allclose(geometry(tree.params).singular_values, values, atol=6e-6)


@pytest.mark.parametrize(("alpha", "c"), [(0.5, 1e-2), (1, 1e-3)])
def test_hxe_drops_animals_against_vehicles(alpha, c):
    """Exactly 0 is the singular value of a contrast of the two.

    The tree is not symmetric, so that this contrast weighs the classes of one side
    almost but not quite alike: the null space is within 0.15 rad of the two sides.
    """
    solution, _ = solved(balanced_problem(c, "hxe", alpha=alpha))
    z = solution.params["H"] @ solution.params["W"].T
    left, values, right = np.linalg.svd(z)
    np.testing.assert_allclose(values[8:], 0, atol=1e-13)
    vehicle = np.isin(CIFAR10.class_names, ["airplane", "automobile", "ship", "truck"])
    sides = np.stack([vehicle / 2, ~vehicle / 6**0.5])
    for null in (left[:, 8:], right[8:].T):
        assert np.linalg.svd(sides @ null, compute_uv=False)[1] > np.cos(0.15)


@pytest.mark.parametrize(("free_bias", "nc2"), [(False, 0.707252), (True, 0.713462)])
def test_cifar10_tree_as_c_vanishes(free_bias, nc2):
    """Zbar -> -beta P D, and -beta P D P with a free bias; linear in small c."""
    options = {"lambda_b": 0.0} if free_bias else {}
    limit = soft_label_limit(CIFAR10.lca_heights() / 3, free_bias=free_bias)
    logits, values = [], []
    for c in (2e-5, 1e-5):
        solution, _ = solved(balanced_problem(c, "soft_labels", beta=4, **options))
        logits.append(solution.params["H"] @ solution.params["W"].T)
        values.append(geometry(solution.params).nc2)
    np.testing.assert_allclose(2 * logits[1] - logits[0], 4 * limit, atol=5e-6)
    np.testing.assert_allclose(2 * values[1] - values[0], nc2, atol=5.1e-7)


@pytest.mark.parametrize(
    ("free_bias", "c", "distance"),
    thin(
        [(False, 1e-4, 7.16e-4), (True, 1e-2, 4.92e-5), (True, 1e-4, 4.45e-8)], keep={1}
    ),
)
def test_self_duality_needs_a_bias(free_bias, c, distance):
    """|W/|W| - Mc/|Mc||^2 on a tree without symmetry.

    With a free bias it goes to 0 as c does, but is not 0 for any c; without, it stays.
    """
    options = {"lambda_b": 0.0} if free_bias else {}
    problem = balanced_problem(c, "soft_labels", beta=4, **options)
    solution, _ = solved(problem)
    rows = solution.params["W"], solution.params["H"]
    w, means = rows[0], rows[1] - rows[1].mean(0)
    between = np.sum((w / np.linalg.norm(w) - means / np.linalg.norm(means)) ** 2)
    np.testing.assert_allclose(between, distance, rtol=2e-3)


@pytest.mark.parametrize(
    ("loss", "option", "c", "value", "zeta", "nc2"),
    thin(
        [
            ("soft_labels", 1, 1e-3, 2.012355, (0.673655, 0.376135, 0.045113), 0.70839),
            ("soft_labels", 1, 1e-2, 2.048906, (0.358540, 0.358540, 0.082994), 0.93639),
            ("soft_labels", 4, 1e-3, 1.099480, (2.779547, 1.462181, 0.144282), 0.68367),
            ("soft_labels", 4, 1e-2, 1.284710, (2.387466, 1.217652, 0.022444), 0.65250),
            (
                "soft_labels",
                10,
                1e-3,
                0.217013,
                (5.337852, 2.040507, -0.724912),
                0.49924,
            ),
            ("soft_labels", 30, 1e-3, None, (6.032549, -0.823738, -0.868134), 0.00637),
            ("hxe", 0.1, 1e-4, 0.00704696, (7.933364, -1.276276, -1.176212), 0.02273),
            ("hxe", 0.1, 1e-3, 0.05432690, (5.912430, -0.988301, -0.887666), 0.03064),
            ("hxe", 0.5, 1e-4, 0.00664679, (7.432929, -1.776711, -1.276322), 0.12071),
            ("hxe", 0.5, 1e-3, 0.05030938, (5.408039, -1.492692, -0.988768), 0.16632),
            ("hxe", 1, 1e-4, 0.00614631, (6.806725, -2.402915, -1.401883), 0.25857),
            ("hxe", 1, 1e-3, 0.04526069, (4.770785, -2.129945, -1.119519), 0.36444),
            ("hxe", 1, 1e-2, 0.28629315, (2.649458, -1.618433, -0.515513), 0.47298),
        ],
        keep={2, 9},
    ),
)
def test_binary_tree(loss, option, c, value, zeta, nc2):
    """Logits by height of the lowest common ancestor."""
    options = {"beta" if loss == "soft_labels" else "alpha": option}
    problem = Problem.create(loss, lambda_w=c, lambda_h=c, hierarchy=BINARY, **options)
    solution, _ = solved(problem)
    if value is not None:
        digits = 6 if loss == "soft_labels" else 8
        np.testing.assert_allclose(solution.objective, value, atol=0.6 * 10**-digits)
    logits = problem.logits(solution.params)
    last = -(zeta[0] + zeta[1] + 2 * zeta[2]) / 4
    expected = np.array([*zeta, last])[BINARY.lca_heights()]
    np.testing.assert_allclose(logits, expected, atol=2e-6)
    np.testing.assert_allclose(geometry(solution.params).nc2, nc2, atol=6e-6)


def test_soft_label_means_are_as_far_apart_as_the_tree_says():
    """Gram matrices are Zbar scaled; |mu_A - mu_B|^2 -> 2 beta d sqrt(lW/(n lH))."""
    n, lw, lh, beta = 3, 2e-7, 5e-5, 4.0  # c = 5e-6
    problem = Problem.create(
        "soft_labels", lambda_w=lw, lambda_h=lh, sizes=n, hierarchy=BINARY, beta=beta
    )
    solution, _ = solved(problem)
    w, h = solution.params["W"], solution.params["H"]
    z, ratio = h @ w.T, np.sqrt(lw / (n * lh))
    np.testing.assert_allclose(w @ w.T * ratio, z, atol=1e-6)
    np.testing.assert_allclose(h @ h.T / ratio, z, atol=1e-6)
    squares = np.sum((h[:, None] - h) ** 2, axis=2) / (2 * beta * ratio)
    np.testing.assert_allclose(squares, BINARY.lca_heights() / 3, atol=2e-4)


@pytest.mark.parametrize(
    ("alpha", "value", "zeta"),
    [
        (0.5, 0.04978413, (5.339164, -0.036717, -0.547531, -1.051847)),
        (1.0, 0.04411723, (4.608543, 0.852307, -0.230762, -1.249831)),
    ],
)
def test_depth_weights_are_solved_but_not_certified(alpha, value, zeta):
    problem = Problem.create(
        "hxe",
        lambda_w=1e-3,
        lambda_h=1e-3,
        hierarchy=BINARY,
        alpha=alpha,
        weighting="depth",
    )
    solution = solve(problem)
    np.testing.assert_allclose(solution.objective, value, atol=6e-9)
    logits = problem.logits(solution.params)
    np.testing.assert_allclose(logits, np.array(zeta)[BINARY.lca_heights()], atol=2e-6)
    # Not proven to be global, but every start ends there.
    many = solve_many(problem, range(50))
    np.testing.assert_allclose(many.objective, solution.objective, rtol=0, atol=1e-13)
    verdict = certify(problem, solution.params).verdict
    assert verdict == "not certifiable: the loss is not known to be convex"


@pytest.mark.parametrize(("alpha", "nc2"), [(0.5, 0.174052), (1.0, 0.399578)])
def test_depth_weights_on_the_tree_of_cifar10(alpha, nc2):
    """As README says: all of 50 starts end in one optimum, which is hierarchical."""
    problem = balanced_problem(1e-3, "hxe", alpha=alpha, weighting="depth")
    many = solve_many(problem, range(50))
    np.testing.assert_allclose(many.objective, many.objective[0], rtol=0, atol=1e-13)
    first = {name: value[0] for name, value in many.params.items()}
    np.testing.assert_allclose(geometry(first).nc2, nc2, atol=2e-6)
