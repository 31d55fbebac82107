"""`ncjax ufm`: experiments on unconstrained-features models."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ncjax.cli.configs import config_parser, parse_flags, show_help, take_sweep
from ncjax.cli.usage import (
    UsageError,
    add_columns,
    announce,
    check_output,
    command,
    wants_help,
)
from ncjax.options import InputError
from ncjax.style import FORMATS, save

_ABOUT = """\
Solve, certify and flow unconstrained-features models; compare them with theory.

The workdir, runs/NAME by default, gets config.json, metrics.jsonl, verdict.json,
ufm.png and report.html.  Exit status: 0 if all statements hold, 1 if one fails, 2 for
bad input.
"""

_MORE = """\
examples:
  {prog} --config=configs/ufm_NAME.py         one of the configs below
  {prog} --config=configs/ufm_NAME.py:smoke   the same in seconds
  {prog} --config.model.c=1e-2                any field can be overridden
  {prog} --workdir=DIR                        where results are written
  {prog} --sweep.model.c=1e-4..1e-1:40 --sweep.model.beta=1..30:40
    a heat map of the rank and NC2 of the optimum over one or two fields; values are
    as in `ncjax train`: 40 by equal factors, lin:1..30:40 by equal steps, or a list

Configs:
{configs}

{fields}
"""


@command("Stopped; nothing was written.")
def main(argv: Sequence[str]) -> int:
    """Runs an experiment on an unconstrained-features model."""
    parser = config_parser("ncjax ufm", _ABOUT)
    also = f"draw the figure also as FILE: {', '.join(FORMATS)}"
    parser.add_argument("--figure", metavar="FILE", type=Path, help=also)
    add_columns(parser)
    if wants_help(argv):
        from ncjax.ufm.run.fields import describe

        return show_help(parser, _MORE, describe(), prefix="ufm_")

    announce("solve unconstrained-features models")  # importing takes seconds
    from ncjax.runs.about import following
    from ncjax.runs.workdir import claim
    from ncjax.ufm.run.experiments import EXPERIMENTS
    from ncjax.ufm.run.fields import forget_published, validate
    from ncjax.ufm.run.sweep import parse_sweep, sweep

    began = time.monotonic()

    def progress(stage: str, **values: Any) -> None:
        """Says on stderr what is under way, and the seconds since the start."""
        shown = "".join(f"  {name} {value:.6g}" for name, value in values.items())
        seconds = time.monotonic() - began
        print(f"{seconds:6.1f} s  {stage}{shown}", file=sys.stderr, flush=True)

    argv, swept, together = take_sweep(argv)
    config, name, options = parse_flags(argv, parser, fallback="ufm_ce.py")
    try:
        validate(config)
        if changed := forget_published(config, options.fields):
            progress(
                f"the file's published numbers are left out, for {', '.join(changed)} "
                "makes another model; --config.expect.NAME gives those of yours"
            )
        axes = parse_sweep(swept, together, config) if swept else None
        folder = Path(options.workdir or f"runs/{name}{'-sweep' if axes else ''}")
        if options.figure is not None:
            check_output("--figure", options.figure, FORMATS)
        claim(folder, "verdict.json")
        if axes:
            report = sweep(config, axes, progress)
        else:
            report = EXPERIMENTS[config.experiment].run(config, progress)
        progress("done")
        with following(*options.recipe):
            report.write(folder, config.to_dict() | {"sweep": swept})
        if options.figure is not None:
            save(report.plot(options.columns), options.figure)
    except InputError:
        raise
    except (ValueError, FloatingPointError) as error:
        raise UsageError(f"The experiment cannot be run: {error}") from error
    print(f"{report}\n\nWritten to {folder}")
    return 0 if report.holds else 1
