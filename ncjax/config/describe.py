"""The fields of a configuration as text for `--help`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable

from ncjax.config.fields import SECTIONS, default, functions
from ncjax.data import select
from ncjax.options import all_options
from ncjax.probes import PROBES


def describe() -> str:
    """The fields with their defaults and comments, and the options of every choice."""
    lines = ["Fields (--config.FIELD=VALUE):"]
    source = inspect.getsource(default)
    for field, value, comment in re.findall(r"config\.(\S+) = (.+?)  # (.+)", source):
        lines.append(f"  {field + ' = ' + value:42} {comment}")
    for name, registry in SECTIONS.items():
        lines.append(f"{name}.name, and the fields of {name} that it takes:")
        for choice in registry:
            own = [f for f in functions(name, choice) if f is not select]
            lines.append(f"  {choice:15} {_options(own)}")
        if name == "data":
            lines.append(f"  {'any of them':15} {_options([select])}")
    lines.append("eval.probes, and the fields of eval that they take:")
    lines += [f"  {name:17} {_options([probe])}" for name, probe in PROBES.items()]
    return "\n".join(lines)


def _options(functions: list[Callable]) -> str:
    options = all_options(functions)
    return ", ".join(f"{k} = {v!r}" for k, v in options.items()) or "-"
