"""Cumulative link models in the UFM: convex, certified, and a bound that is one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from ncjax.losses import ordinal as trained
from ncjax.ordinal import LINKS
from ncjax.ufm import Problem, bounds, certify, geometry, solve
from ncjax.ufm.ordinal import Cumulative, ordinal
from ncjax.ufm.theory.ordinal import ordinal_optimum

CUTS = (-3.0, -1.0, 0.5, 4.0)
SIZES = np.array([4.0, 1, 3, 2, 5])


def slow(case):
    return pytest.param(case, marks=pytest.mark.slow)


def problem(link="logit", decay=0.02, **options):
    return Problem.create(
        "ordinal",
        lambda_w=decay / 2,
        lambda_h=decay * 2,
        sizes=SIZES,
        link=link,
        thresholds=CUTS,
        **options,
    )


@pytest.mark.parametrize("link", ["logit", slow("probit")])
def test_the_table_is_the_loss_of_training(link):
    assert link in LINKS
    z, rows = np.linspace(-9, 9, 5), np.array([3, 0, 3, 1, 1])
    fit = ordinal(5, link=link, thresholds=CUTS)
    losses = jax.jit(lambda fit, z: fit.losses(z))
    with jax.enable_x64(True):
        outputs = np.hstack([z[:, None], np.tile(CUTS, (5, 1))])
        latent = jnp.asarray(z[:, None])
        of_training = jax.jit(lambda x: trained(x, jnp.arange(5), link=link))
        want = np.asarray(of_training(jnp.asarray(outputs)))
        np.testing.assert_allclose(losses(fit, latent), want, rtol=1e-12)
        again = losses(fit.take(rows), latent[rows])
        np.testing.assert_allclose(again, want[rows], rtol=1e-12)


@pytest.mark.parametrize("link", ["logit", slow("probit")])
def test_the_optimum_is_certified_and_that_of_theory(link):
    model = problem(link)
    found = solve(model, 0)
    certificate = certify(model, found.params)
    assert certificate.verdict.startswith("global optimum")
    assert certificate.bounds.gap <= 1e-12
    assert certificate.bounds.identity_error < 1e-10
    want = ordinal_optimum(CUTS, SIZES, 0.01, 0.04, link=link)
    assert found.objective == pytest.approx(want.objective, abs=1e-12)
    z = model.logits(found.params)[:, 0]
    np.testing.assert_allclose(z, want.latent, atol=1e-8)
    assert np.linalg.norm(found.params["W"]) == pytest.approx(want.classifier_norm)
    assert geometry(model.class_point(found.params)).rank == 1


@pytest.mark.parametrize("bias", [None, slow(0.0), slow(0.3)])
def test_the_bound_is_below_the_optimum_from_every_point(bias):
    """A bias of both kinds too: at random points the bound is valid, if not tight."""
    model = problem(lambda_b=bias)
    best = solve(model, 0)
    at = bounds(model, best.params)
    assert 0 <= at.gap + 1e-13 <= 1e-9
    assert at.bias_residual < 1e-11
    for seed in range(8):
        params = jax.tree.map(lambda x: 2 * x, model.init(jax.random.key(seed)))
        found = bounds(model, params)
        assert found.lower <= best.objective + 1e-12
        assert found.gap > 0


@pytest.mark.slow
def test_the_conjugate_is_bounded_as_it_says():
    """D(t) at every t is at least the bound that `dual` gives there."""
    fit = ordinal(3, thresholds=(-1.0, 2.0))
    assert isinstance(fit, Cumulative)
    assert fit.num_outputs == 1
    assert fit.readout.tolist() == [[0], [1], [2]]
    z, one = np.array([[0.3], [5.0], [-2.0]]), np.eye(3)

    def loss(x, row):
        return float(fit.losses(jnp.full((3, 1), x))[row])

    with jax.enable_x64(True):
        slopes = jax.grad(lambda x: fit.losses(x).sum())(jnp.asarray(z))[:, 0]
        for row in range(3):
            for limit in (0.2, 0.7, 1.0, 3.0):
                t, bound = fit.dual(jnp.asarray(z), one[row], limit, (0.0, 0.0))
                slope = float(t * slopes[row])
                least = optimize.minimize_scalar(
                    lambda x, row=row, slope=slope: loss(x, row) - slope * x,
                    bounds=(-60, 60),
                    method="bounded",
                    options={"xatol": 1e-10},
                )
                assert bound <= least.fun + 1e-9
                assert 0 <= t <= min(limit, 1)
        np.testing.assert_allclose(fit.least()[::2], 0)
        middle = loss(0.5, 1)
        assert float(fit.least()[1]) == pytest.approx(middle, rel=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thresholds": (1.0, 0.0)}, "must be 4 numbers for 5 levels"),
        ({"thresholds": (1.0, 0.0, 2.0, 3.0)}, "finite and increase"),
        ({"gap": 0.0}, "gap must be more than 0"),
        ({"link": "cloglog"}, "Unknown link"),
        ({"span": 3.0}, "no option 'span'"),
        ({"hierarchy": None}, "no option 'hierarchy'"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Problem.create("ordinal", num_classes=5, lambda_w=1, lambda_h=1, **options)
