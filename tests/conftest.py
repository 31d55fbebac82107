"""Eight virtual CPU devices stand in for a pod; set before JAX starts."""

import os
import tempfile

import hypothesis
import jax

# Each run of the tests tries the same examples: what fails, fails for everybody.
hypothesis.settings.register_profile("repeatable", derandomize=True, database=None)
hypothesis.settings.load_profile("repeatable")

jax.config.update("jax_num_cpu_devices", 8)
# Tests compile for longer than they compute: they do without optimisation.
_QUICK = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
if jax.__version_info__ < (0, 11):  # XLA stops at a flag that it does not know
    _QUICK += " --xla_cpu_use_fusion_emitters=false"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_QUICK}".strip()

# Every core has a process of its own: threads of BLAS would wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What one test has compiled the next one finds, also in processes that it starts and in
# the others of pytest-xdist, which inherit the folder from the first; it lives as long
# as the session, so no result depends on an earlier one.
_OWN = None
if "PYTEST_XDIST_WORKER" not in os.environ:
    _OWN = tempfile.TemporaryDirectory(prefix="ncjax-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _OWN.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def pytest_unconfigure():
    if _OWN is not None:
        _OWN.cleanup()
