"""What theory says of the row sum of the classifier, beside what a run measures.

`theory/decay_time` is x of `ncjax.ufm.theory.row_sum`, `theory/nc0` the exact |W'1| of
its recursion.  The second needs a loss without gradient along 1, a linear classifier on
class logits and an optimizer that keeps row sums; the first, an optimizer under which
the decay is an exponential.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Sharding
from ml_collections import ConfigDict

from ncjax.classifiers import LAYER
from ncjax.config.binding import Loss
from ncjax.config.fields import choice
from ncjax.config.optimizer import bind_decay, bind_rate, last_layer
from ncjax.losses import OUTPUTS
from ncjax.runs.columns import DECAY_TIME, ROW_SUM
from ncjax.targets import DEFAULT
from ncjax.training.network import Network
from ncjax.training.plan import Members
from ncjax.training.step import TrainState
from ncjax.ufm.theory.row_sum import decay_time, row_sum_factors


class RowSum:
    """The row sum of theory, for the networks of a program."""

    def __init__(
        self,
        config: ConfigDict,
        network: Network,
        members: Members,
        sharding: Sharding,
    ):
        """Computes the recursion of every step of the run, in float64.

        Args:
            config: a valid configuration.
            network: what is trained.
            members: the networks of the program.
            sharding: where the results lie.
        """
        self._steps = len(network.dataset.train) // config.batch_size
        self._tables = _tables(config, members, self._steps)
        if not _is_governed(config, network):
            self._tables.pop(ROW_SUM, None)
        if LAYER not in network.abstract().params:  # there is no W that decays
            self._tables.pop(DECAY_TIME, None)
        weights = network.objective.classifier.weights

        def norm(variables: Mapping) -> jax.Array:
            total = weights(variables)[0].sum(0)
            return jnp.sqrt(jnp.sum(total**2))  # `nc0`, in less time to compile

        def read(step: jax.Array, tables: Mapping) -> dict[str, jax.Array]:
            epoch = step // self._steps
            return {key: table[epoch] for key, table in tables.items()}

        if len(members) > 1:
            norm, read = jax.vmap(norm), jax.vmap(read)
        else:
            self._tables = {key: table[0] for key, table in self._tables.items()}
        self._norm = jax.jit(norm, out_shardings=sharding)
        self._read = jax.jit(read, out_shardings=sharding)
        self._start: jax.Array | None = None

    def begin(self, state: TrainState) -> TrainState:
        """Takes note of the row sum of a new network, and returns its state."""
        if ROW_SUM in self._tables:
            self._start = self._norm(state.variables())
        return state

    def __call__(self, state: TrainState) -> dict[str, jax.Array]:
        """`theory/...` -> the value at the end of the epoch of a state, [] or [S]."""
        found = self._read(state.step, self._tables)
        if ROW_SUM in found:
            if self._start is None:  # the start of these networks is not known
                del found[ROW_SUM]
            else:
                found[ROW_SUM] *= self._start
        return found


def _tables(config: ConfigDict, members: Members, steps: int) -> dict[str, np.ndarray]:
    """x, and |r_t| over |r_0|, of each network after each epoch [S, E+1], float32."""
    optimizer, hyper = choice(config, "optimizer"), members.hyper
    differ = [{k: v[i] for k, v in hyper.items()} for i in range(len(members))]
    decays = [bind_decay(optimizer)(own) for own in (differ if hyper else [{}])]
    linear = decays[0].linear
    if not linear and any(decay.decoupled != 1 for decay in decays):
        return {}
    schedule = bind_rate(last_layer(optimizer, hyper), config.num_epochs, steps)

    def rates(own: Mapping) -> jax.Array:
        rate = schedule(own)
        every = jnp.arange(config.num_epochs * steps)
        return jax.vmap(lambda step: jnp.asarray(rate(step), jnp.float32))(every)

    many = bool(hyper) and len(members) > 1
    found = jax.jit(jax.vmap(rates) if many else rates)(members.arrays())
    names = ("weight_decay", "momentum", "decoupled")
    given = {n: np.array([getattr(decay, n) for decay in decays]) for n in names}
    by_step = np.atleast_2d(found)
    tables = {DECAY_TIME: decay_time(by_step, **given)}
    if linear:
        factors = row_sum_factors(by_step, **given, nesterov=decays[0].nesterov)
        tables[ROW_SUM] = np.abs(factors)
    shape = len(members), config.num_epochs + 1
    with np.errstate(over="ignore"):  # more than float32 holds is infinity
        return {
            key: np.broadcast_to(x[:, ::steps], shape).astype(np.float32)
            for key, x in tables.items()
        }


def _is_governed(config: ConfigDict, network: Network) -> bool:
    """Whether W has a row for each logit, and the loss no gradient along their sum."""
    logits = choice(config, "classifier").name == "linear"
    logits &= config.loss.name not in OUTPUTS and network.dataset.target == DEFAULT
    return logits and is_blind(network.objective.loss({}), network.dataset.num_classes)


def is_blind(loss: Loss, num_classes: int) -> bool:
    """Whether a loss is the same when a number is added to all logits of an example.

    Its gradients then sum to 0 over the logits.  Tried on logits near 0, for up to 16
    of the classes.

    Args:
        loss: (logits [n, K], labels [n]) -> loss of each example [n].
        num_classes: number K of classes.
    """
    labels = jnp.arange(min(num_classes, 16))
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(len(labels), num_classes)).astype(np.float32)
    moved = logits + rng.uniform(1, 2, (len(labels), 1)).astype(np.float32)
    both = jax.jit(jax.vmap(lambda z: loss(z, labels)))(np.stack([logits, moved]))
    return np.allclose(*np.asarray(both), rtol=1e-4, atol=1e-6)
