"""`ncjax ufm`: bad input, and help."""

import math

import pytest
from hypothesis import given, settings, strategies as st

from ncjax.cli import train, ufm
from ncjax.ufm.run.fields import default, forget_published


def run(*args):
    return ufm.main(args)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config=digits"], "Run it with `ncjax train`"),
        (["--config=ufm_nope"], "No config file 'ufm_nope'"),
        (["--config=ufm_ce:fast"], "Unknown preset 'fast'. Available: smoke"),
        (["--config.model.cc=1"], "Available: alpha, beta, c, "),
        (["--config.experiment=dream"], "'dream'. Available: optimum, flow_hadamard"),
        (["--config.model.loss=sce"], "Unknown config.model.loss 'sce'. Did you mean"),
        (["--config.model.c=0.0"], "model.c must be finite and more than 0, got 0.0"),
        (["--config.model.ratio=-1.0"], "model.ratio must be finite and more than 0"),
        (["--config.model.lambda_b=-2.0"], "lambda_b must be at least 0, or -1"),
        (["--config.model.feature_dim=5"], "feature_dim=5 is too small: a simplex"),
        (["--config.model.num_classes=0"], "Give config.model.num_classes"),
        (
            ["--config=ufm_soft_cifar10", "--config.model.num_classes=7"],
            "num_classes = 7, but the tree 'cifar10' has 10 classes",
        ),
        (
            ["--config=ufm_soft_cifar10", "--config.model.tree="],
            "The loss 'soft_labels' needs config.model.tree",
        ),
        (["--config.model.tree=oak"], "Unknown config.model.tree 'oak'. Available: "),
        (
            ["--config=ufm_flow_hadamard", "--config.model.num_classes=6"],
            "must be a power of two, at least 2, got 6",
        ),
        (
            ["--config=ufm_mse_bias_phase", "--config.model.c=0.2"],
            "K c = 2 >= 1 has only the trivial solution",
        ),
        (["--config=ufm_fixed_etf", "--config.model.feature_dim=5"], "at least 10"),
        (["--config=ufm_deep_lowrank", "--config.deep.width=5"], "width = 5 is too"),
        (["--sweep.model.c=1e-4"], "must have two values or more, and they must rise"),
        (["--sweep.model.c=1..b:3"], "'1..b:3' is not LOW..HIGH:COUNT"),
        (["--sweep=c:1e-4"], "--sweep=c:1e-4 is not --sweep.FIELD=VALUES"),
        (
            ["--sweep.model.d=1..2:3"],
            "Unknown --sweep field 'model.d'. Did you mean 'model.c'? Available: ",
        ),
        (["--sweep.model.beta=1..2:3"], "'beta' has no effect on 'cross_entropy'"),
        (
            ["--config.model.beta=2.0"],
            "config.model.beta = 2.0 has no effect: 'cross_entropy' takes "
            "label_smoothing, temperature. Leave it at 4.0",
        ),
        (
            ["--config=ufm_hxe_cifar10", "--config.model.weighting=width"],
            "Unknown loss.weighting 'width'. Available: height, depth",
        ),
        (
            ["--config=ufm_nc0_map", "--config.model.temperature=2.0"],
            "config.model.temperature = 2.0 has no effect: 'nc0_map' takes no options. "
            "Leave it at 1.0",
        ),
        (
            ["--config=ufm_fixed_etf", "--config.model.label_smoothing=0.1"],
            "'fixed_etf' takes loss, num_classes, per_class, feature_dim",
        ),
        (["--config=ufm_hierarchy", "--config.model.tree="], "Give config.model.num_"),
        (
            ["--config=ufm_hierarchy", "--config.frames.methods=('hace', 'oak')"],
            "Unknown config.frames.methods 'oak'. Available: cross_entropy, ",
        ),
        (
            ["--config=ufm_soft_cifar10", "--config.model.loss=haframe"],
            "The classifier of the loss 'haframe' does not learn",
        ),
        (["--sweep.model.c=2..1:3"], "must rise from a finite end"),
        (["--sweep.model.c=1..2:3", "--sweep.model.c=1..2:3"], "is given twice"),
        (
            ["--sweep.model.c=1,2", "--sweep.model.ratio=1,2", "--sweep.zip=c,ratio"],
            "takes one or two fields of an optimum",
        ),
        (["--sweep.model.lambda_b=1..2:3"], "lambda_b needs a model with a bias"),
        (["--config=ufm_fixed_etf", "--sweep.model.c=1,2"], "experiment = 'optimum'"),
    ],
)
def test_bad_input(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    error = captured.err.split("error: ", 1)[1]
    assert message in error
    assert error.count("\n") == 1  # one paragraph
    assert "Traceback" not in captured.err


FIELDS = ("model.c", "model.tree", "flow.t_max", "seed", "expect.rank", "expect.nc2")


@settings(max_examples=30, deadline=None)
@given(st.sets(st.sampled_from(FIELDS)))
def test_a_published_number_belongs_to_its_model(given_fields):
    config = default()
    config.expect.rank, config.expect.nc2 = 9.0, 0.7
    changed = forget_published(config, given_fields)
    model = {f"config.{f}" for f in given_fields if f.startswith("model.")}
    for name, value in (("rank", 9.0), ("nc2", 0.7)):
        kept = not model or f"expect.{name}" in given_fields
        assert config.expect[name] == value if kept else math.isnan(config.expect[name])
    assert math.isnan(config.expect.objective)  # never given
    own = {"expect.rank", "expect.nc2"} <= given_fields
    assert set(changed) == (set() if own else model)


def test_a_folder_of_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert run("--config=ufm_fixed_etf:smoke", f"--workdir={tmp_path}") == 2
    assert "holds no verdict.json" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_training_refuses_these_configs(capsys):
    assert train.main(["--config=configs/ufm_ce.py"]) == 2
    err = capsys.readouterr().err
    assert "`ncjax ufm`" in err
    assert err.count("\n") == 1


def test_help(capsys):
    assert run("--help") == 0
    out = capsys.readouterr().out
    for text in (
        "--sweep",
        ":smoke",
        "configs/ufm_ce.py",
        "model.ratio",
        "Exit status",
    ):
        assert text in out
