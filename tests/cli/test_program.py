"""The program `ncjax`: its commands, their help, and errors of one paragraph."""

import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import ncjax
from ncjax.cli import COMMANDS
from ncjax.cli.program import main
from ncjax.cli.usage import Parser, UsageError, refuse

ROOT = Path(__file__).parents[2]
# Command -> a flag with two letters changed, and the flag.
MISSPELT = {
    "train": ("--wrokdir=x", "--workdir"),
    "measure": ("--lables=x", "--labels"),
    "compare": ("--basleine=x", "--baseline"),
    "report": ("--uot=x", "--out"),
    "ufm": ("--sewep=x", "--sweep"),
    "codes": ("--clases=3", "--classes"),
    "movie": ("--veiw=x", "--view"),
    "prepare": ("--orignials=x", "--originals"),
}


def program(*arguments, **options):
    """`python -m ncjax` in a new process."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "ncjax", *arguments],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def assert_refused(capsys, *messages):
    """One paragraph on stderr, nothing on stdout."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    for message in messages:
        assert message in captured.err


def test_the_console_script_is_this_program():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["ncjax"].partition(":")
    assert getattr(importlib.import_module(module), function) is main


@pytest.mark.parametrize("argument", ["--help", "-h", "help"])
def test_help_lists_the_commands(argument, capsys):
    assert main([argument]) == 0
    out = capsys.readouterr().out
    for name, does in COMMANDS.items():
        assert f"  {name:10} {does}\n" in out


def test_without_a_command_the_help_is_printed(capsys):
    assert main([]) == 2
    assert "usage: ncjax COMMAND" in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ncjax {ncjax.__version__}\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("trian", f"'trian'. Available: {', '.join(COMMANDS)}. Did you mean 'train'?"),
        ("--config=digits", "Unknown command '--config=digits'. Available: train, "),
    ],
)
def test_an_unknown_command(name, message, capsys):
    assert main([name, "--help"]) == 2
    assert_refused(capsys, message)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command(name, capsys):
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: ncjax {name} [-h]")
    assert f"\nexamples:\n  ncjax {name} " in out
    assert main([name, "x", "-h"]) == 0
    assert capsys.readouterr().out == out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_suggests_the_flag_that_was_meant(name, capsys):
    wrong, right = MISSPELT[name]
    positional = ["mnist"] if name == "prepare" else ["x"]
    needs = ("measure", "compare", "movie", "report", "prepare")
    arguments = positional if name in needs else []
    assert main([name, *arguments, wrong]) == 2
    assert_refused(
        capsys, f"Unknown flag {wrong[:-2]!r}. Did you mean {right!r}?", "--help"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["measure"], "Nothing to measure: give FEATURES, a file of features, or"),
        (["measure", "x.npy", "--batch-size=many"], "--batch-size: invalid int value"),
        (
            ["measure", "x.npy", "--preset=defualt"],
            "Did you mean 'default'?",
        ),
        (["compare"], "The following arguments are required: RUN"),
        (["compare", "x", "--test=f"], "Unknown --test 'f'. Available: t, wilcoxon."),
        (
            ["prepare", "mnst"],
            "'mnst'. Available: mnist, fashion_mnist, cifar10, cifar100. Did you mean",
        ),
        (
            ["train", "--config=digit"],
            "'digit'. Did you mean 'digits'? Shipped: ",
        ),
        (["train", "--config.loss.nam=mse"], "Did you mean 'name'?"),
        (
            ["ufm", "--config=ufm_cee"],
            "'ufm_cee'. Did you mean 'ufm_ce'? Shipped: configs/ufm_",
        ),
        (["ufm", "digits"], "Unexpected argument 'digits'; options start with --."),
    ],
)
def test_arguments_that_cannot_be_used(arguments, message, capsys):
    assert main(arguments) == 2
    assert_refused(capsys, message)


def test_help_of_a_command_as_a_program():
    result = program("prepare", "--help")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout.startswith("usage: ncjax prepare ")


def test_an_error_as_a_program():
    result = program("compare", "nowhere", "--baseline", "x")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: There is no folder nowhere")
    assert "Traceback" not in result.stderr


def test_refuse_joins_the_lines_of_an_error(capsys):
    assert refuse(ValueError("one\n\n  two\n")) == 2
    assert capsys.readouterr().err == "error: one two\n"


def test_flags_take_values_in_both_styles_and_no_abbreviations():
    parser = Parser("ncjax test", "About.")
    parser.add_argument("--number", type=int)
    for arguments in (["--number=3"], ["--number", "3"]):
        options = parser.read(arguments)
        assert options is not None
        assert options.number == 3
    with pytest.raises(UsageError, match="Unknown flag '--num'"):
        parser.read(["--num=3"])
