"""Optimizers and learning-rate schedules, by name.

To add an optimizer: write a function (learning rate, options as keyword arguments with
defaults), add a line to `OPTIMIZERS`, add a test; `config.optimizer` offers its options
by itself.  `with_decay` gives a rule of optax its weight decay.  If all of the decay is
decoupled, a line in `DECOUPLED` says so.  A schedule is a function in `schedules`, with
a line in `SCHEDULES`.

The learning rate and the numeric options may be traced by JAX, so that networks that
train in one program can differ in them; ranges are checked where values are known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ncjax.optimizers.adam import adam, adamw
from ncjax.optimizers.decay import with_decay as with_decay
from ncjax.optimizers.descent import sam, sgd, sgdw
from ncjax.optimizers.heads import with_head as with_head
from ncjax.optimizers.muon import muon
from ncjax.optimizers.schedules import SCHEDULES as SCHEDULES
from ncjax.optimizers.signs import lion, signum, signumw

if TYPE_CHECKING:
    import optax

OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "sgd": sgd,
    "sgdw": sgdw,
    "sam": sam,
    "adam": adam,
    "adamw": adamw,
    "signum": signum,
    "signumw": signumw,
    "lion": lion,
    "muon": muon,
}

# Optimizers whose weight decay is no penalty (lambda/2)|theta|^2 on the loss; of the
# others it is but for the share of their option `decoupled`.
DECOUPLED = frozenset({"sgdw", "adamw", "signumw", "lion", "muon"})

# Optimizers whose steps are sums of gradients, or matrices with the same null space: a
# row sum without a gradient moves by weight decay alone (`ncjax.ufm.theory.row_sum`).
KEEP_ROW_SUMS = frozenset({"sgd", "sgdw", "sam", "muon"})

# Optimizers that ask for a second gradient, of all parameters together.
OF_ALL_LAYERS = frozenset({"sam"})
