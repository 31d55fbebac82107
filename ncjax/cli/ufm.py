"""`ncjax ufm`: experiments on unconstrained-features models."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ncjax.cli.configs import parse_flags, show_help
from ncjax.cli.usage import UsageError, command, wants_help
from ncjax.options import InputError

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


@command("ufm", stopped="Stopped; nothing was written.")
def main(argv: Sequence[str], prog: str) -> int:
    """Runs an experiment on an unconstrained-features model.

    Args:
        argv: the arguments.
        prog: how the program was called.

    Returns:
        The exit status: 0 if all statements hold, 1 if one fails, 2 for input that
        cannot be used.
    """
    if wants_help(argv):
        from ncjax.ufm.run.fields import describe

        return show_help(prog, _ABOUT, _MORE, _TEXTS, describe(), prefix="ufm_")

    # JAX and what is built on it take seconds to import.
    from ncjax.runs.workdir import claim
    from ncjax.ufm.run.experiments import EXPERIMENTS
    from ncjax.ufm.run.fields import default, validate
    from ncjax.ufm.run.sweep import parse_sweep, sweep

    config, name, values = parse_flags(
        argv, fallback="ufm_ce.py", fields=default, texts=_TEXTS
    )
    try:
        validate(config)
        axes = parse_sweep(values["sweep"], config) if values["sweep"] else None
        folder = Path(values["workdir"] or f"runs/{name}{'-sweep' if axes else ''}")
        claim(folder, "verdict.json")
        progress = _Stages()
        if axes:
            report = sweep(config, axes, progress)
        else:
            report = EXPERIMENTS[config.experiment](config, progress)
        progress("done")
        report.write(folder, config.to_dict() | {"sweep": values["sweep"]})
    except InputError:
        raise
    except (ValueError, FloatingPointError) as error:
        raise UsageError(f"The experiment cannot be run: {error}") from error
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
