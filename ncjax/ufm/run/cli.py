"""The command line: flags, progress, verdict, exit status."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

from ncjax import main as trainer
from ncjax.config import ConfigError
from ncjax.runs.workdir import WorkdirError, claim
from ncjax.ufm.run.experiments import EXPERIMENTS
from ncjax.ufm.run.report import strict
from ncjax.ufm.run.settings import default, validate
from ncjax.ufm.run.sweep import parse_sweep, sweep

HELP = """\
Solve, certify and flow unconstrained-features models; compare them with theory.

  python -m ncjax.ufm --config=configs/ufm_NAME.py         one of the configs below
  python -m ncjax.ufm --config=configs/ufm_NAME.py:smoke   the same in seconds
  python -m ncjax.ufm --config.model.c=1e-2                any field can be overridden
  python -m ncjax.ufm --sweep=c:1e-4..1e-1:40,beta:1..30:40
                                                           a heat map of rank and NC2
  python -m ncjax.ufm --workdir=DIR                        where results are written

The workdir, runs/NAME by default, gets config.json, metrics.jsonl, verdict.json and
ufm.png.  Exit status: 0 if all statements hold, 1 if one fails, 2 for bad input.
"""


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    argv = sys.argv if argv is None else argv
    if {"-h", "--help", "-help"} & set(argv):
        print(_help())
        return 0
    try:
        config, name, values = trainer.parse_flags(
            argv,
            fallback="ufm_ce.py",
            fields=default,
            texts={"workdir": "folder of the results", "sweep": "grid, see --help"},
        )
        validate(config, tuple(EXPERIMENTS))
        axes = parse_sweep(values["sweep"], config) if values["sweep"] else None
        folder = Path(values["workdir"] or f"runs/{name}{'-sweep' if axes else ''}")
        claim(folder, "verdict.json")
        progress = _Stages()
        if axes:
            report = sweep(config, axes, progress)
        else:
            report = EXPERIMENTS[config.experiment](config, progress)
        progress("done")
        report.write(folder, strict(config.to_dict()) | {"sweep": values["sweep"]})
    except (trainer.UsageError, ConfigError, WorkdirError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (ValueError, FloatingPointError) as error:
        text = " ".join(str(error).split())
        print(f"error: The experiment cannot be run: {text}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped; nothing was written.", file=sys.stderr)
        return 130
    print(f"{report}\n\nWritten to {folder}")
    return 0 if report.holds else 1


class _Stages:
    """Says on stderr what is under way, and since when."""

    def __init__(self):
        self._began = time.monotonic()

    def __call__(self, stage: str, **values: Any) -> None:
        seconds = time.monotonic() - self._began
        shown = "".join(f"  {name} {value:.6g}" for name, value in values.items())
        print(f"{seconds:6.1f} s  {stage}{shown}", file=sys.stderr, flush=True)


def _help() -> str:
    """The text above, the configs with their first lines, the fields."""
    lines = [HELP, "Configs:"]
    for path in trainer.shipped_configs("ufm_"):
        doc = re.match(r'"""(.*?)[.\n]', path.read_text())
        lines.append(f"  configs/{path.name:26} {doc[1] if doc else ''}")
    lines += ["", "Fields (--config.FIELD=VALUE):"]
    for name, value in default().items():
        if hasattr(value, "items"):
            lines += [f"  {name}.{key} = {item!r}" for key, item in value.items()]
        else:
            lines.append(f"  {name} = {value!r}")
    return "\n".join(lines)
