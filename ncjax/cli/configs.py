"""Config files: where they are, which ones come with ncjax, what `--config` reads.

Used by the commands that take `--config=FILE[:PRESET]` and `--config.FIELD=VALUE`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ncjax.cli.usage import Parser, UsageError, suggest, unknown_argument

if TYPE_CHECKING:
    from ml_collections import ConfigDict


def find_config(name: str) -> Path:
    """The path of a config file: as given, else among those that come with ncjax.

    `configs/digits.py`, `digits.py` and `digits` all find the shipped digits.

    Raises:
        UsageError: if there is no such file; the message lists the shipped ones.
    """
    if (given := Path(name)).is_file():
        return given
    for folder in _shipped():
        for candidate in (folder / given.name, folder / f"{given.name}.py"):
            if candidate.is_file():
                return candidate
    shipped = shipped_configs()
    near = suggest(given.stem, [path.stem for path in shipped_configs("")])
    raise UsageError(
        f"No config file {name!r}.{near} Shipped: "
        f"{', '.join('configs/' + path.name for path in shipped)}."
    )


def shipped_configs(prefix: str | None = None) -> list[Path]:
    """The config files that come with ncjax, by name.

    Args:
        prefix: "ufm_" for those of `ncjax ufm`, "" for all; by default those of
            `ncjax train`, which have no prefix.
    """
    found = sorted(p for folder in _shipped() for p in folder.glob("[!_]*.py"))
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


def show_help(
    prog: str,
    about: str,
    more: str,
    texts: Mapping[str, str],
    fields: str,
    prefix: str | None = None,
) -> int:
    """Prints the help of a command that takes a config, and returns 0.

    Args:
        prog: how the program was called.
        about: what the command does.
        more: printed after the flags, with places for {prog}, {configs} and {fields}.
        texts: the command's other flags, without dashes, and what each means.
        fields: the fields of a config.
        prefix: which configs to list; see `shipped_configs`.
    """
    configs = titles(shipped_configs(prefix))
    more = more.format(prog=prog, configs=configs, fields=fields)
    add = (parser := Parser(prog, about, more)).add_argument
    add("--config", metavar="FILE[:PRESET]", help="a config file, and a preset in it")
    add("--config.FIELD", metavar="VALUE", help="a value for one field of the config")
    for flag, text in texts.items():
        metavar = "DIR" if flag == "workdir" else flag.upper()
        add(f"--{flag}", metavar=metavar, help=text)
    print(parser.format_help(), end="")
    return 0


def parse_flags(
    argv: Sequence[str],
    *,
    fallback: str,
    fields: Callable[[], ConfigDict],
    texts: Mapping[str, str],
) -> tuple[ConfigDict, str, dict[str, str]]:
    """Reads the arguments of a command that takes a config.

    Args:
        argv: the arguments.
        fallback: name of the config file to use if none is given.
        fields: returns a configuration with all fields, for messages about unknown
            ones.
        texts: the command's other flags, without dashes, and what each means.

    Returns:
        The configuration; the name of its file without folder and ending; the values of
        the other flags, "" where not given.

    Raises:
        UsageError: for an unknown flag, field or file, or a value of the wrong type.
    """
    # These take a fifth of a second to import, and --help goes without them.
    from absl import flags
    from ml_collections import config_flags

    given = ["ncjax", *_joined(argv)]
    values = flags.FlagValues()
    for flag, text in texts.items():
        flags.DEFINE_string(flag, "", text, flag_values=values)
    try:
        config_flags.DEFINE_config_file(
            "config",
            str(find_config(fallback)),
            "config file",
            flag_values=values,
            sys_argv=given,
        )
        left = values(given)
        config = values.config
    except (AttributeError, KeyError) as error:
        raise UsageError(_unknown_field(given, fields())) from error
    except flags.UnrecognizedFlagError as error:
        known = [f"--{flag}" for flag in ("config", *texts)]
        raise UsageError(unknown_argument(f"--{error.flagname}", known)) from error
    except (flags.Error, TypeError, ValueError) as error:
        raise UsageError(_explain(error)) from error
    if len(left) > 1:
        raise UsageError(unknown_argument(left[1], []))
    path = config_flags.get_config_filename(values["config"]).partition(":")[0]
    return config, Path(path).stem, {flag: values[flag].value or "" for flag in texts}


def _shipped() -> list[Path]:
    """`configs/` lies beside the package in a clone, and in it once installed."""
    package = Path(__file__).parents[1]
    folders = (package / "configs", package.parent / "configs")
    return [folder for folder in folders if folder.is_dir()][:1]


def _joined(argv: Sequence[str]) -> list[str]:
    """`--flag VALUE` becomes `--flag=VALUE`, and a config's name the path of its file.

    absl knows both forms, but for a field that is True or False, and ml_collections
    looks for the config in the second form only.
    """
    joined: list[str] = []
    for argument in argv:
        open_flag = joined and re.fullmatch(r"--?[a-z][^=]*", joined[-1])
        if open_flag and not argument.startswith("-"):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return [_located(argument) for argument in joined]


def _located(argument: str) -> str:
    """`--config=NAME[:PRESET]` with the path of the file in the place of its name."""
    match = re.fullmatch(r"(--?config=)([^:]*)(:.*)?", argument)
    if not match:
        return argument
    flag, name, preset = match.groups()
    return f"{flag}{find_config(name)}{preset or ''}"


def _unknown_field(argv: Sequence[str], fields: ConfigDict) -> str:
    """Names the first override whose field does not exist, and those that do."""
    for argument in argv:
        name = argument.partition("=")[0].lstrip("-")
        if not name.startswith("config."):
            continue
        node = fields.to_dict()
        for part in name.split(".")[1:]:
            if not isinstance(node, dict) or part not in node:
                allowed = sorted(node) if isinstance(node, dict) else ["no fields"]
                return (
                    f"Unknown field in {argument!r}. Available: {', '.join(allowed)}."
                    f"{suggest(part, allowed)}"
                )
            node = node[part]
    return f"A field in {list(argv[1:])} does not exist; --help lists all."


def _explain(error: Exception) -> str:
    """The error of a flag in one line; of a config file its last line and place."""
    lines = str(error).strip().splitlines()
    if "Error whilst parsing config file" in str(error):
        places = [line.strip() for line in lines if line.strip().startswith("File ")]
        place = re.sub(r", in .*", "", places[-1]) if places else ""
        mistake = lines[-1].removeprefix("ncjax.options.ConfigError: ")
        return f"The config file cannot be used: {mistake} ({place})"
    text = " ".join(line.strip() for line in lines)
    return f"The command line cannot be used: {text} (--help shows what is allowed)"
