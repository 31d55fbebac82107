"""`ncjax train`, which is also `python -m ncjax.main`: trains and measures."""

from __future__ import annotations

import hashlib
import json
import signal
import sys
import traceback
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ncjax.cli.configs import config_parser, parse_flags, show_help, take_sweep
from ncjax.cli.signals import StopAfterEpoch
from ncjax.cli.usage import Parser, UsageError, announce, refuse, show, wants_help
from ncjax.options import InputError

if TYPE_CHECKING:
    from ml_collections import ConfigDict

_ABOUT = """\
Train a network into neural collapse and measure it on the way.

The workdir gets config.json, metrics.jsonl, TensorBoard events, checkpoints,
collapse.png and report.html, a page to look at.  Without --workdir it is
runs/NAME-HASH, where HASH is that of the configuration.  The same command again
continues a run that was stopped.  With many seeds the metrics are means with 95 %
intervals, and DIR/seeds/SEED holds each run.  With --sweep.FIELD=VALUES a network is
trained for every combination of values.
"""

_MORE = """\
examples:
  {prog}                                  the digits, about half a minute
  {prog} --config=configs/NAME.py         one of the configs below
  {prog} --config=configs/NAME.py:smoke   the same in seconds
  {prog} --config.loss.name=mse           any field can be overridden
  {prog} --config.num_seeds=5             five networks in one program
  {prog} --workdir=DIR                    where the run is written
  {prog} --sweep.optimizer.weight_decay=0,5e-4 --sweep.loss.name=mse,cross_entropy
                                          a network for every combination

Values of a sweep: 1e-3..1e-1:8 are 8 by equal factors, lin:0..1:5 are 5 by equal steps,
0,5e-4,5e-3 are these; --sweep.zip=FIELD,FIELD lets fields change together.  Networks
that differ in numbers of the optimizer or the loss, in init_scale or in the seed train
in one program.  The workdir gets sweep.csv, sweep.png, report.html and members/NAME, a
run each.

A signal (SIGTERM, SIGHUP, or SIGINT by Ctrl-C) stops the run when the epoch under way,
which is one compiled program, is done and saved; it exits with 143, 129 or 130.  A
second signal, or one before the first epoch, ends it at once.  Either way the same
command goes on from the newest checkpoint, to the numbers of a run never stopped.

Compiled programs are kept in ~/.cache/ncjax for the next run.  The environment chooses
another folder (JAX_COMPILATION_CACHE_DIR) or none (JAX_ENABLE_COMPILATION_CACHE=false).

Configs:
{configs}

{fields}
"""

_CONTINUES = "The same command with --workdir={} continues from the last checkpoint."


def main(argv: Sequence[str], prog: str = "ncjax train") -> int:
    """Trains a network.

    Returns:
        0; 2 for bad input, 1 for a failed run, or 128 + the number of a signal.
    """
    if wants_help(argv):
        from ncjax.config.fields import describe

        return show_help(_parser(prog), _MORE, describe())

    announce("train a network")  # importing takes seconds
    with StopAfterEpoch() as stop:
        return _train(argv, stop)


def _train(argv: Sequence[str], stop: StopAfterEpoch) -> int:
    from ncjax import Stopped, TrainingError, cluster, sweep, train as train_network
    from ncjax.cli.cache import keep_compiled_programs
    from ncjax.config import resolved, validate
    from ncjax.report.verdict import verdict
    from ncjax.runs.about import following
    from ncjax.runs.columns import Columns

    try:
        cluster.join()
    except cluster.ClusterError as error:
        return refuse(error)
    stop.speaks = cluster.is_first
    workdir = ""
    try:
        argv, swept, together = take_sweep(argv)
        config, name, options = parse(argv)
        anew = options.restart_damaged
        cluster.check_devices()
        config = validate(config)
        keep_compiled_programs()
        mark = resolved(config) | ({"sweep": [swept, together]} if swept else {})
        workdir = options.workdir or f"runs/{name}-{_digest(mark)}"
        how = {"restart_damaged": anew, "stop": stop}
        with following(*options.recipe):
            if swept:
                found = sweep(config, swept, workdir, together=together, **how)
            else:
                found = train_network(config, workdir, **how)
    except (InputError, cluster.ClusterError) as error:
        return refuse(error) if cluster.is_first() else 2
    except TrainingError as error:
        cluster.abandon(1, f"error: {error}")  # memory may have run out here only
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        name = signal.Signals(stopped.reason).name
        cluster.say(f"\n{stopped} ({name}) {_CONTINUES.format(workdir)}")
        return 128 + stopped.reason
    except Exception:
        cluster.abandon(
            1,
            f"{traceback.format_exc()}\nThis process cannot go on, nor can the others "
            f"without it. {_CONTINUES.format(workdir)}",
            patience=2.0,
        )
        raise
    if cluster.is_first():
        show(f"\n{found}\n")
        if isinstance(found, Columns):
            show(f"{verdict(found)}\n")
        show(f"Written to {found.workdir}")
    return 0


def parse(argv: Sequence[str]) -> tuple[ConfigDict, str, Namespace]:
    """The configuration, the name of its file, and the other flags.

    Raises:
        UsageError: as `parse_flags`, and for a configuration of `ncjax ufm`.
    """
    parser = _parser("ncjax train")
    config, name, options = parse_flags(argv, parser, fallback="digits.py")
    if "experiment" in config:
        raise UsageError(
            f"The config {name!r} describes an unconstrained-features model, not the "
            "training of a network. Run it with `ncjax ufm`."
        )
    return config, name, options


def _parser(prog: str) -> Parser:
    parser = config_parser(prog, _ABOUT)
    use = "begin anew if no checkpoint of the run can be used; they are set aside"
    parser.add_argument("--restart-damaged", action="store_true", help=use)
    return parser


def _digest(config: dict) -> str:
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]
