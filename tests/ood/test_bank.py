"""What a bank keeps of the batches that pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from ncjax.cluster import make_mesh
from ncjax.ood import Bank

ROWS = np.arange(46, dtype=np.float32).reshape(23, 2)


def kept(bank):
    return np.asarray(bank.rows)[np.asarray(bank.there)]


@pytest.mark.parametrize(("most", "every"), [(None, 1), (23, 1), (12, 2), (8, 3)])
def test_an_even_sample_in_order(most, every):
    bank = Bank.empty(len(ROWS), 2, most)
    for start in range(0, 23, 5):
        batch = np.full((5, 2), np.nan, np.float32)
        rows = ROWS[start : start + 5]
        batch[: len(rows)] = rows
        bank = bank.update(jnp.asarray(batch), jnp.float32(np.arange(5) < len(rows)))
    np.testing.assert_array_equal(kept(bank), ROWS[::every])
    assert int(bank.seen) == 23


def test_devices_gather_what_each_has():
    mesh = make_mesh(jax.devices()[:8], 1)

    def gather(rows):
        return Bank.empty(24, 2).update(rows).all_reduce("data")

    program = jax.shard_map(
        gather, mesh=mesh, in_specs=P("data"), out_specs=P(), check_vma=False
    )
    found = jax.jit(program)(jnp.concatenate([ROWS, ROWS[:1]]))
    np.testing.assert_array_equal(kept(found), [*ROWS, ROWS[0]])
    assert int(found.seen) == 24


def test_sizes_below_one_are_refused():
    for sizes in ((0, 2), (5, 0), (5, 2, 0)):
        with pytest.raises(ValueError, match="must be at least 1, got 0"):
            Bank.empty(*sizes)
