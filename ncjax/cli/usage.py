"""What all commands share: one style of flags, help and error messages."""

from __future__ import annotations

import argparse
import functools
import os
import re
import runpy
import sys
import tokenize
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT
from typing import Any, NoReturn

from ncjax.cli.signals import interrupts
from ncjax.options import InputError, brief, suggest, unknown

_LONGEST = 4000  # characters of a message

HELP_FLAGS = ("--help", "-h", "-help")


class UsageError(InputError):
    """A command line that cannot be used; the message says how to mend it."""


Main = Callable[[Sequence[str]], int]


def command(stopped: str) -> Callable[[Main], Main]:
    """Makes the `main` of a command of a function of its arguments.

    What a user can mend is then one paragraph on stderr with the exit status 2, and a
    signal the line `stopped` with 128 + its number: 130 for Ctrl-C, 143 for SIGTERM.
    """

    def decorate(work: Main) -> Main:
        @functools.wraps(work)
        def main(argv: Sequence[str]) -> int:
            try:
                with interrupts():
                    return work(argv)
            except SystemExit:  # argparse has printed the help
                return 0
            except InputError as error:
                return refuse(error)
            except KeyboardInterrupt as signal:
                print(f"\n{stopped}", file=sys.stderr)
                return 128 + getattr(signal, "number", SIGINT)

        return main

    return decorate


def check_output(flag: str, path: Path, endings: Sequence[str] = ()) -> None:
    """Refuses a file that cannot be written, before there is work for it.

    Args:
        flag: the flag that names the file, for errors.
        path: the file.
        endings: what its name may end in; by default anything.

    Raises:
        UsageError: if there is no such folder, or the name has another ending.
    """
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(
            f"{flag}={path} cannot be written: there must be a folder {folder} "
            "that you may write to, and no folder of that name in it."
        )
    if endings and path.suffix.lower() not in endings:
        raise UsageError(
            f"{flag}={path} has the ending {path.suffix!r}. "
            f"Available: {', '.join(endings)}."
        )


def show(result: object) -> None:
    """Prints a result; what the encoding of the output does not have becomes "?"."""
    encoding = sys.stdout.encoding or "utf-8"
    print(str(result).encode(encoding, "replace").decode(encoding))


def add_columns(parser: argparse.ArgumentParser) -> None:
    """Adds the flag --columns, the width of figures, to a command that draws some."""
    parser.add_argument(
        "--columns",
        metavar="N",
        type=int,
        choices=(1, 2),
        help="make figures 1 or 2 columns of a page wide, with small letters",
    )


def announce(what: str) -> None:
    """Says on stderr what is under way, unless JAX, which takes seconds, is loaded."""
    if "jax" not in sys.modules:
        print(f"Loading JAX, to {what}.", file=sys.stderr, flush=True)


