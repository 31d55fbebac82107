"""The Jensen gap in the unconstrained-features model: the identity, and its bound."""

import jax
import numpy as np
import pytest

from ncjax import ufm
from ncjax.ufm.risk import jensen_gap

DECAYS = {"lambda_w": 1e-2, "lambda_h": 2e-2, "lambda_b": 0.0}
SIZES = (2, 3, 4)
ROWS = np.repeat(np.arange(3), SIZES)


def problem(loss):
    return ufm.Problem.create(loss, sizes=SIZES, **DECAYS)


def averaged(params):
    """The same parameters with the class mean in place of each feature [N, d]."""
    h = np.asarray(params["H"])
    means = np.stack([h[k == ROWS].mean(0) for k in range(3)])
    return means, {**params, "H": means[ROWS]}


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_it_is_what_averaging_features_gains(loss):
    classes, whole = problem(loss), problem(loss).samples()
    params = whole.init(jax.random.key(0))
    means, same = averaged(params)
    found = float(jensen_gap(classes, params))
    gained = float(whole.objective(params) - whole.objective(same))
    scatter = ((np.asarray(params["H"]) - means[ROWS]) ** 2).sum()
    assert found == pytest.approx(gained - DECAYS["lambda_h"] / 2 * scatter, abs=1e-14)
    assert found > 1e-3
    assert float(jensen_gap(classes, same)) == pytest.approx(0, abs=1e-15)


def test_a_certificate_bounds_it():
    classes = problem("cross_entropy")
    whole = classes.samples()
    best = ufm.solve(whole, 0).params
    for noise in (0.0, 1e-3, 1e-1):
        draw = whole.init(jax.random.key(1))
        params = jax.tree.map(lambda x, y, s=noise: x + s * y, best, draw)
        gap = float(ufm.certify(whole, params).bounds.gap)
        assert 0 <= float(jensen_gap(classes, params)) + 1e-15 <= gap + 1e-12
        if not noise:
            assert gap < 1e-9


def test_parameters_of_another_problem_are_refused():
    classes = problem("cross_entropy")
    with pytest.raises(ValueError, match="this problem takes"):
        jensen_gap(classes, classes.init(jax.random.key(0)))
