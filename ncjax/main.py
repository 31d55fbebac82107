"""Command line: `python -m ncjax.main --config=configs/NAME.py`."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from absl import flags
from ml_collections import ConfigDict, config_flags

HELP = """\
Train a network into neural collapse and measure it on the way.

  python -m ncjax.main                                  the digits, about half a minute
  python -m ncjax.main --config=configs/NAME.py         one of the configs below
  python -m ncjax.main --config=configs/NAME.py:smoke   the same in seconds
  python -m ncjax.main --config.loss.name=mse           any field can be overridden
  python -m ncjax.main --workdir=DIR                    where the run is written

  python -m ncjax.main --config.num_seeds=5             five networks in one program

The workdir gets config.json, metrics.jsonl, TensorBoard events, checkpoints and
collapse.png.  Without --workdir it is runs/NAME-HASH, where HASH is that of the
configuration.  The same command again continues a run that was stopped.  With many
seeds the metrics are means with 95 % intervals, and DIR/seeds/SEED holds each run.

Compiled programs are kept in ~/.cache/ncjax for the next run.  The environment chooses
another folder (JAX_COMPILATION_CACHE_DIR) or none (JAX_ENABLE_COMPILATION_CACHE=false).
"""


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status: 0, 2 for bad input, 1 else."""
    argv = sys.argv if argv is None else argv
    if {"-h", "--help", "-help"} & set(argv):
        print(_help())
        return 0

    # JAX takes seconds to import; --help does not wait for it.
    from ncjax import (
        ConfigError,
        DataError,
        TrainingError,
        WorkdirError,
        cluster,
        train,
    )
    from ncjax.cli.cache import keep_compiled_programs
    from ncjax.config import resolved, validate

    try:
        cluster.join()
    except cluster.ClusterError as error:
        return _refuse(error)
    workdir = ""
    try:
        config, name, workdir = parse(argv)
        cluster.check_devices()
        validate(config)
        keep_compiled_programs()
        workdir = workdir or f"runs/{name}-{_digest(resolved(config))}"
        history = train(config, workdir)
    except (
        UsageError,
        cluster.ClusterError,
        ConfigError,
        DataError,
        WorkdirError,
    ) as error:
        return _refuse(error) if cluster.is_first() else 2
    except TrainingError as error:
        cluster.abandon(1, f"error: {error}")  # memory may have run out here only
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            f"\nStopped. The same command with --workdir={workdir} continues from the "
            "last checkpoint.",
            file=sys.stderr,
        )
        cluster.abandon(130)
        return 130
    except Exception:
        cluster.abandon(
            1,
            f"{traceback.format_exc()}\nThis process cannot go on, nor can the others "
            f"without it. The same command with --workdir={workdir} continues from the "
            "last checkpoint.",
        )
        raise
    if cluster.is_first():
        print(f"\n{history}\n\nWritten to {history.workdir}")
    return 0


class UsageError(ValueError):
    """A command line that cannot be used."""


def parse(argv: list[str]) -> tuple[ConfigDict, str, str]:
    """Command line -> configuration, name of its file, workdir ("" if not given).

    Raises:
        UsageError: for an unknown flag, field or file, or a value of the wrong type.
    """
    config, name, values = parse_flags(argv, fallback="digits.py", fields=_fields)
    if "experiment" in config:
        raise UsageError(
            f"The config {name!r} describes an unconstrained-features model, not the "
            "training of a network. Run it with python -m ncjax.ufm."
        )
    return config, name, values["workdir"]


def parse_flags(
    argv: list[str],
    *,
    fallback: str,
    fields: Callable[[], ConfigDict],
    texts: Mapping[str, str] = MappingProxyType({"workdir": "folder of the run"}),
) -> tuple[ConfigDict, str, dict[str, str]]:
    """Command line -> configuration, name of its file, the other flags ("" if not set).

    Args:
        argv: the program and its arguments.
        fallback: config file if none is given.
        fields: gives all fields, for messages about unknown ones.
        texts: the other flags, strings, with what they mean.

    Raises:
        UsageError: for an unknown flag, field or file, or a value of the wrong type.
    """
    given = [_locate(argument) for argument in argv]
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
    except (flags.Error, TypeError, ValueError) as error:
        raise UsageError(_explain(error)) from error
    if len(left) > 1:
        raise UsageError(f"Unexpected argument {left[1]!r}; options start with --.")
    path = config_flags.get_config_filename(values["config"]).partition(":")[0]
    given_texts = {flag: values[flag].value or "" for flag in texts}
    return config, Path(path).stem, given_texts


def find_config(name: str) -> Path:
    """A config file: as given, else among those that come with ncjax.

    `configs/digits.py`, `digits.py` and `digits` all find the shipped digits.

    Raises:
        UsageError: listing the shipped ones.
    """
    if (given := Path(name)).is_file():
        return given
    for folder in _shipped():
        for candidate in (folder / given.name, folder / f"{given.name}.py"):
            if candidate.is_file():
                return candidate
    raise UsageError(
        f"No config file {name!r}. Shipped: "
        f"{', '.join('configs/' + p.name for p in shipped_configs())}."
    )


def shipped_configs(prefix: str = "") -> list[Path]:
    """The config files that come with ncjax, by name.

    Those of `ncjax.ufm` begin with "ufm_"; without that prefix, those of training.
    """
    found = sorted(p for folder in _shipped() for p in folder.glob("[!_]*.py"))
    return [p for p in found if p.name.startswith("ufm_") == (prefix == "ufm_")]


def _shipped() -> list[Path]:
    """`configs/` lies beside the package in a clone, and in it once installed."""
    here = Path(__file__).parent
    return [f for f in (here / "configs", here.parent / "configs") if f.is_dir()][:1]


def _locate(argument: str) -> str:
    """`--config=NAME[:preset]` with the path of the file."""
    match = re.fullmatch(r"(--?config=)([^:]*)(:.*)?", argument)
    if not match:
        return argument
    flag, name, preset = match.groups()
    return f"{flag}{find_config(name)}{preset or ''}"


def _fields() -> ConfigDict:
    from ncjax.config import default

    return default()


def _unknown_field(argv: list[str], fields: ConfigDict) -> str:
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
                )
            node = node[part]
    return f"A field in {argv[1:]} does not exist; --help lists all."


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


def _digest(config: dict) -> str:
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]


def _help() -> str:
    """The text above, the configs with their first lines, the fields."""
    lines = [HELP, "Configs:"]
    for path in shipped_configs():
        doc = re.match(r'"""(.*?)[.\n]', path.read_text())
        lines.append(f"  configs/{path.name:24} {doc[1] if doc else ''}")
    from ncjax.config import describe

    return "\n".join([*lines, "", describe()])


def _refuse(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
