"""What a refused input may cost, and what a refusal looks like."""

import re
import resource
import time
from contextlib import contextmanager


def peak():
    """The most memory that this process had so far, in bytes (Linux)."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextmanager
def cheap(seconds=1.0, gigabytes=1.0):
    """What is done within costs so little; processor time, as others may be at work."""
    before, began = peak(), time.process_time()
    yield
    spent, grown = time.process_time() - began, peak() - before
    assert spent < seconds, f"{spent:.2f} s"
    assert grown < gigabytes * 1e9, f"{grown / 1e9:.2f} GB"


def assert_refused(status, said, most=4100):
    """One paragraph on stderr with the exit status 2, and nothing else."""
    assert status == 2, said.err
    assert said.out == ""
    assert re.fullmatch("(Loading JAX[^\n]*\n)?error: [^\n]*\n", said.err), said.err
    assert len(said.err) < most
