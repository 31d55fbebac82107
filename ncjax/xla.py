"""How XLA compiles a program that computes little."""

from __future__ import annotations

from jax.sharding import Mesh


def quick(mesh: Mesh) -> dict[str, bool | int]:
    """Options of the compiler that compile faster and give a slower program.

    For programs that run for a moment but consist of many small operations, such as the
    metrics of class moments: on a CPU they compile for longer than they ever run.
    Products and decompositions of matrices are calls of libraries, and as fast as ever.

    Args:
        mesh: where the program runs; on accelerators the options are the usual ones.
    """
    if mesh.devices.flat[0].platform != "cpu":
        return {}
    return {
        "xla_backend_optimization_level": 0,
        "xla_cpu_use_fusion_emitters": False,
        "xla_cpu_parallel_codegen_split_count": 1,
    }
