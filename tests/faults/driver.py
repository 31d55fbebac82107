"""Hurts runs at random, many times, and counts what came of it.

    python -m tests.faults.driver                    all of it, about half an hour
    python -m tests.faults.driver --quick            some of it, in about two minutes
    python -m tests.faults.driver --only=flips:17    one try, as another start made it
    python -m tests.faults.driver --table            the results as a table

Each hurt run is given the same command again until it ends, and is then compared, bit
for bit, with a run that was never stopped: metrics.jsonl, the parameters of the last
checkpoint, and all points in TensorBoard.  The exit status is 0 if none ended with
other numbers, with gaps or with a traceback.  A schedule that was stopped goes on with
the same command.  The seed decides what is hurt and when; the machine decides how far a
process has come by then, so a flipped bit is repeated exactly, a kill nearly.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np

from tests.faults.hurts import DISKS, KINDS, Ground
from tests.faults.outcomes import BAD, FAILED, RESULTS, Outcome, Tally, table

ALL = {
    "kills": 200,
    "flips": 500,
    "truncations": 100,
    "full-disks": 50,
    "concurrent-starts": 20,
    "signals": 30,
    "removals": 30,
}
QUICK = {  # 100 tries
    "kills": 10,
    "flips": 60,
    "truncations": 15,
    "full-disks": 4,
    "concurrent-starts": 1,
    "signals": 4,
    "removals": 6,
}
assert ALL.keys() == KINDS.keys() == QUICK.keys()


def attempt(ground, kind, index, seed, most=None):
    """One try of a kind; the seed and its index make all its chances."""
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), index])
    place = Path(tempfile.mkdtemp(dir=ground.root, prefix=f"{index}-"))
    more = {"most": most} if kind == "kills" and most else {}
    try:
        return KINDS[kind](ground, rng, place / "run", **more)
    except Exception as error:  # of the driver's own: it is told, and counted
        return Outcome(FAILED, False, f"the driver: {type(error).__name__}: {error}")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def hurt(ground, wanted, tally, seed, say):
    """Tries all kinds as often as wanted, less those that are in the tally."""
    began = said = time.monotonic()
    for kind, count in wanted.items():
        done, index = tally.done(kind)
        while done < count:
            start = time.monotonic()
            outcome = attempt(ground, kind, index, seed, count - done)
            tally.add(kind, index, outcome, time.monotonic() - start)
            done, index = done + outcome.count, index + 1
            if time.monotonic() - said > 10 or done >= count:
                said = time.monotonic()
                say(progress(tally, wanted, kind, said - began))


def progress(tally, wanted, kind, spent):
    """How far it is: tries of this kind and of all, rate, time left, what is bad."""
    done = {name: tally.done(name)[0] for name in wanted}
    took = {name: tally.seconds(name) for name in wanted}
    known = [seconds for seconds in took.values() if seconds is not None]
    mean = sum(known) / max(1, len(known))
    each = {name: mean if took[name] is None else took[name] for name in wanted}
    left = sum(each[name] * max(0, wanted[name] - done[name]) for name in wanted)
    bad = sum(row["count"] for row in tally.bad())
    return (
        f"{kind} {done[kind]}/{wanted[kind]}, all {sum(done.values())}/"
        f"{sum(wanted.values())}, {each[kind]:.2f} s a try, {spent / 60:.1f} min, "
        f"about {left / 60:.0f} min left; {bad} bad"
    )


def prepared(root):
    """A ground in a folder: all is imported and compiled, and a life is measured."""
    from tests.faults.processes import LabProcess, prepare

    prepare()
    lab = LabProcess(root)
    for every in (1, 4):
        lab.judge(str(root / f"whole-{every}"), every)
    ground = Ground(lab, root, mounts=can_mount(root))
    begun = time.monotonic()
    ran = ground.run(root / "life", 1)
    ground.life = time.monotonic() - begun
    if why := ran.status or lab.judge(root / "life"):
        raise RuntimeError(f"A run that nothing hurts is not as it should be: {why}")
    return ground


def can_mount(root):
    """Whether a file system of a given size can be made here."""
    place = root / "mounted"
    place.mkdir()
    make = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)]
    try:
        made = subprocess.run(make, capture_output=True, check=False).returncode == 0
        if made:
            subprocess.run(["umount", str(place)], check=True)
    except OSError:
        return False
    return made


def arguments(argv):
    """The flags."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.driver")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="only 100 tries")
    parser.add_argument("--out", type=Path, help="the file of the results")
    parser.add_argument("--only", help="KIND, or KIND:INDEX for one try")
    parser.add_argument("--most", type=int, help="at most so many tries of a kind")
    parser.add_argument("--table", action="store_true", help="print the results")
    options = parser.parse_args(argv)
    options.only, _, index = (options.only or "").partition(":")
    if options.only and options.only not in KINDS:
        parser.error(f"--only={options.only}: available are {', '.join(KINDS)}")
    options.index = int(index) if index else None
    return options


def schedule(options):
    """Kind -> number of tries."""
    wanted = QUICK if options.quick else ALL
    if options.only:
        wanted = {options.only: wanted[options.only]}
    if options.most is not None:
        wanted = {kind: min(count, options.most) for kind, count in wanted.items()}
    return wanted


def main(argv=None):
    """Runs the schedule: 0 if nothing bad was found, else 1."""
    options = arguments(argv)
    out = options.out or (
        RESULTS if options.table or schedule(options) == ALL else None
    )
    if options.table:
        print(table(json.loads(out.read_text())["counts"]))
        return 0
    try:
        tally = Tally(out, options.seed)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="ncjax-faults-") as root:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{root}/programs")
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        ground = prepared(Path(root))
        try:
            if options.index is not None:
                outcome = attempt(ground, options.only, options.index, options.seed)
                print(outcome)
                return int(outcome.result in BAD)
            print(f"A full disk is {DISKS[ground.mounts]}.", flush=True)
            hurt(ground, schedule(options), tally, options.seed, _say)
        except KeyboardInterrupt:
            print("Stopped; with --out the same command goes on.", file=sys.stderr)
            return 130
        finally:
            ground.lab.close()
    print(table(tally.counts()))
    for row in tally.bad():
        print(f"{row['kind']}:{row['index']} {row['result']}: {row['note']}")
    return int(bool(tally.bad()))


def _say(line):
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
