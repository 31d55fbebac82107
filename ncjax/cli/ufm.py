"""`ncjax ufm`: experiments on unconstrained-features models."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ncjax.cli.configs import config_parser, parse_flags, shipped_configs, titles
from ncjax.cli.usage import UsageError, refuse, wants_help

_ABOUT = """\
Solve, certify and flow unconstrained-features models; compare them with theory.

The workdir, runs/NAME by default, gets config.json, metrics.jsonl, verdict.json and
ufm.png.  Exit status: 0 if all statements hold, 1 if one fails, 2 for bad input.
"""

_MORE = """\
examples:
  {prog} --config=configs/ufm_NAME.py         one of the configs below
  {prog} --config=configs/ufm_NAME.py:smoke   the same in seconds
  {prog} --config.model.c=1e-2                any field can be overridden
  {prog} --workdir=DIR                        where results are written
  {prog} --sweep=c:1e-4..1e-1:40,beta:1..30:40
    a heat map of the rank and NC2 of the optimum

Configs:
{configs}

{fields}
"""

_TEXTS = {
    "workdir": "folder of the results",
    "sweep": "one or two fields, NAME:LOW..HIGH:COUNT, with a comma between",
}


def main(argv: Sequence[str], prog: str = "ncjax ufm") -> int:
    """Runs an experiment on an unconstrained-features model.

    Args:
        argv: the arguments.
        prog: how the program was called.

    Returns:
        The exit status: 0 if all statements hold, 1 if one fails, 2 for input that
        cannot be used.
    """
    if wants_help(argv):
        print(_help(prog), end="")
        return 0

    # JAX and what is built on it take seconds to import.
    from ncjax.config import ConfigError
    from ncjax.runs.workdir import WorkdirError, claim
    from ncjax.ufm.run.experiments import EXPERIMENTS
    from ncjax.ufm.run.fields import default, validate
    from ncjax.ufm.run.sweep import parse_sweep, sweep

    try:
        config, name, values = parse_flags(
            argv, fallback="ufm_ce.py", fields=default, texts=_TEXTS
        )
        validate(config)
        axes = parse_sweep(values["sweep"], config) if values["sweep"] else None
        folder = Path(values["workdir"] or f"runs/{name}{'-sweep' if axes else ''}")
        claim(folder, "verdict.json")
        progress = _Stages()
        if axes:
            report = sweep(config, axes, progress)
        else:
            report = EXPERIMENTS[config.experiment].run(config, progress)
        progress("done")
        report.write(folder, config.to_dict() | {"sweep": values["sweep"]})
    except (UsageError, ConfigError, WorkdirError) as error:
        return refuse(error)
    except (ValueError, FloatingPointError) as error:
        return refuse(f"The experiment cannot be run: {error}")
    except KeyboardInterrupt:
        print("\nStopped; nothing was written.", file=sys.stderr)
        return 130
    print(f"{report}\n\nWritten to {folder}")
    return 0 if report.holds else 1


class _Stages:
    """Prints on stderr what is under way, and the seconds since the start."""

    def __init__(self):
        self._began = time.monotonic()

    def __call__(self, stage: str, **values: Any) -> None:
        seconds = time.monotonic() - self._began
        shown = "".join(f"  {name} {value:.6g}" for name, value in values.items())
        print(f"{seconds:6.1f} s  {stage}{shown}", file=sys.stderr, flush=True)


def _help(prog: str) -> str:
    from ncjax.ufm.run.fields import describe

    configs = titles(shipped_configs("ufm_"))
    more = _MORE.format(prog=prog, configs=configs, fields=describe())
    return config_parser(prog, _ABOUT, more, _TEXTS).format_help()
