"""Flags of the commands that take a config: both styles, files, fields."""

import pytest

from ncjax.cli.configs import (
    config_parser,
    find_config,
    parse_flags,
    shipped_configs,
    take_sweep,
    titles,
)
from ncjax.cli.usage import UsageError


def parse(*arguments):
    parser = config_parser("ncjax test", "A test.")
    return parse_flags(arguments, parser, fallback="digits.py")


@pytest.mark.parametrize(
    "arguments",
    [
        (
            *("--config.seed=3", "--config=digits:smoke", "--config.eval.crm=True"),
            *("--config.model.widths=(8, 4)", "--workdir=x"),
        ),
        (
            *("--config", "digits:smoke", "--config.seed", "3"),
            *("--config.eval.crm", "True", "--config.model.widths", "(8, 4)"),
            *("--workdir", "x"),
        ),
    ],
)
def test_both_styles_of_flags(arguments):
    config, name, options = parse(*arguments)
    assert (name, options.workdir) == ("digits", "x")
    assert (config.num_epochs, config.seed, config.eval.crm) == (20, 3, True)
    assert config.model.widths == (8, 4)


def test_a_negative_value_after_a_space():
    assert parse("--config.seed", "-1")[0].seed == -1


def test_without_arguments_the_fallback_is_read():
    config, name, options = parse()
    assert name == "digits"
    assert config.data.name == "digits"
    assert options.workdir == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workdri=x"], "Unknown flag '--workdri'. Did you mean '--workdir'?"),
        (["--config.optimizer.momentun=0"], r"Did you mean 'momentum'\?"),
        (["--config.eval.crm=maybe"], "maybe"),
        (
            ["--config=nowhere/digit.py"],
            r"'nowhere/digit.py'. Did you mean 'digits'\?",
        ),
        (
            ["--config=cofnigs/digits.py"],
            r"Did you mean 'digits'\? Shipped: ",
        ),
        (["--config.seed.x=1"], r"Unknown field in .*: 'x'\. Available: none\."),
        (
            ["--config.loss=mse"],
            "'--config.loss=mse' names no field, but a section.*nam",
        ),
        (["x"], "Unexpected argument 'x'"),
        (["--workdir=--"], "--workdir has no value"),
        (["--config=" + "x" * 5000], "No config file 'xxx"),
    ],
)
def test_what_cannot_be_read(arguments, message):
    with pytest.raises(UsageError, match=message):
        parse(*arguments)


def test_an_error_in_a_config_file_names_its_place(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def get_config(preset=''):\n    raise ValueError('no seed')\n")
    with pytest.raises(UsageError, match=r"no seed \(File .*mine\.py.*line 2"):
        parse(f"--config={path}")


def test_shipped_configs_are_told_apart_by_their_prefix():
    training, models = shipped_configs(), shipped_configs("ufm_")
    assert sorted(training + models) == shipped_configs("")
    assert all(path.name.startswith("ufm_") for path in models)
    lines = titles(models).splitlines()
    assert len(lines) == len(models)
    assert all(len(line.split()) > 3 for line in lines)


def test_files_of_ones_own_go_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config("digits").name == "digits.py"
    (tmp_path / "digits.py").write_text("")
    assert find_config("digits.py").read_text() == ""


def test_sweep_flags_are_taken_out_of_the_others():
    rest, swept, together = take_sweep(
        [
            *("--config=digits", "--sweep.loss.beta=1,2", "--config.seed", "3"),
            *("--sweep.optimizer.learning_rate", "1e-3..1e-1:8"),
            "--sweep.zip=loss.beta, optimizer.learning_rate",
        ]
    )
    assert rest == ["--config=digits", "--config.seed=3"]
    assert swept == {"loss.beta": "1,2", "optimizer.learning_rate": "1e-3..1e-1:8"}
    assert together == [["loss.beta", "optimizer.learning_rate"]]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--sweep=loss.beta:1,2"], "is not --sweep.FIELD=VALUES"),
        (["--sweep.loss.beta"], "is not --sweep.FIELD=VALUES"),
        (["--sweep.loss.beta="], "is not --sweep.FIELD=VALUES"),
        (["--sweep.loss.beta=1", "--sweep.loss.beta=2"], "is given twice"),
        (["--sweep.zip=loss.beta,seed"], "needs swept fields"),
    ],
)
def test_bad_sweep_flags(flags, message):
    with pytest.raises(UsageError, match=message):
        take_sweep(flags)


def test_the_fields_of_the_file_stay_known():
    file, fields = parse("--config=digits:smoke", "--config.seed=3")[2].recipe
    assert file == "configs/digits.py:smoke"
    assert (fields["seed"], fields["num_epochs"]) == (0, 20)
