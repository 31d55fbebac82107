"""Eight virtual CPU devices stand in for a pod; set before JAX starts."""

import os
import tempfile

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)

# What one test has compiled the next one finds, also in processes that it starts; the
# cache lives as long as the session, so no result depends on an earlier one.
_CACHE = tempfile.TemporaryDirectory(prefix="ncjax-tests-")
os.environ["JAX_COMPILATION_CACHE_DIR"] = _CACHE.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
jax.config.update("jax_compilation_cache_dir", _CACHE.name)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


@pytest.fixture(scope="session", autouse=True)
def _compilation_cache():
    yield
    _CACHE.cleanup()
