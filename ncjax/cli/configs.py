"""The flags `--config=FILE[:PRESET]` and `--config.FIELD=VALUE`, and their files."""

from __future__ import annotations

import argparse
import os
import re
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncjax.cli.usage import Parser, UsageError, mistakes_in, run_file
from ncjax.options import flat, suggest, unknown

if TYPE_CHECKING:
    from ml_collections import ConfigDict


_SHIPPED = Path(__file__).parents[1] / "configs"  # in a clone, a link to `configs`


def find_config(name: str, prefix: str | None = None) -> Path:
    """The path of a config file: as given, else among those that come with ncjax.

    `configs/digits.py`, `digits.py` and `digits` all find the shipped digits.

    Raises:
        UsageError: if there is no such file; the message lists the shipped ones that
            have the prefix, see `shipped_configs`.
    """
    given = Path(name)
    if os.path.isfile(given):  # which takes any name, however long
        return given
    every = shipped_configs("")
    for path in every if given.parent in (Path(), Path("configs")) else ():
        if given.name in (path.name, path.stem):
            return path
    near = suggest(given.stem, [path.stem for path in every])
    shipped = ", ".join(f"configs/{path.name}" for path in shipped_configs(prefix))
    raise UsageError(f"No config file {name!r}.{near} Shipped: {shipped}.")


def shipped_configs(prefix: str | None = None) -> list[Path]:
    """The config files that come with ncjax and have a prefix, by name.

    Those of `ncjax ufm` have the prefix "ufm_"; None gives those of `ncjax train`.
    """
    found = sorted(_SHIPPED.glob("[!_]*.py"))
    if prefix is None:
        return [p for p in found if not p.name.startswith("ufm_")]
    return [p for p in found if p.name.startswith(prefix)]


def titles(paths: Sequence[Path]) -> str:
    """Lines for `--help`: each config file with the first sentence of its docstring."""
    lines = []
    for path in paths:
        doc = re.match(r'"""(.*?)[.\n]', path.read_text())
        lines.append(f"  configs/{path.name:26} {doc[1] if doc else ''}")
    return "\n".join(lines)


def config_parser(prog: str, about: str) -> Parser:
    """The parser of a command that takes a config and has a workdir."""
    add = (parser := Parser(prog, about)).add_argument
    add("--config", metavar="FILE[:PRESET]", help="a config file, and a preset in it")
    add("--config.FIELD", metavar="VALUE", help="a value for one field of the config")
    add("--sweep.FIELD", metavar="VALUES", help="values that a field goes through")
    add("--workdir", metavar="DIR", default="", help="folder of the results")
    return parser


def show_help(parser: Parser, more: str, fields: str, prefix: str | None = None) -> int:
    """Prints the help of a command that takes a config, and returns 0.

    `more` has places for {prog}, {configs} (those with the prefix) and {fields}.
    """
    configs = titles(shipped_configs(prefix))
    parser.epilog = more.format(prog=parser.prog, configs=configs, fields=fields)
    parser.print_help()
    return 0


def parse_flags(
    argv: Sequence[str], parser: Parser, fallback: str
) -> tuple[ConfigDict, str, argparse.Namespace]:
    """Reads the arguments of a command that takes a config.

    Args:
        argv: the arguments.
        parser: from `config_parser`.
        fallback: name of the config file to use if none is given.

    Returns:
        The configuration; the name of its file without folder and ending; the values of
        the other flags, the dotted names of the fields that were given as `fields`, and
        as `recipe` the file and its fields, for `ncjax.runs.about.following`.

    Raises:
        UsageError: for an unknown flag, field or file, or a value of the wrong type.
    """
    # These take a fifth of a second to import, and --help goes without them.
    from absl import flags
    from ml_collections import config_flags

    joined = _joined(argv)
    fields = [a for a in joined if re.match(r"--?(no)?config\.", a)]
    options = parser.read([a for a in joined if a not in fields])
    options.fields = [re.sub(r"--?(no)?config\.|=.*", "", a) for a in fields]
    name, *preset = (options.config or fallback).split(":", 1)
    prefix = "ufm_" if fallback.startswith("ufm_") else None
    path = find_config(name, prefix)
    given, values = ["ncjax", *fields], flags.FlagValues()
    config = _load(path, preset)
    shown = f"configs/{path.name}" if path.parent == _SHIPPED else str(path)
    options.recipe = ":".join([shown, *preset]), flat(config.to_dict())
    try:
        config_flags.DEFINE_config_dict(
            "config", config, flag_values=values, sys_argv=given
        )
        values(given)
    except (AttributeError, KeyError, flags.Error, TypeError, ValueError) as error:
        if strange := _unknown_field(fields, config):
            raise UsageError(strange) from error
        text = " ".join(line.strip() for line in str(error).splitlines())
        raise UsageError(
            f"The command line cannot be used: {text} (--help shows what is allowed)"
        ) from error
    return values.config, path.stem, options


