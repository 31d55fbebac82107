"""Unconstrained-features models: optima, certificates and saddles against closed forms.

Numbers without a formula beside them are the printed digits of certified solutions, or
of an independent SciPy solver.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from ncjax import losses
from ncjax.hierarchy import balanced
from ncjax.hierarchy.builtin import cifar10
from ncjax.hierarchy.soft_labels import soft_label_limit
from ncjax.ufm import (
    Deep,
    LayerPeeled,
    Problem,
    Spherical,
    bounds,
    certify,
    factorise,
    geometry,
    hessian,
    hessian_product,
    least_curvature,
    regression,
    saddle_direction,
    solve,
    solve_convex,
    solve_many,
    stack,
)
from ncjax.ufm.theory import deep
from tests.thin import thin

P10 = np.eye(10) - 0.1
CIFAR10 = cifar10()
BINARY = balanced(2, 3)  # 8 classes


def balanced_problem(c, loss="cross_entropy", **options):
    """K = 10, n = 1, lW = lH = c, so that c = sqrt(n lW lH) too."""
    if loss in ("soft_labels", "hxe"):
        options.setdefault("hierarchy", CIFAR10)
    options.setdefault("num_classes", 10)
    return Problem.create(loss, lambda_w=c, lambda_h=c, **options)


def solved(problem, start=0):
    """Solution, certificate; asserts that it is a certified global optimum."""
    solution = solve(problem, start)
    certificate = certify(problem, solution.params)
    assert solution.converged
    assert certificate.verdict.startswith("global optimum (gap "), certificate.verdict
    assert -1e-13 <= certificate.bounds.gap <= 1e-9
    assert certificate.bounds.identity_error < 1e-9
    assert certificate.bounds.balance_error < 1e-9
    return solution, certificate


@pytest.mark.parametrize(("n", "lw", "lh"), [(1, 1e-3, 1e-3), (5, 5e-4, 2e-2)])
def test_cross_entropy_closed_form(n, lw, lh):
    problem = balanced_problem(1, sizes=n).replace(
        lambda_w=np.asarray(lw), lambda_h=np.asarray(lh)
    )
    solution, _ = solved(problem)
    c = np.sqrt(n * lw * lh)
    s = np.log(1 / c - 9)
    value = -np.log(1 - 9 * c) + 9 * c * s
    np.testing.assert_allclose(solution.objective, value, rtol=0, atol=1e-13)
    logits = problem.logits(solution.params)
    np.testing.assert_allclose(logits, s * P10, atol=1e-9)
    w, h = solution.params["W"], solution.params["H"]
    np.testing.assert_allclose(w @ w.T, s * np.sqrt(n * lh / lw) * P10, atol=1e-8)
    np.testing.assert_allclose(h, np.sqrt(lw / (n * lh)) * w, atol=1e-9)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities[~np.eye(10, dtype=bool)], c, atol=1e-12)


@pytest.mark.parametrize(
    ("c", "value"), [(1e-3, 0.0711291755), (1e-2, 0.5002880350), (0.11, np.log(10))]
)
def test_cross_entropy_values(c, value):
    solution, _ = solved(balanced_problem(c))
    np.testing.assert_allclose(solution.objective, value, atol=5e-11)
    assert geometry(solution.params).rank == (9 if c < 0.1 else 0)


@pytest.mark.parametrize("lambda_b", [0.0, 0.1])
def test_cross_entropy_needs_no_bias(lambda_b):
    """The bias is 0 with decay, any constant vector without; the objective the same."""
    solution, _ = solved(balanced_problem(1e-2, lambda_b=lambda_b))
    bias = solution.params["b"]
    np.testing.assert_allclose(bias, 0 if lambda_b else bias.mean(), atol=1e-9)
    np.testing.assert_allclose(solution.objective, 0.5002880350, atol=5e-11)


@pytest.mark.parametrize(("eps", "s"), [(0.1, 4.405610), (0.2, 3.653746)])
def test_label_smoothing_closed_form(eps, s):
    problem = balanced_problem(1e-3, label_smoothing=eps)
    solution, _ = solved(problem)
    np.testing.assert_allclose(problem.logits(solution.params), s * P10, atol=5e-7)


@pytest.mark.parametrize("c", thin([0.001, 0.01, 0.05], keep={1}))
@pytest.mark.parametrize("side", [None, 0.0, 0.5, 3.0])
def test_mse_bias_transition(c, side):
    """A simplex below lb = Kc/(1-Kc), towards an orthogonal frame above it."""
    k, u = 10, 1 - 10 * c
    lb = None if side is None else side * k * c / u
    problem = balanced_problem(c, "mse", lambda_b=lb)
    solution, _ = solved(problem)
    if lb is None:
        v, value = u, k * c - k**2 * c**2 / 2
    elif side <= 1:
        v, bias, value = 0, 1 / (k * (1 + lb)), None if lb else 9 * (c - k * c**2 / 2)
    else:
        v, bias, value = 1 - k * c - k * c / lb, c / lb, None
    logits = solution.params["H"] @ solution.params["W"].T
    np.testing.assert_allclose(logits, u * P10 + v / k, atol=1e-8)
    # Centred means are a simplex on either side, and W, not centred, is aligned.
    found = geometry(solution.params)
    np.testing.assert_allclose([found.nc2, found.nc3], 0, atol=1e-8)
    if lb is not None:
        np.testing.assert_allclose(solution.params["b"], bias, atol=1e-8)
    if value is not None:
        np.testing.assert_allclose(solution.objective, value, atol=1e-13)


def test_mse_imbalanced_closed_form():
    """Diagonal logits (1 - N mu / sqrt(n_k))_+; a class dies at n_k <= N^2 lW lH."""
    sizes = np.array([100, 80, 60, 40, 30, 20, 15, 10, 4, 1])
    mu = 0.008
    solution, _ = solved(balanced_problem(mu, "mse", sizes=sizes))
    z = np.maximum(1 - 360 * mu / np.sqrt(sizes), 0)
    w, h = solution.params["W"], solution.params["H"]
    np.testing.assert_allclose(h @ w.T, np.diag(z), atol=1e-8)
    squares = np.maximum(np.sqrt(sizes) - 360 * mu, 0)
    np.testing.assert_allclose(np.sum(w**2, 1), squares, atol=1e-7)
    np.testing.assert_allclose(np.sum(h**2, 1), squares / sizes, atol=1e-8)
    assert geometry(solution.params).rank == 8  # sqrt(n_k) > 2.88


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
    assert verdict == "not certifiable: loss is not convex"


@pytest.mark.parametrize(("alpha", "nc2"), [(0.5, 0.174052), (1.0, 0.399578)])
def test_depth_weights_on_the_tree_of_cifar10(alpha, nc2):
    """As README says: all of 50 starts end in one optimum, which is hierarchical."""
    problem = balanced_problem(1e-3, "hxe", alpha=alpha, weighting="depth")
    many = solve_many(problem, range(50))
    np.testing.assert_allclose(many.objective, many.objective[0], rtol=0, atol=1e-13)
    first = {name: value[0] for name, value in many.params.items()}
    np.testing.assert_allclose(geometry(first).nc2, nc2, atol=2e-6)


def test_minority_collapse():
    """Five small classes merge where n_B <= N^2 lW lH."""
    sizes = [500] * 5 + [100] * 5
    for mu, contrast in [(0.0030, 0.6682), (0.0033, 0.0820), (0.0034, 0)]:
        problem = balanced_problem(mu, sizes=sizes)
        solution, _ = solved(problem)
        logits = problem.logits(solution.params)
        np.testing.assert_allclose(logits[5, 5] - logits[5, 6], contrast, atol=6e-5)
    assert abs(logits[5, 5] - logits[5, 6]) < 1e-9
    # Why: on contrasts of merged classes the gradient is exactly -(sqrt(n_B)/N) I.
    theta = np.sqrt(sizes)[:, None] / 3000 * (np.eye(10) - special.softmax(logits, 1))
    contrasts = np.eye(10)[5:] - np.repeat([0, 0.2], 5)
    for image in (contrasts @ theta, contrasts @ theta.T):
        np.testing.assert_allclose(image, contrasts / 300, atol=1e-12)


@pytest.mark.slow
def test_imbalanced_cross_entropy_tends_to_simplex_labels():
    """SELI, but for terms in 1/log(1/mu): Zbar ~ P, W W' and H'H those of P D^(1/2)."""
    sizes = np.repeat([500, 100], 5)
    left, values, right = np.linalg.svd(P10 * np.sqrt(sizes))
    limits = (
        P10,
        (left * values) @ left.T,
        (right.T * values) @ right / np.sqrt(np.outer(sizes, sizes)),
    )
    scaled = []
    for mu in (1e-7, 1e-9, 1e-11):
        problem = balanced_problem(mu, sizes=sizes)
        solution = solve(problem)
        assert certify(problem, solution.params).verdict.startswith("global optimum")
        w, h = solution.params["W"], solution.params["H"]
        errors = [
            np.linalg.norm(a / np.linalg.norm(a) - b / np.linalg.norm(b))
            for a, b in zip((h @ w.T, w @ w.T, h @ h.T), limits, strict=True)
        ]
        scaled.append(np.log(1 / mu) * np.array(errors))
    np.testing.assert_allclose(scaled[1:], scaled[:-1], rtol=0.03)
    np.testing.assert_allclose(scaled[-1], [1.12, 0.74, 1.33], rtol=0.01)


@pytest.mark.parametrize(
    ("ratio", "cosine", "atol"),
    thin(
        [(10, 0.517, 6e-4), (11.9, 0.911, 6e-4), (12.4, 1, 6e-7), (15, 1, 6e-7)],
        keep={1, 2},
    ),
)
def test_layer_peeled_minority(ratio, cosine, atol):
    """K = 5 + 5, E_W E_H = 5: the threshold is n_A/n_B = 12.19245."""
    problem = LayerPeeled.create(
        sizes=[ratio] * 5 + [1] * 5, radius_w=5**0.5, radius_h=5**0.5
    )
    solution = solve(problem)
    assert certify(problem, solution.params).verdict.startswith("global optimum")
    point = problem.point(solution.params)
    rows = point["W"][5:]
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose((rows @ rows.T).min(), cosine, atol=atol)
    for name, radius in (("W", problem.radius_w), ("H", problem.radius_h)):
        np.testing.assert_allclose(np.sum(point[name] ** 2) / 10, radius, rtol=1e-12)


def test_spherical():
    problem = Spherical.create(num_classes=5, feature_dim=4, temperature=0.2)
    solution = solve(problem)
    value = np.log(1 + 4 * np.exp(-5 / (4 * 0.2)))
    np.testing.assert_allclose(solution.objective, value, atol=1e-13)
    assert geometry(problem.point(solution.params)).nc2 < 1e-7
    verdict = certify(problem, solution.params).verdict
    assert verdict == "not certifiable: unit norms are not convex"


@pytest.mark.parametrize("lw", thin([0.02, 0.3], keep={1}))
def test_regression_closed_form(lw):
    """Modes of Sigma under lW lH vanish."""
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(4, 4)) * [2, 1, 0.5, 0.1]
    covariance, lh, mean = factor @ factor.T, 0.4, np.arange(4.0)
    problem = regression(covariance, lambda_w=lw, lambda_h=lh, mean=mean)
    solution, _ = solved(problem)
    values, vectors = np.linalg.eigh(covariance)
    kept = np.maximum(np.sqrt(values) - np.sqrt(lw * lh), 0)
    expected = np.sqrt(lh / lw) * (vectors * kept) @ vectors.T
    w = solution.params["W"]
    np.testing.assert_allclose(w @ w.T, expected, atol=1e-8)
    np.testing.assert_allclose(solution.params["b"], mean, atol=1e-9)
    if np.all(kept > 0):
        value = np.sqrt(lw * lh) * np.sqrt(values).sum() - 4 * lw * lh / 2
        np.testing.assert_allclose(solution.objective, value, atol=1e-13)


SIZES = [30] * 4 + [4] * 6
CASES = {
    "ce": {},
    "ce-free-bias": {"lambda_b": 0.0},
    "smooth-bias": {"lambda_b": 0.02, "label_smoothing": 0.1},
    "mse-bias": {"loss": "mse", "lambda_b": 0.02},
    "hxe-free-bias": {"loss": "hxe", "lambda_b": 0.0, "hierarchy": CIFAR10},
}


@pytest.mark.parametrize("case", thin([*CASES], keep={0, 4}))
def test_certificate_of_any_point(case):
    """The bound holds at random points, and the convex problem agrees with W and H."""
    problem = Problem.create(lambda_w=2e-3, lambda_h=5e-4, sizes=SIZES, **CASES[case])
    solution, _ = solved(problem)
    convex = solve_convex(problem)
    assert convex.converged
    np.testing.assert_allclose(convex.objective, solution.objective, atol=1e-12)
    np.testing.assert_allclose(
        convex.logits, solution.params["H"] @ solution.params["W"].T, atol=1e-5
    )
    point = factorise(problem, convex.logits, convex.bias)
    np.testing.assert_allclose(problem.objective(point), convex.objective, atol=1e-12)
    assert certify(problem, point).verdict.startswith("global optimum")
    assert convex.rank == geometry(point).rank
    for seed in range(20):
        shift = jax.tree.map(lambda x: 0.3 * x, problem.init(jax.random.key(seed)))
        scale = (seed % 5) / 2
        point = jax.tree.map(lambda a, b, s=scale: s * a + b, solution.params, shift)
        found = bounds(problem, point)
        assert found.lower <= solution.objective + 1e-13
        assert found.gap >= found.objective - solution.objective - 1e-13
        assert certify(problem, point).verdict == "not critical"


def literal_dual(problem, name, logits):
    """Theta and D of class means, written out; no bias, or one with decay."""
    n, k, mu = np.asarray(problem.counts), len(logits), float(problem.strength)
    omega, eye = (n / n.sum())[:, None], np.eye(k)

    def limit(theta):
        return mu / np.linalg.norm(theta / np.sqrt(n)[:, None], 2)

    if name == "mse":
        r = eye - logits
        a, b = np.sum(omega * r * eye), np.sum(omega * r**2)
        t = max(min(a / b, limit(omega * r)), 0)
        return omega * r, t * a - t**2 * b / 2
    targets, factors, inside = eye, np.ones((1, k)), [np.ones((k, k))]
    if name == "smooth":
        targets = 0.9 * eye + 0.1 / k
    elif name == "soft_labels":
        targets = special.softmax(-4 * CIFAR10.lca_heights() / 3, axis=1)
    elif name == "hxe":  # c_a = lambda_{a-1} - lambda_a, a along the path to the root
        factors, inside = np.zeros((3, k)), np.ones((3, k, k))
        for y, node in enumerate(CIFAR10.leaves):
            for a in range(CIFAR10.depths[node]):
                above = CIFAR10.parents[node]
                factors[a, y] = np.exp(-0.5 * CIFAR10.heights[node])
                if above:
                    factors[a, y] -= np.exp(-0.5 * CIFAR10.heights[above])
                inside[a, y] = CIFAR10.ancestors()[:, above]
                node = above
    p = [special.softmax(np.where(m, logits, -np.inf), axis=1) for m in inside]
    pull = sum(c[:, None] * q for c, q in zip(factors, p, strict=True))
    theta = omega * (targets - pull)
    t = min(1, limit(theta))
    value = sum(
        np.sum(omega * c[:, None] * special.entr((1 - t) * targets + t * q))
        for c, q in zip(factors, p, strict=True)
    )
    if problem.lambda_b is not None:
        value -= t**2 / (2 * problem.lambda_b) * np.sum(theta.sum(0) ** 2)
    return theta, value


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cross_entropy", {}),
        ("smooth", {"label_smoothing": 0.1, "lambda_b": 0.05}),
        ("soft_labels", {"beta": 4.0}),
        ("mse", {}),
        ("hxe", {"alpha": 0.5}),
    ],
)
@pytest.mark.parametrize("sizes", thin([1, SIZES], keep={1}))
def test_duality_gap_literally(name, options, sizes):
    """K = 10, c = 0.05: the bound by hand, and |W|^2 lW = |H|^2 lH = <-G, Z>.

    At random points the gap is a little more than what they lack.  (In print 2.076,
    1.163 and 5.145 for 1.911, .998 and 4.924, at points that are not given.)
    """
    loss = "cross_entropy" if name == "smooth" else name
    c = 0.05 / np.mean(sizes) ** 0.5
    problem = balanced_problem(c, loss, sizes=sizes, **options)
    solution, _ = solved(problem)
    w, h = solution.params["W"], solution.params["H"]
    logits = np.asarray(problem.logits(solution.params))
    theta, lower = literal_dual(problem, name, logits)
    np.testing.assert_allclose(lower, solution.objective, rtol=1e-8)
    paid = c * np.sum(w**2), c * np.sum(problem.counts[:, None] * h**2)
    np.testing.assert_allclose(paid, np.sum(theta * (h @ w.T)), atol=1e-9)
    for seed in range(5):
        drawn = problem.init(jax.random.key(seed))
        point = {key: (1 + seed) * value for key, value in drawn.items()}
        found = bounds(problem, point)
        if "b" not in point:  # else the bound is taken at the best bias
            _, lower = literal_dual(problem, name, np.asarray(problem.logits(point)))
            np.testing.assert_allclose(found.lower, lower, atol=1e-12)
        lacks = found.objective - solution.objective
        assert found.gap >= lacks - 1e-13
        assert found.gap < 1.5 * lacks + 0.3


def test_class_means_are_exact():
    """A free feature for every sample finds the same optimum, with NC1 = 0."""
    sizes = [3, 2, 2] + [1] * 7
    problem = balanced_problem(3e-3, sizes=sizes, lambda_b=0.1)
    few, _ = solved(problem)
    free = problem.samples()
    many, _ = solved(free)
    np.testing.assert_allclose(many.objective, few.objective, atol=1e-13)
    labels = np.repeat(np.arange(10), sizes)
    logits = problem.logits(few.params)
    np.testing.assert_allclose(free.logits(many.params), logits[labels], atol=1e-7)
    found, expected = geometry(many.params, labels), geometry(few.params)
    np.testing.assert_allclose(found.gram, expected.gram, atol=1e-6)
    assert found.nc1 < 1e-12
    features = many.params["H"]
    first = np.searchsorted(labels, labels)  # of each class
    np.testing.assert_allclose(features, features[first], atol=1e-7)


@pytest.mark.parametrize(
    ("d", "value", "excess"),
    thin(
        [
            (1, 1.471784, 0.099),
            (2, 0.241706, 0.00947),
            (3, 0.106843, 0.00219),
            (5, 0.076798, 2.5e-4),
            (9, 0.071129, 0),
        ],
        keep={1},
    ),
)
def test_rank_restricted_critical_points(d, value, excess):
    """Too narrow models, best of 20 starts, and their saddles when widened."""
    problem = balanced_problem(1e-3, feature_dim=d)
    found = solve_many(problem, range(20), tol=1e-11)
    best = int(np.argmin(found.objective))
    np.testing.assert_allclose(found.objective[best], value, atol=6e-7)
    params = jax.tree.map(lambda x: x[best], found.params)
    here = bounds(problem, params)
    np.testing.assert_allclose(here.sigma - 1e-3, excess, rtol=0.02, atol=1e-11)
    assert here.identity_error < 1e-10
    # The same point with free dimensions is a strict saddle, of known curvature.
    wide = balanced_problem(1e-3)
    padded = jax.tree.map(lambda x: np.pad(x, ((0, 0), (0, 10 - d))), params)
    certificate = certify(wide, padded)
    if d == 9:
        assert certificate.verdict.startswith("global optimum")
        return
    expected = 2 * (1e-3 - here.sigma)
    np.testing.assert_allclose(certificate.curvature, expected, rtol=1e-6)
    assert certificate.verdict == f"critical, saddle (curvature {expected:.2g})"
    lower = jax.tree.map(lambda x, y: x + 0.1 * y, padded, certificate.direction)
    assert wide.objective(lower) < wide.objective(padded)
    # In the narrow model itself nothing leads down.
    certificate = certify(problem, params)
    assert certificate.verdict.startswith("critical, no descent found (gap ")
    assert certificate.curvature > -1e-10


@pytest.mark.parametrize("width", thin([5, 60], keep={0}))
def test_hessian_at_the_origin(width):
    """Least eigenvalue -.1320322917, d (K-1) times: dense, and by Lanczos."""
    problem = Problem.create(
        num_classes=4, feature_dim=width, sizes=3, lambda_w=0.02, lambda_h=0.005
    ).samples()
    origin = jax.tree.map(np.zeros_like, problem.init(jax.random.key(0)))
    count = 16 if width == 5 else 2
    found = least_curvature(problem, origin, count=count)
    np.testing.assert_allclose(found.values[:15], -0.1320322917, atol=6e-11)
    if width == 5:
        assert found.values[15] > 0
    image = hessian_product(problem, origin, found.direction)
    for a, b in zip(*map(jax.tree.leaves, (image, found.direction)), strict=True):
        np.testing.assert_allclose(a, found.values[0] * b, atol=1e-8)
    if width == 60:
        return
    assert certify(problem, origin).verdict.startswith("critical, saddle (curvature -")
    direction = saddle_direction(problem, origin)
    image = hessian_product(problem, origin, direction)
    curvature = sum(np.vdot(direction[k], image[k]) for k in direction)
    sigma = bounds(problem, origin).sigma
    np.testing.assert_allclose(sigma, 1 / (4 * 3**0.5), rtol=1e-12)
    np.testing.assert_allclose(curvature, 2 * (0.01 - sigma), rtol=1e-12)


def test_hessian_product_is_the_hessian():
    problem = balanced_problem(1e-2, num_classes=3, lambda_b=0.1, feature_dim=2)
    params, direction = (problem.init(jax.random.key(i)) for i in (1, 2))
    table = hessian(problem, params)
    np.testing.assert_allclose(table, table.T, atol=1e-15)
    flat = np.concatenate([np.ravel(x) for x in jax.tree.leaves(direction)])
    image = hessian_product(problem, params, direction)
    image = np.concatenate([np.ravel(x) for x in jax.tree.leaves(image)])
    np.testing.assert_allclose(table @ flat, image, atol=1e-14)
    with pytest.raises(ValueError, match=r"count must be in 1\.\.15, got 0"):
        least_curvature(problem, params, count=0)


@pytest.mark.parametrize(
    ("loss", "options"),
    thin(
        [
            ("cross_entropy", {}),
            ("cross_entropy", {"label_smoothing": 0.2}),
            ("mse", {}),
            ("soft_labels", {"hierarchy": CIFAR10, "beta": 3.0}),
            ("soft_labels", {"hierarchy": CIFAR10, "subtract_entropy": True}),
            ("hxe", {"hierarchy": CIFAR10}),
            ("hxe", {"hierarchy": CIFAR10, "weighting": "depth", "normalise": True}),
        ],
        keep={0, 2},
    ),
)
def test_tables_are_the_losses(loss, options):
    """The objective without penalty is the mean of the loss of `ncjax.losses`."""
    problem = balanced_problem(1e-9, loss, **options)
    params = problem.init(jax.random.key(0))
    with jax.enable_x64(True):
        logits = 30 * jax.random.normal(jax.random.key(1), (10, 10), jnp.float64)
        values = losses.LOSSES[loss](logits, jnp.arange(10), **options)
        np.testing.assert_allclose(problem.fit.losses(logits), values, atol=1e-12)
    total = problem.objective(params) - problem.penalty(params)
    np.testing.assert_allclose(
        total,
        problem.weights @ np.asarray(problem.fit.losses(problem.logits(params))),
        rtol=1e-6,
    )


def test_any_other_loss():
    """A function of the kind of `ncjax.losses` is solved, but has no dual."""

    def pseudo_huber(logits, labels, *, delta=1.0):
        square = (logits - jax.nn.one_hot(labels, logits.shape[1])) ** 2
        return jnp.sum(delta**2 * (jnp.sqrt(1 + square / delta**2) - 1), axis=1)

    problem = balanced_problem(1e-2, pseudo_huber, delta=100.0)
    solution = solve(problem)
    np.testing.assert_allclose(solution.objective, 0.1 - 0.005, atol=1e-5)  # near MSE
    verdict = certify(problem, solution.params).verdict
    assert verdict == "not certifiable: loss is not convex"
    with pytest.raises(ValueError, match="not known to be convex"):
        solve_convex(problem)


def test_many_problems_in_one_call():
    """Over penalties and over beta, with one compilation."""
    cs, betas = np.geomspace(1e-3, 5e-2, 12), np.linspace(1, 12, 12)
    problems = [
        balanced_problem(c, "soft_labels", beta=b)
        for c, b in zip(cs, betas, strict=True)
    ]
    many = solve_many(problems)
    assert np.all(many.converged)
    one = solve(problems[7], 3)
    np.testing.assert_allclose(many.objective[7], one.objective, atol=1e-13)
    with jax.enable_x64(True):
        gaps = jax.vmap(bounds)(stack(problems), many.params).gap
        assert np.max(gaps) < 1e-9


@pytest.mark.slow
def test_solve_inside_vmap():
    """Over traced penalties, problems made inside."""

    def value(c):
        problem = Problem.create(lambda_w=c, lambda_h=c, num_classes=3)
        return solve(problem, jax.random.key(0)).objective

    with jax.enable_x64(True):
        values = jax.vmap(value)(jnp.asarray([1e-3, 1e-2]))
    expected = [-np.log(1 - 2 * c) + 2 * c * np.log(1 / c - 2) for c in (1e-3, 1e-2)]
    np.testing.assert_allclose(values, expected, atol=1e-13)


@pytest.mark.slow
def test_deep_linear():
    """Three linear layers: all orthogonal frames; the least over their scale z."""
    problem = Deep.create(
        depth=3, num_classes=6, lambda_w=0.004, lambda_h=0.004, activation="linear"
    )
    found = solve_many(problem, range(4))
    assert np.all(found.converged)
    z = np.linspace(0, 1, 100_001)
    frame = np.min((1 - z) ** 2 / 2 + 2 * 0.004 * 6 * np.sqrt(z))
    best = int(np.argmin(found.objective))
    np.testing.assert_allclose(found.objective[best], frame, atol=1e-9)
    params = jax.tree.map(lambda x: x[best], found.params)
    assert problem.balance_error(params) < 1e-9
    assert certify(problem, params).verdict.startswith("not certifiable: more than one")


def solve_deep_relu(depth, num_classes):
    """The published setting, n = 1, from four starts."""
    problem = Deep.create(
        depth=depth,
        num_classes=num_classes,
        feature_dim=30,
        lambda_w=0.004,
        lambda_h=0.004,
    )
    return solve_many(problem, range(4))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("depth", "num_classes", "frame"),
    [(3, 10, 0.079183), (4, 3, None), (4, 4, None), (4, 6, None)],
)
def test_deep_relu_ends_in_orthogonal_frames(depth, num_classes, frame):
    found = solve_deep_relu(depth, num_classes)
    cost = deep.dnc_cost(num_classes, 1, [0.004] * depth, 0.004)
    np.testing.assert_allclose(found.objective, cost, atol=1e-6)
    assert frame is None or cost == pytest.approx(frame, abs=5e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("depth", "num_classes", "frame", "bound"),
    [(4, 10, 0.09917987, 0.0885), (5, 6, 0.07170725, 0.0688)],
)
def test_deep_relu_finds_ranks_below_the_frames(depth, num_classes, frame, bound):
    """As low as gradient descent was seen to come, which is below SRG for L = 4."""
    found = solve_deep_relu(depth, num_classes)
    best = int(np.argmin(found.objective))
    assert found.objective[best] < bound < frame
    np.testing.assert_allclose(found.objective.max(), frame, atol=1e-6)
    params = jax.tree.map(lambda x: x[best], found.params)
    value = params["H"]
    for layer in params["hidden"]:
        before = value @ layer.T
        value = np.maximum(before, 0)
    values = np.linalg.svd(before, compute_uv=False)
    assert np.sum(values > 1e-3 * values[0]) < num_classes
    values = np.linalg.svd(value, compute_uv=False)
    assert np.sum(values > 1e-3 * values[0]) == num_classes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lambda_w": 0}, "lambda_w must be finite and more than 0, got 0"),
        ({"lambda_h": -1}, "lambda_h must be finite and more than 0"),
        ({"lambda_b": -1}, "lambda_b must be finite and at least 0, got -1"),
        ({"sizes": [3, -2]}, "sizes must be finite and more than 0"),
        ({"num_classes": None}, "How many classes"),
        ({"num_classes": 1}, "At least 2 classes"),
        ({"num_classes": 3, "sizes": [1, 2]}, r"num_classes: 3, sizes: 2"),
        ({"sizes": [[1]]}, "sizes must be a number or"),
        ({"feature_dim": 0}, "feature_dim must be at least 1, got 0"),
        ({"loss": "sce"}, "Unknown loss 'sce'. Available: cross_entropy"),
        ({"beta": 4}, "has no option 'beta'. Available: label_smoothing"),
        ({"label_smoothing": 1.5}, "label_smoothing"),
        ({"loss": "hxe", "hierarchy": CIFAR10}, "the hierarchy: 10"),
    ],
)
def test_bad_problems(options, message):
    options = {"lambda_w": 1, "lambda_h": 1, "num_classes": 2} | options
    with pytest.raises(ValueError, match=message):
        Problem.create(**options)


def test_bad_parameters_and_variants():
    problem = balanced_problem(1e-2)
    params = {"W": np.zeros((10, 3)), "H": np.zeros((10, 10))}
    for function in (lambda: solve(problem, params), lambda: certify(problem, params)):
        with pytest.raises(ValueError, match="this problem takes"):
            function()
    with pytest.raises(ValueError, match="differ in numbers only"):
        stack([problem, balanced_problem(1e-2, "mse")])
    with pytest.raises(ValueError, match="2 problems need as many starts, got 3"):
        solve_many([problem, problem], range(3))
    with pytest.raises(ValueError, match="Logits of rank 10 do not fit"):
        factorise(balanced_problem(1e-2, feature_dim=4), np.eye(10))
    with pytest.raises(ValueError, match="Only whole classes"):
        balanced_problem(1e-2, sizes=1.5).samples()
    with pytest.raises(ValueError, match="temperature must be"):
        Spherical.create(num_classes=3, temperature=0)
    with pytest.raises(ValueError, match="class-mean form only"):
        LayerPeeled.create(num_classes=3, radius_w=1, radius_h=1).samples()
    deep = {"num_classes": 3, "lambda_w": 1, "lambda_h": 1}
    with pytest.raises(ValueError, match=r"at least 2, got 1\. One layer is `Problem`"):
        Deep.create(depth=1, **deep)
    with pytest.raises(ValueError, match="Available: relu, linear"):
        Deep.create(depth=2, activation="tanh", **deep)
    with pytest.raises(ValueError, match=r"a number or \[2\], got shape \(3,\)"):
        Deep.create(depth=2, **deep | {"lambda_w": [1, 1, 1]})
    with pytest.raises(ValueError, match="symmetric"):
        regression(np.array([[1, 2], [0, 1]]), lambda_w=1, lambda_h=1)
    with pytest.raises(ValueError, match="eigenvalue"):
        regression(-np.eye(2), lambda_w=1, lambda_h=1)
    with pytest.raises(ValueError, match="Only `Problem` has this convex form"):
        solve_convex(Spherical.create(num_classes=3, temperature=1))
    with pytest.raises(ValueError, match="one width"):
        geometry(params)
    with pytest.raises(ValueError, match="give labels"):
        geometry({"W": np.eye(3), "H": np.ones((4, 3))})


def test_never_in_float32():
    """Results are float64 whether x64 is on or off; a float32 trace is refused."""
    problem = balanced_problem(1e-2)
    solution = solve(problem)
    assert solution.objective.dtype == np.float64
    assert isinstance(solution.objective, np.ndarray)
    single = jax.tree.map(np.float32, solution.params)
    assert problem.objective(single).dtype == np.float64
    with pytest.raises(TypeError, match="needs float64"):
        jax.vmap(lambda key: solve(problem, key))(jax.random.split(jax.random.key(0)))
    with pytest.raises(TypeError, match="traced as float32"):
        jax.jit(lambda c: balanced_problem(c).lambda_w)(1e-2)
