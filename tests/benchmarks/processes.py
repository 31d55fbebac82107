"""Runs of the command line, whole, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence


def run(flags: Sequence[str], cache: str, workdir: str) -> tuple[float, float]:
    """Seconds of a process `ncjax train` on the CPU, and its largest memory in MiB.

    Args:
        flags: flags of the command.
        cache: folder of compiled programs.
        workdir: folder of the run.
    """
    env = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "ncjax", "train", f"--workdir={workdir}", *flags]
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{command} failed")
    return time.perf_counter() - began, usage.ru_maxrss / 2**10
