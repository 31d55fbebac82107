"""Why training cannot go on, said so that a user can mend it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import jax
import numpy as np
from ml_collections import ConfigDict

from ncjax.options import flat


class TrainingError(RuntimeError):
    """Training cannot go on; the message says where it stopped and why."""


# What takes memory, in the order in which to lower it; only the last changes a run.
_TAKES_MEMORY = (
    ("data.placement", " = 'stream' keeps the images off the devices"),
    ("eval.buffer_mb", " bounds the features kept on a device"),
    ("num_seeds", " are trained at once"),
    ("eval.batch_size", " are measured at once"),
    ("batch_size", " are trained on at once, which changes the run"),
)


@contextmanager
def out_of_memory(config: ConfigDict) -> Generator[None]:
    """Says what to lower when memory runs out, in compiling or in a step.

    Args:
        config: configuration whose values the message names.

    Raises:
        TrainingError: instead of what JAX or Python raise when memory runs out.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        said = str(error).strip()
        if "RESOURCE_EXHAUSTED" not in said and not isinstance(error, MemoryError):
            raise
        reason = (said or "on the host").splitlines()[0].rstrip(".")
        values = flat(config.to_dict())
        fields = "; ".join(
            f"config.{name} (now {values[name]}){effect}"
            for name, effect in _TAKES_MEMORY
        )
        raise TrainingError(
            f"Out of memory: {reason}. Lower what takes it: {fields}. More devices "
            "share batches and features."
        ) from error


def check_finite(
    losses: np.ndarray,
    epoch: int,
    *,
    seeds: Sequence[int],
    last_good: int,
    learning_rate: float,
) -> None:
    """Checks that the loss was finite at every step of an epoch.

    Args:
        losses: loss of every network at every step [S, steps].
        epoch: number of the epoch.
        seeds: seed of each network; () for a single network.
        last_good: epoch of the newest checkpoint, 0 if there is none.
        learning_rate: learning rate at the start, for the message.

    Raises:
        TrainingError: naming the first step, the seed and the newest checkpoint.
    """
    if np.isfinite(losses).all():
        return
    first, who = np.argwhere(~np.isfinite(losses.T))[0]
    of = f" of seed {seeds[who]}" if seeds else ""
    saved = (
        f"The last good checkpoint is that of epoch {last_good}"
        if last_good
        else "There is no checkpoint yet"
    )
    raise TrainingError(
        f"The loss{of} became {losses[who, first]} in epoch {epoch}, at step "
        f"{(epoch - 1) * losses.shape[1] + first + 1}. {saved}. Try a lower "
        f"config.optimizer.learning_rate (now {learning_rate})."
    )
