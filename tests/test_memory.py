"""How much memory there is."""

import os

import jax
import pytest

from ncjax import memory


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="the system does not tell")
def test_a_process_may_use_what_the_host_has_and_its_container_allows(
    tmp_path, monkeypatch
):
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = tmp_path / "limit"
    monkeypatch.setattr(memory, "_GROUP", limit)
    assert memory.host_memory() == host
    for text, allowed in (("max\n", host), ("1024\n", 1024), (str(10**18), host)):
        limit.write_text(text)
        assert memory.host_memory() == allowed


def test_memory_of_a_device():
    assert memory.device_memory(jax.devices("cpu")[0]) == memory.host_memory()

    class Gpu:
        def memory_stats(self):
            return {"bytes_limit": 80 * 10**9}

    assert memory.gigabytes(memory.device_memory(Gpu())) == "80.0 GB"


def test_where_the_system_does_not_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_GROUP", tmp_path / "none")
    monkeypatch.delattr(os, "sysconf")
    assert memory.host_memory() == float("inf")
