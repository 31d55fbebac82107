"""Frames of a gradient flow of an unconstrained-features model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ncjax import ufm
from ncjax.evaluation.sample import frame_of
from ncjax.options import ConfigError, flat
from ncjax.runs.frames import Frame
from ncjax.ufm.certify import why_not
from ncjax.ufm.run.fields import default
from ncjax.ufm.run.setting import setting_of

_SHOWN = "optimum"  # the experiment whose model is flowed as its fields describe it
_SAMPLES = 10  # free features of each class
_POINTS = 80  # moments at which the flow is seen
_MOST_CLASSES = 20


def frames_of_flow(fields: Mapping[str, Any]) -> tuple[list[Frame], str]:
    """The flow of a model of `ncjax ufm` from a small random start, and its title.

    Each class has ten free features, whatever `model.per_class` says; the constant c,
    on which alone the optimum depends, is that of the model.  Moments are log-spaced
    from 0 to `flow.t_max`, or to where the duality gap is `flow.stop_gap`.

    Args:
        fields: the configuration, as config.json of the workdir has it.

    Raises:
        ConfigError: for an experiment without such a flow, more than 20 classes, or
            fields of another version.
        FloatingPointError: if the flow does not reach its end.
    """
    config = default()
    known = flat(config.to_dict())
    for field, value in flat({k: v for k, v in fields.items() if k in config}).items():
        if field in known and value is not None:
            section, _, name = field.rpartition(".")
            target = config[section] if section else config
            target[name] = tuple(value) if isinstance(value, list) else value
    if config.experiment != _SHOWN:
        raise ConfigError(
            f"the experiment {config.experiment!r} is not about the flow of one model; "
            f"{_SHOWN!r} is."
        )
    setting = setting_of(config, per_class=_SAMPLES)
    problem = setting.problem.samples()
    if problem.num_classes > _MOST_CLASSES:
        raise ConfigError(
            f"a movie of a flow takes at most {_MOST_CLASSES} classes, and the model "
            f"has {problem.num_classes}."
        )
    labels = np.repeat(np.arange(problem.num_classes), _SAMPLES)
    found = ufm.flow(
        problem,
        ufm.small_start(problem, config.seed, config.flow.scale),
        times=np.expm1(np.linspace(0, np.log1p(config.flow.t_max), _POINTS)),
        stop_gap=config.flow.stop_gap if why_not(problem) is None else None,
        labels=labels,
        rtol=1e-6,
        atol=1e-9,
    )
    names = [str(k) for k in range(problem.num_classes)]
    order = np.arange(problem.num_classes)
    if setting.tree is not None:
        names = list(setting.tree.class_names)
        order = np.lexsort(setting.tree.lineage[::-1])
    title = f"flow of {setting.loss}, c = {config.model.c:g}"
    return frames_of(found, labels, names, order), title


def frames_of(
    path: ufm.Trajectory,
    labels: np.ndarray,
    names: Sequence[str] = (),
    order: Sequence[int] | np.ndarray | None = None,
) -> list[Frame]:
    """The frames of a recorded flow.

    Args:
        path: the flow, recorded at T moments.
        labels: class of each row of H [n], in 0..K-1.
        names: names of the K classes; () takes their numbers.
        order: the classes in the order in which they stand [K]; by default that of
            their numbers.
    """
    count = path.params["W"].shape[1]
    classes = np.arange(count) if order is None else np.asarray(order)
    names = [str(k) for k in range(count)] if not names else list(names)
    place = np.argsort(classes)[labels]
    belongs = np.eye(count)[:, labels]  # [K, n]
    belongs /= belongs.sum(1, keepdims=True)
    found = []
    with jax.enable_x64(True):
        make = jax.jit(lambda h, w: frame_of(belongs @ h, h, w, classes, place))
        for i, moment in enumerate(np.asarray(path.times)):
            arrays = jax.device_get(make(path.params["H"][i], path.params["W"][i]))
            found.append(
                Frame(
                    at=float(moment),
                    nc1=float(path.nc1[i]),
                    names=tuple(names[k] for k in classes),
                    place=place,
                    weight_norm=float(arrays.pop("weight_norm")),
                    **arrays,
                )
            )
    return found
