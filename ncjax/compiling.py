"""How programs are compiled: fast where they hardly run, and safe on a CPU."""

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


def in_turn(function: Callable) -> Callable:
    """The function, which `jax.vmap` on a CPU calls for one element after the other.

    For functions with two decompositions (QR, SVD, eigenvalues) that do not wait for
    each other.  Of a batch of matrices each decomposition gives parts to the threads of
    XLA and waits for them, in such a thread itself; where as many do so at once as
    there are threads, the program waits for ever (jaxlib 0.10, seen with 2 threads).
    One matrix is decomposed where it is.  On other platforms nothing changes.

    Args:
        function: function of arrays or trees of arrays, all of them arguments; under
            `jax.vmap` its gradient cannot be taken.
    """

    @functools.wraps(function)
    def call(*args):
        if jax.default_backend() != "cpu":
            return function(*args)
        return jax.custom_batching.sequential_vmap(function)(*args)

    return call