def take_sweep(
    argv: Sequence[str],
) -> tuple[list[str], dict[str, str], list[list[str]]]:
    """Takes the flags `--sweep.FIELD=VALUES` out of the arguments of a command.

    Returns:
        The other arguments; field -> text of its values; and the groups of fields that
        change together, of `--sweep.zip=FIELD,FIELD`.

    Raises:
        UsageError: for a field that is swept twice, or a flag without a value.
    """
    rest, swept, together = [], {}, []
    for argument in _joined(argv):
        found = re.fullmatch(r"--?sweep(?:\.([\w.]+))?(?:=(.*))?", argument, re.DOTALL)
        if found is None:
            rest.append(argument)
            continue
        field, text = found.groups()
        if not field or not text:
            raise UsageError(
                f"{argument} is not --sweep.FIELD=VALUES, as in "
                "--sweep.optimizer.weight_decay=0,5e-4,5e-3 (--help shows more)."
            )
        if field == "zip":
            together.append([name.strip() for name in text.split(",")])
        elif field in swept:
            raise UsageError(f"--sweep.{field} is given twice: give all its values.")
        else:
            swept[field] = text
    if together and not swept:
        raise UsageError("--sweep.zip needs swept fields, as --sweep.FIELD=VALUES.")
    return rest, swept, together


def _load(path: Path, preset: Sequence[str]) -> ConfigDict:
    """The configuration of a file; the error for a mistake in it has its place."""
    from ml_collections import ConfigDict

    made = run_file(path, "config file").get("get_config")
    if not callable(made):
        raise UsageError(
            f"The config file cannot be used: {path} must define a function "
            "get_config(preset='') that returns a configuration, such as that of "
            f'ncjax.default() with a few fields changed (File "{path}", line 1)'
        )
    with mistakes_in(path, "config file"):
        config = made(*preset)
    if isinstance(config, ConfigDict):
        with mistakes_in(path, "config file"):
            flat(config.to_dict())  # a section may hold itself
    else:
        line = getattr(getattr(made, "__code__", None), "co_firstlineno", 1)
        raise UsageError(
            f"The config file cannot be used: its get_config returned "
            f"{reprlib.repr(config)}, but must return a ConfigDict, such as "
            f"ncjax.default() with a few fields changed: is `return config` missing? "
            f'(File "{path}", line {line})'
        )
    return config


def _joined(argv: Sequence[str]) -> list[str]:
    """`--flag VALUE` becomes `--flag=VALUE`: absl wants it so for a bool."""
    joined: list[str] = []
    for argument in argv:
        open_flag = joined and re.fullmatch(r"--?[a-z][^=]*", joined[-1])
        if open_flag and not re.match(r"-\D", argument):  # -1 is a value
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _unknown_field(arguments: Sequence[str], config: ConfigDict) -> str:
    """What is wrong with the first override of no field; "" if all are of fields."""
    for argument in arguments:
        node: Any = config.to_dict()
        for part in argument.partition("=")[0].split(".")[1:]:
            allowed = sorted(node) if isinstance(node, dict) else []
            if part not in allowed:
                return unknown(f"field in {argument!r}:", part, allowed)
            node = node[part]
        if isinstance(node, dict):
            fields = ", ".join(sorted(node))
            return f"{argument!r} names no field, but a section. Its fields: {fields}."
    return ""