def run_file(path: str | os.PathLike, what: str) -> dict[str, Any]:
    """Runs a Python file of a user's, such as a config; returns what it defines.

    It may import modules that lie beside it.

    Args:
        path: the file.
        what: what messages call it.

    Raises:
        UsageError: for a mistake in it, with its place.
    """
    if not os.path.isfile(path):  # which takes any name, however long
        raise UsageError(f"The {what} cannot be used: there is no file {path}.")
    folder = str(Path(path).absolute().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    with mistakes_in(path, what):
        # `runpy` would take bytes that are no text for a compiled program.
        with tokenize.open(path) as file:
            text = file.read()
        if "\0" in text:
            raise UsageError(f"The {what} cannot be used: {path}, line 1, is no text.")
        return runpy.run_path(str(path))


@contextmanager
def mistakes_in(path: str | os.PathLike, what: str) -> Generator[None]:
    """Turns whatever the code of a user's file raises into a `UsageError`.

    Args:
        path: the file.
        what: what messages call it.

    Raises:
        UsageError: naming the file and the line; of an error in a library the line that
            led there.
    """
    try:
        yield
    except (UsageError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit among them
        mistake = traceback.format_exception_only(error)[-1].strip()
        mistake = mistake.removeprefix("ncjax.options.ConfigError: ")
        if isinstance(error, SystemExit):
            mistake = f"it ends the program, by sys.exit({error.code!r})"
        file, line = _place(path, error)
        raise UsageError(
            f'The {what} cannot be used: {mistake} (File "{file}", line {line})'
        ) from error


def _place(path: str | os.PathLike, error: BaseException) -> tuple[Any, int]:
    """The last file and line of the user's, in the folder of this file, of an error."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [(frame.filename, frame.lineno or 1) for frame in frames]
    if isinstance(error, UnicodeDecodeError):
        places.append((str(path), error.object.count(b"\n", 0, error.start) + 1))
    if isinstance(error, SyntaxError):
        places.append((error.filename or str(path), error.lineno or 1))
    folder = Path(path).absolute().parent
    own = [place for place in places if Path(place[0]).absolute().parent == folder]
    return (own or [(path, 1)])[-1]


def wants_help(argv: Sequence[str]) -> bool:
    """Whether one of the arguments asks for help."""
    return any(flag in argv for flag in HELP_FLAGS)


def refuse(error: object) -> int:
    """Prints an error as one paragraph on stderr and returns the exit status 2."""
    lines = (line.strip() for line in str(error).splitlines())
    text = " ".join(line for line in lines if line)
    print(f"error: {brief(text, _LONGEST)}", file=sys.stderr)
    return 2


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are `UsageError`s, with a suggestion.

    It prints `about` before the flags and `more`, examples and lists, after them.  One
    that `registers` takes the flag --register: a file that is run before all else.
    """

    def __init__(self, prog: str, about: str, more: str = "", registers: bool = False):
        super().__init__(
            prog=prog,
            description=about,
            epilog=more,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if registers:
            use = (
                "run a Python file of yours first, which registers losses, models, ..."
            )
            self.add_argument("--register", metavar="FILE", help=use)

    def read(self, argv: Sequence[str]) -> argparse.Namespace:
        """The values of the flags.

        Raises:
            SystemExit: if help was asked for, which is then printed.
            UsageError: for unknown or missing arguments and values not allowed.
        """
        if wants_help(argv):
            self.print_help()
            self.exit()
        options, unknown = self.parse_known_args(argv)
        if unknown:
            name = unknown[0].partition("=")[0]
            if not name.startswith("-"):
                raise UsageError(
                    f"Unexpected argument {unknown[0]!r}; options start with --."
                )
            flags = [  # of --config.FIELD the first part
                flag.partition(".")[0]
                for action in self._actions
                for flag in action.option_strings
            ]
            meant = suggest(name, flags)
            raise UsageError(
                f"Unknown flag {name!r}.{meant} --help shows those that exist."
            )
        for name, value in vars(options).items():
            if value == []:  # argparse takes the value "--" for none
                raise UsageError(f"--{name.replace('_', '-')} has no value.")
        if file := getattr(options, "register", None):
            run_file(file, "file given by --register")
        return options

    def format_help(self) -> str:
        """The help, in which flags take their values after "="."""
        return re.sub(r"(--[a-z][\w.-]*) (?=[A-Z{])", r"\1=", super().format_help())

    def error(self, message: str) -> NoReturn:
        """Raises `UsageError` where argparse would print its usage and exit."""
        message = re.sub(r"^argument (.*?): ", r"\1: ", message)
        choice = re.match(
            r"(.*): invalid choice: '?(.*?)'? \(choose from (.*)\)", message
        )
        if choice:
            flag, got, allowed = choice.groups()
            names = allowed.replace("'", "").split(", ")
            raise UsageError(unknown(flag, got, names))
        raise UsageError(
            f"{message[0].upper()}{message[1:]} (--help shows what is allowed)."
        )
