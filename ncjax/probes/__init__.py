"""Probes: measurements on a trained network beside the collapse metrics, by name.

A probe answers a question of its own about a network (what its loss consists of, what
it makes of foreign images, how few examples teach it a new class) with the data that
this takes.  `config.eval.probes` names the probes of a run: they are measured at the
same epochs as collapse, and write `probe/NAME/KEY` to metrics.jsonl, TensorBoard and
`compare`.  `ncjax.training.stored` measures them on the checkpoint of a run.

To add one: write a function `name(subject, *, option=default, ...) -> Probe`, add a
line to `PROBES`, add a test.  Its options are fields of `config.eval` by themselves.
What a probe may use stands in `ncjax.probes.probe`.  If its numbers shall have titles,
be averaged on the logarithm or be drawn, list a `Metric` for each beside the function
and add them to `METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable

from ncjax.collapse.registry import Metric, collect
from ncjax.probes import (
    complexity as _complexity,
    few_shot as _few_shot,
    mse_decomposition as _mse,
    ood as _ood,
)
from ncjax.probes.complexity import geometric_complexity
from ncjax.probes.few_shot import few_shot
from ncjax.probes.mse_decomposition import mse_decomposition
from ncjax.probes.ood import ood
from ncjax.probes.probe import Probe as Probe, Reader as Reader, Subject as Subject

PROBES: dict[str, Callable[..., Probe]] = {
    "mse_decomposition": mse_decomposition,
    "ood": ood,
    "few_shot": few_shot,
    "geometric_complexity": geometric_complexity,
}

# How people read what the probes find, under the keys `NAME/KEY`.
METRICS: dict[str, Metric] = collect(
    _mse.METRICS, _ood.METRICS, _few_shot.METRICS, _complexity.METRICS
)
