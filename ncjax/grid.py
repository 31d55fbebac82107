"""Values that a field takes in a sweep, and the settings that a grid of fields makes.

A text stands for several values:

    1e-3..1e-1:8       8 values, each the same factor above the last
    lin:0..1:5         5 values, each the same step above the last
    0,5e-4,5e-3        these numbers, words, or tuples such as (64,64),(128,)
"""

from __future__ import annotations

import ast
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ncjax.options import ConfigError

MOST = 10**4  # values of a field, and settings of a grid

Setting = dict[str, Any]  # field -> its value

_WORDS = {"true": True, "false": False}


def parse_values(field: str, text: str, like: Any) -> tuple[Any, ...]:
    """The values for which a text stands.

    Args:
        field: name of the field, for messages.
        text: a range or a list, as above.
        like: a value of the field, whose type the values get.

    Raises:
        ConfigError: for a text that is neither a range nor a list, a range that does
            not rise, goes through 0 on a logarithmic scale or is empty, a value of
            another type, or a value that is given twice.
    """
    found = re.fullmatch(r"(lin:)?([^:,]+?)\.\.([^:,]+):([^:,]+)", text.strip())
    if found is None:
        return check_values(field, _list(field, text), like)
    values: Sequence[float] = _range(field, text, *found.groups())
    if type(like) is int:  # 2..16:5 are 2, 3, 6, 10, 16
        values = list(dict.fromkeys(map(round, values)))
    return check_values(field, values, like)


def check_values(field: str, values: Sequence[Any], like: Any) -> tuple[Any, ...]:
    """The values of a field, each with the type of `like`; none may come twice.

    Raises:
        ConfigError: for no values, a value of another type, or one that comes twice.
    """
    if not values:
        raise ConfigError(f"The sweep of {field} has no values. Give at least one.")
    typed = tuple(_typed(field, value, like) for value in values)
    for place, value in enumerate(typed):
        if value in typed[:place]:
            raise ConfigError(f"The sweep of {field} has the value {value!r} twice.")
    return typed


def settings(
    swept: Mapping[str, Sequence[Any]], together: Sequence[Sequence[str]] = ()
) -> list[Setting]:
    """Every combination of the values of the fields, the last field fastest.

    Args:
        swept: field -> its values.
        together: groups of fields that change together: the first value of each makes
            one setting, the second value of each the next.

    Raises:
        ConfigError: for a group of a field that is not swept, that is in another group
            too, or whose fields have different numbers of values; for too many
            settings.
    """
    joined = _joined(swept, together)
    axes = []
    for field in swept:
        group = joined.get(field, (field,))
        if field == group[0]:
            rows = zip(*(swept[name] for name in group), strict=True)
            axes.append([dict(zip(group, row, strict=True)) for row in rows])
    if (count := math.prod(map(len, axes))) > MOST:
        raise ConfigError(
            f"The sweep has {count} settings; {MOST} are allowed. Take fewer values."
        )
    return [
        {name: value for part in parts for name, value in part.items()}
        for parts in itertools.product(*axes)
    ]


def label(setting: Mapping[str, Any]) -> str:
    """A short name of a setting that may be the name of a file: `beta=4,name=mse`.

    Of a dotted field the last part stands for it, unless two fields share that part.
    """
    ends = [field.rpartition(".")[2] for field in setting]
    parts = [
        f"{field if ends.count(end) > 1 else end}={_short(value)}"
        for (field, value), end in zip(setting.items(), ends, strict=True)
    ]
    return ",".join(parts) or "all"


def is_geometric(values: Sequence[Any]) -> bool:
    """Whether values are shown best on a logarithmic axis."""
    numbers = [v for v in values if isinstance(v, (int, float)) and v > 0]
    whole = len(numbers) == len(values) > 0 and not isinstance(values[0], bool)
    return whole and max(numbers) >= 10 * min(numbers)


def _joined(
    swept: Mapping[str, Sequence[Any]], together: Sequence[Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """Field -> all fields of its group."""
    joined: dict[str, tuple[str, ...]] = {}
    for group in together:
        for field in group:
            if field not in swept:
                raise ConfigError(
                    f"{field} is to change together with others, but is not swept. "
                    f"Swept are {', '.join(swept) or 'no fields'}."
                )
            if field in joined:
                raise ConfigError(f"{field} is in two groups that change together.")
        counts = {field: len(swept[field]) for field in group}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{field} has {n}" for field, n in counts.items())
            raise ConfigError(
                f"Fields that change together need as many values each: {listed}."
            )
        order = tuple(field for field in swept if field in counts)
        joined |= dict.fromkeys(group, order)
    return joined


def _range(
    field: str, text: str, linear: str | None, low: str, high: str, count: str
) -> list[float]:
    try:
        ends, number = (float(low), float(high)), int(count)
    except ValueError as error:
        raise ConfigError(
            f"The sweep of {field}: {text!r} is not LOW..HIGH:COUNT, as in "
            "1e-3..1e-1:8, nor lin:LOW..HIGH:COUNT, nor values with commas between."
        ) from error
    if not (ends[0] < ends[1] < math.inf and 2 <= number <= MOST):
        raise ConfigError(
            f"The sweep of {field}: {text!r} must rise from a finite end to a finite "
            f"end, with 2 to {MOST} values."
        )
    if not linear and ends[0] <= 0:
        raise ConfigError(
            f"The sweep of {field}: {text!r} goes from {low} by equal factors, which "
            f"takes a positive end. For equal steps write lin:{text}."
        )
    return (np.linspace if linear else np.geomspace)(*ends, number).tolist()


def _list(field: str, text: str) -> list[Any]:
    """Values with commas between; commas within brackets belong to a value."""
    parts = re.split(r",(?![^()]*\))", text.strip())
    if not all(part.strip() for part in parts):
        raise ConfigError(f"The sweep of {field}: {text!r} has an empty value.")
    return [_value(part.strip()) for part in parts]


def _value(text: str) -> Any:
    """A number, a truth value or a tuple; what is none of these is a word."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _typed(field: str, value: Any, like: Any) -> Any:
    """A value with the type of `like`: an integer may stand for a float."""
    kind, number = type(like), isinstance(value, (int, float))
    if kind is float and number and not isinstance(value, bool):
        return float(repr(value))  # an integer beyond all floats is infinity
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind is str and not isinstance(value, (str, tuple)):
        return str(value)
    if kind is tuple and not isinstance(value, (tuple, list)):
        value = (value,)
    if kind is tuple:
        return tuple(value)
    if type(value) is not kind:
        raise ConfigError(
            f"The sweep of {field}: {value!r} is of type {type(value).__name__}, but "
            f"the field is of type {kind.__name__} (it is {like!r})."
        )
    return value


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(_short, value)) or "none"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^\w.+-]", "_", text)
