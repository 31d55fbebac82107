"""CPCC in the model: its optimum is that of the loss alone where that is a simplex."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import losses
from ncjax.gram import gram_nc2
from ncjax.hierarchy import balanced
from ncjax.ufm import Correlated, certify, solve_proven
from ncjax.ufm.theory.cross_entropy import cross_entropy_optimum

TREE = balanced(2, 2)
C = 1e-2


@pytest.fixture(scope="module")
def problem():
    return Correlated.create(cpcc=1.0, hierarchy=TREE, lambda_w=C, lambda_h=C)


@pytest.fixture(scope="module")
def proven(problem):
    return solve_proven(problem, 2)


def test_the_regulariser_is_that_of_training(problem):
    params = problem.init(jax.random.key(0))
    with jax.enable_x64(True):
        term = float(
            losses.cpcc(jnp.asarray(params["H"]), jnp.arange(4), hierarchy=TREE)
        )
    apart = problem.objective(params) - problem.alone.objective(params)
    assert term > 0.1
    np.testing.assert_allclose(apart, term, rtol=1e-12)


def test_the_simplex_is_certified(problem, proven):
    solution, proof = proven
    assert proof.kind == "certified"
    assert proof.gap < 1e-9
    known = cross_entropy_optimum(4, 1, C, C)
    np.testing.assert_allclose(solution.objective, known.objective, atol=1e-11)
    verdict = certify(problem, solution.params).verdict
    assert verdict.startswith("global optimum")


def test_simplices_bent_towards_the_tree_come_as_near_as_one_likes(problem, proven):
    """Their distances follow the tree exactly, and cost less and less."""
    solution, _ = proven
    means = solution.params["H"]
    side = np.linalg.norm(means[0] - means[1])
    costs = []
    for bend in (0.1, 0.01, 0.001):
        edges = 4 - 2 * np.kron(np.eye(2), np.ones((2, 2)))  # 2 between siblings
        apart = side * (1 + bend * (edges - 3)) * (1 - np.eye(4))
        centre = np.eye(4) - 1 / 4
        values, vectors = np.linalg.eigh(-centre @ apart**2 @ centre / 2)
        bent = vectors * np.sqrt(np.maximum(values, 0))
        with jax.enable_x64(True):
            term = float(losses.cpcc(jnp.asarray(bent), jnp.arange(4), hierarchy=TREE))
        assert abs(term) < 1e-9
        classifier = bent * np.linalg.norm(solution.params["W"]) / np.linalg.norm(bent)
        value = problem.objective({"W": classifier, "H": bent})
        costs.append(float(value - solution.objective))
    assert costs[0] > costs[1] > costs[2] > 0
    assert costs[2] < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(101, 100, 99, 100), (8, 4, 2, 1)])
def test_with_unequal_classes_it_is_the_simplex_or_the_best_of_starts(sizes):
    sizes = np.array(sizes) / np.mean(sizes)
    problem = Correlated.create(
        cpcc=1.0, hierarchy=TREE, sizes=sizes, lambda_w=1e-2, lambda_h=1e-2
    )
    solution, proof = solve_proven(problem, 6)
    assert proof.kind == "starts"
    assert proof.starts == 6
    alone, certified = solve_proven(problem.alone)
    assert certified.kind == "certified"
    assert solution.objective > alone.objective
    assert solution.objective <= problem.at_simplex().objective + 1e-8
    # Where classes are almost equal, starts come near to the simplex at best.
    means = solution.params["H"]
    assert (gram_nc2(means @ means.T) < 1e-6) == (sizes.max() < 1.1)
    value = problem.objective(solution.params)
    np.testing.assert_allclose(value, solution.objective, rtol=1e-12)


def test_bad_input(problem):
    decays = {"lambda_w": C, "lambda_h": C}
    with pytest.raises(ValueError, match="cpcc must be finite and at least 0, got -1"):
        Correlated.create(cpcc=-1.0, hierarchy=TREE, **decays)
    with pytest.raises(ValueError, match=r"tree has 4 classes, the model 5"):
        Correlated.create(cpcc=1.0, hierarchy=TREE, num_classes=5, **decays)
    with pytest.raises(ValueError, match="class-mean form only"):
        problem.samples()
