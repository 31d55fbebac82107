"""The program `ncjax`: finds the command and hands it the other arguments."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from ncjax.cli import COMMANDS
from ncjax.cli.usage import HELP_FLAGS, refuse
from ncjax.options import unknown

_ABOUT = """\
usage: ncjax COMMAND [ARGUMENTS]

ncjax: train into neural collapse and measure it exactly.

commands:
{commands}

`ncjax COMMAND --help` describes a command.  A flag takes its value as --flag=VALUE (a
space will do).  `ncjax --version` prints the version; `python -m ncjax` is `ncjax`.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command: its exit status, or 2 if there is no such command.

    Args:
        argv: the name of the command and its arguments; by default those that the
            program was started with.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    if not argv or argv[0] in HELP_FLAGS or argv == ["help"]:
        lines = [f"  {name:10} {does}" for name, does in COMMANDS.items()]
        print(_ABOUT.format(commands="\n".join(lines)), end="")
        return 0 if argv else 2
    name, *arguments = argv
    if name == "--version":
        from ncjax import __version__

        print(f"ncjax {__version__}")
        return 0
    if name not in COMMANDS:
        return refuse(unknown("command", name, COMMANDS))
    return importlib.import_module(f"ncjax.cli.{name}").main(arguments)
