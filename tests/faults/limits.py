"""What a refused input may cost, and what a refusal looks like."""

import json
import re
import resource
import time
from contextlib import contextmanager


def peak():
    """The most memory that this process had so far, in bytes (Linux)."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


_YARDSTICK = 0.2  # processor seconds that `_yardstick` took where limits were set


def _yardstick():
    """Processor seconds of a fixed piece of work, on this machine and now."""
    began = time.process_time()
    text = json.dumps([{"name": f"leaf{i}", "parent": i} for i in range(100_000)])
    assert len({entry["name"] for entry in json.loads(text)}) == 100_000
    return time.process_time() - began


@contextmanager
def cheap(seconds=1.0, gigabytes=1.0):
    """What is done within costs so little.

    It is processor time, as others may be at work, of the machine on which the limits
    were set: a slower one has as much more as it needs for the yardstick.
    """
    before, began = peak(), time.process_time()
    yield
    spent, grown = time.process_time() - began, peak() - before
    if spent > seconds:
        seconds *= max(1.0, _yardstick() / _YARDSTICK)
    assert spent < seconds, f"{spent:.2f} s, where {seconds:.2f} are allowed"
    assert grown < gigabytes * 1e9, f"{grown / 1e9:.2f} GB"


def assert_refused(status, said, most=4100):
    """One paragraph on stderr with the exit status 2, and nothing else."""
    assert status == 2, said.err
    assert said.out == ""
    assert re.fullmatch("(Loading JAX[^\n]*\n)?error: [^\n]*\n", said.err), said.err
    assert len(said.err) < most
