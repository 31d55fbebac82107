"""A loss known by a line in `FITS` only, followed to everything that uses it."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.cli import ufm as command
from ncjax.gram import gram_distance, simplex_gram
from ncjax.losses import LOSSES
from ncjax.ufm import Problem, certify, geometry, solve, solve_convex
from ncjax.ufm.closed_forms import CLOSED_FORMS, Prediction
from ncjax.ufm.fits import Quadratic
from ncjax.ufm.match import class_loss, match_loss, optimum_path
from ncjax.ufm.run import default, describe
from ncjax.ufm.tables import FITS


def scaled_mse(num_classes, *, height: float = 2.0):
    """|z - height e_y|^2 / 2."""
    if not height > 0:
        raise ValueError(f"loss.height must be more than 0, got {height}.")
    return Quadratic(height * np.eye(num_classes))


def scaled_mse_optimum(model, *, height: float = 2.0):
    """Logits (height - K c)_+ I without a bias; the mode of each class pays c."""
    k, c = model.num_classes, model.c
    if model.lambda_b is not None:
        return None
    z = max(height - k * c, 0.0)
    value = (height - z) ** 2 / 2 + k * c * z
    rank = k if z > 0 else 0
    return Prediction("orthogonal frame", value, rank, z * np.eye(k))


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setitem(FITS, "scaled_mse", scaled_mse)


@pytest.fixture
def predicted(monkeypatch, known):
    monkeypatch.setitem(CLOSED_FORMS, "scaled_mse", scaled_mse_optimum)


def run(*args):
    return command.main(args)


def test_it_is_solved_and_certified(known):
    options = {"lambda_w": 1e-2, "lambda_h": 1e-2, "num_classes": 4}
    problem = Problem.create("scaled_mse", height=3, **options)
    solution = solve(problem)
    certificate = certify(problem, solution.params)
    assert certificate.verdict.startswith("global optimum")
    np.testing.assert_allclose(
        solve_convex(problem).objective, solution.objective, atol=1e-12
    )
    np.testing.assert_allclose(
        problem.logits(solution.params), (3 - 0.04) * np.eye(4), atol=1e-9
    )
    assert geometry(solution.params).rank == 4
    with pytest.raises(ValueError, match=r"no option 'beta'. Available: height"):
        Problem.create("scaled_mse", beta=1.0, **options)
    with pytest.raises(ValueError, match="height must be more than 0, got -1"):
        Problem.create("scaled_mse", height=-1.0, **options)
    with pytest.raises(ValueError, match=r"Unknown loss 'scaled'. .*'scaled_mse'\?"):
        Problem.create("scaled", **options)


def test_its_options_are_fields(known, capsys):
    assert default().model.height == 2.0
    assert "model.height = 2.0" in describe()
    assert run("--help") == 0
    out = capsys.readouterr().out
    assert "option of scaled_mse" in out
    assert "haf, ordinal, scaled_mse" in out


OPTIMUM = (
    "--config=ufm_ce:smoke",
    "--config.model.loss=scaled_mse",
    "--config.model.height=3.0",
    "--config.expect.rank=4.0",
)


@pytest.mark.slow
def test_the_command_states_its_optimum(predicted, tmp_path, capsys):
    status = run(*OPTIMUM, f"--workdir={tmp_path}")
    out = capsys.readouterr().out
    assert status == 0, out
    assert out.startswith("scaled_mse (height 3), K = 4, n = 2, d = 4, c = 0.01")
    assert "theory       orthogonal frame" in out
    for text in ("duality gap", "objective", "Gram matrix, distance to theory"):
        assert f"PASS  {text}: " in out
    assert json.loads((tmp_path / "verdict.json").read_text())["holds"]
    assert json.loads((tmp_path / "config.json").read_text())["model"]["height"] == 3


@pytest.mark.slow
def test_without_a_closed_form_the_convex_twin_is_compared(known, tmp_path, capsys):
    assert run(*OPTIMUM, f"--workdir={tmp_path}") == 0
    out = capsys.readouterr().out
    assert "no closed form: numbers, and duality" in out
    assert "PASS  Gram matrix, distance to convex twin" in out


def test_its_numbers_are_swept(predicted, tmp_path, capsys):
    sweep = "--sweep.model.height=0.02..2:4", "--sweep.model.c=1e-3..1e-1:3"
    assert run(*OPTIMUM, *sweep, f"--workdir={tmp_path}") == 0
    out = capsys.readouterr().out
    assert "ranks        0, 4" in out
    assert "PASS  wrong ranks of 12: 0" in out
    assert "Phase diagram of scaled_mse: height (4) x c (3)" in out
    rows = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["height"] for row in rows[::3]] == pytest.approx(
        np.geomspace(0.02, 2, 4)
    )
    assert run("--sweep.model.height=1..2:3", f"--workdir={tmp_path}") == 2
    assert "'height' has no effect on 'cross_entropy'" in capsys.readouterr().err


def test_networks_are_matched_with_it(known):
    path = optimum_path("scaled_mse", num_classes=3, height=3.0)
    # s P with a free bias is the optimum for (s - 3)/3 + c = 0.
    logits = 2.8 * (np.eye(3) - 1 / 3) + 1.0
    found = match_loss(path, float(class_loss(path.fit, logits)))
    assert found.state == "inside"
    np.testing.assert_allclose(found.c, 0.2 / 3, rtol=1e-6)
    assert gram_distance(found.optimum.gram, simplex_gram(3)) < 1e-6


@pytest.mark.slow
def test_trained_runs_are_compared_with_it(known, monkeypatch, tmp_path):
    """Where `ncjax.losses` has it too, networks train with it and meet its theory."""
    from ncjax import train
    from ncjax.comparison import compare
    from ncjax.config import default as training

    def trained(logits, labels, *, height: float = 2.0):
        targets = height * jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype)
        return 0.5 * jnp.sum((logits - targets) ** 2, axis=1)

    monkeypatch.setitem(LOSSES, "scaled_mse", trained)
    config = training()
    config.loss.name, config.loss.height, config.num_epochs = "scaled_mse", 3.0, 3
    train(config, tmp_path / "run")
    text = str(compare([tmp_path / "run"], theory=True))
    assert "NC2 theory" in text
