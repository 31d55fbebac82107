"""Problems that several test files share.

Numbers without a formula beside them, here and in the files that use these, are the
printed digits of certified solutions, or of an independent SciPy solver.
"""

import numpy as np

from ncjax.hierarchy import balanced
from ncjax.hierarchy.builtin import cifar10
from ncjax.ufm import Problem, certify, solve

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
