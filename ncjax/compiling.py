"""Programs that a CPU compiles for longer than they ever run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax


def quick(platform: str, level: int = 0) -> dict[str, Any]:
    """Options of XLA with which a CPU compiles a program fast.

    Products and decompositions of matrices are calls of libraries, and as fast as ever.
    The rest of the program is not optimised, which is best where it has many small
    operations; with level 1 it is hardly slower, and still compiled in half the time.

    Args:
        platform: what the program runs on: "cpu", "gpu" or "tpu".
        level: 0, or 1 for programs that go through many features.
    """
    if platform != "cpu":
        return {}
    options: dict[str, Any] = {
        "xla_backend_optimization_level": level,
        "xla_cpu_parallel_codegen_split_count": 1,
    }
    if jax.__version_info__ < (0, 11):  # XLA stops at an option that it does not know
        options["xla_cpu_use_fusion_emitters"] = False
    return options


def quick_jit(function: Callable, level: int = 0, **options: Any) -> Callable:
    """`jax.jit`, with its options, of a function for which `quick` is meant."""

    @functools.cache
    def program() -> Callable:
        # At the first call: to ask for the platform starts it.
        compiler = quick(jax.default_backend(), level)
        return jax.jit(function, compiler_options=compiler, **options)

    @functools.wraps(function)
    def call(*args, **keywords):
        return program()(*args, **keywords)

    return call
