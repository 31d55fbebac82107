"""The probes of a configuration, and the options that they take.

A run can have several probes, so their options are fields of the section `eval`, beside
`config.eval.probes` with their names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax

from ncjax.config.fields import Choice, Hyper
from ncjax.optimizers import DECOUPLED
from ncjax.options import ConfigError, all_options, choose, fill, options_of
from ncjax.probes import PROBES, Probe, Subject


def probe_options(names: Iterable[str]) -> dict[str, Any]:
    """The options of some probes together: name -> default value."""
    return all_options(PROBES[name] for name in names)


def check_probes(values: Mapping[str, Any]) -> None:
    """Checks the names of probes, and that no option is set that has no effect.

    Args:
        values: values of all fields of the section `eval`.

    Raises:
        ConfigError: for an unknown name, or an option that no chosen probe takes.
    """
    names = values["probes"]
    for name in names:
        choose("eval.probes", name, PROBES)
    used = probe_options(names)
    for option, default in probe_options(PROBES).items():
        if option not in used and values[option] != default:
            takers = [name for name in PROBES if option in options_of(PROBES[name])]
            raise ConfigError(
                f"config.eval.{option} = {values[option]!r} has no effect: it is an "
                f"option of the probe {' or '.join(map(repr, takers))}. Add it to "
                f"config.eval.probes = {names!r}, or leave the option at {default!r}."
            )


def bind_weight_decay(optimizer: Choice) -> Callable[[Hyper], float | jax.Array]:
    """Hyper-parameters -> weight decay lambda of the penalty (lambda/2)|theta|^2.

    It is 0 for an optimizer whose weight decay is no such penalty, or that has none.
    """
    takes_decay = "weight_decay" in options_of(optimizer.function)
    if not takes_decay or optimizer.name in DECOUPLED:
        return lambda hyper: 0.0
    return lambda hyper: optimizer.now(hyper)["weight_decay"]


def bind_probes(
    names: Sequence[str], values: Mapping[str, Any], subject: Subject
) -> dict[str, Probe]:
    """The probes of these names, with their options filled in.

    Args:
        names: names of the probes.
        values: values of all options of probes, by name.
        subject: the networks to measure.

    Raises:
        ConfigError: for an option out of its range, or a probe that these networks or
            data do not allow.
    """
    try:
        return {name: fill(PROBES[name], values)(subject) for name in names}
    except ValueError as error:
        raise ConfigError(f"config.eval: {error}") from error
