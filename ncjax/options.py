"""Options of the functions in a registry, read off their signatures.

A registry is a dict of functions by name, such as `ncjax.losses.LOSSES`.  The options
of a function are its keyword-only parameters with a plain default value (`PLAIN`).
What the program itself fills in (`hierarchy`, `dtype`, ...) has no such default.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

PLAIN = (bool, int, float, str, tuple)
_SHORT = 10  # names that are read before the one that was meant
_MANY, _LONG = 25_000, 100  # names, and characters of one, among which one is sought


class InputError(ValueError):
    """Input of a user's that cannot be used; the message says how to mend it."""


class ConfigError(InputError):
    """A configuration that cannot be run; the message says how to mend it."""


class TrainingError(RuntimeError):
    """A run cannot go on; the message says where it stopped and why."""


def options_of(function: Callable) -> dict[str, Any]:
    """The options of a function: name -> default value."""
    return {
        p.name: p.default
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY and isinstance(p.default, PLAIN)
    }


def takes(function: Callable, name: str) -> bool:
    """Whether a function has a parameter of this name, such as `hierarchy`."""
    return name in inspect.signature(function).parameters


def all_options(functions: Iterable[Callable]) -> dict[str, Any]:
    """The options of several functions together: name -> default value.

    Raises:
        ValueError: if two of the functions give one option different defaults.
    """
    found: dict[str, Any] = {}
    for function in functions:
        for name, value in options_of(function).items():
            if name in found and found[name] != value:
                raise ValueError(
                    f"Option {name!r} of {function} defaults to {value!r}, but in "
                    f"another function of its registry to {found[name]!r}: an option "
                    "of one name must mean one thing."
                )
            found[name] = value
    return found


def fill(
    function: Callable, values: Mapping[str, Any], **given: Any
) -> functools.partial:
    """A function with its options, and whatever else it takes, filled in.

    Args:
        function: the function, of a registry.
        values: value of each of its options, by name; values of options that the
            function does not have are left out.
        **given: further arguments, such as `hierarchy`; those that the function does
            not take are left out.
    """
    filled = {name: values[name] for name in options_of(function)}
    filled |= {name: value for name, value in given.items() if takes(function, name)}
    return functools.partial(function, **filled)


def is_traced(option: Any) -> bool:
    """Whether JAX traces an option, so that its value is not known yet.

    Such options can differ between the networks of one program.  They cannot be
    checked, and what depends on them is computed by JAX; with a known value it is
    computed once, by NumPy in float64.
    """
    import jax  # late: options are read before JAX is needed

    return isinstance(option, jax.core.Tracer)


def check_value(
    name: str, value: Any, fits: Callable[[Any], bool], must_be: str
) -> None:
    """Raises `ValueError` for an option out of range, unless JAX traces it."""
    if is_traced(value):
        return
    # Under `jax.jit` a comparison of a known array would be traced.
    known = value if isinstance(value, PLAIN) else float(value)
    if not fits(known):
        raise ValueError(f"{name} must be {must_be}, got {known}.")


def brief(text: str, most: int) -> str:
    """A message of at most so many characters: long words and the middle are cut."""
    if len(text) <= most:
        return text
    cut = re.sub(r"\S{100,}", lambda word: f"{word[0][:60]}...{word[0][-20:]}", text)
    if len(cut) > most:
        cut = f"{cut[: most - most // 4 - 5]} ... {cut[-(most // 4) :]}"
    return cut


def suggest(word: str, allowed: Iterable[str]) -> str:
    """The question whether the nearest allowed word was meant; "" if none is near.

    Capitals are no matter, and of words like `nc/nc1` the last part alone will do.
    Among very many words, or for a very long one, none is sought: that takes minutes.
    """
    allowed = list(itertools.islice(allowed, _MANY + 1))
    if len(word) > _LONG or len(allowed) > _MANY:
        return ""
    known: dict[
        str, str
    ] = {}  # what may be written for a word: the shortest goes first
    for name in sorted((x for x in allowed if len(x) <= _LONG), key=len):
        for written in (name, name.rpartition("/")[2]):
            known.setdefault(written.lower(), name)
    near = difflib.get_close_matches(word.lower(), known, n=1)
    return f" Did you mean {known[near[0]]!r}?" if near else ""


def named(convention: Any, kind: type, presets: Mapping[str, Any]) -> Any:
    """The convention of a name; one that is of the kind already is returned as it is.

    Raises:
        ValueError: for a name that is not among the presets.
    """
    if isinstance(convention, kind):
        return convention
    if convention not in presets:
        raise ValueError(unknown("convention", convention, presets))
    return presets[convention]


def unknown(what: str, got: Any, allowed: Iterable[str]) -> str:
    """The sentences on a name that does not exist: which one was meant, and all others.

    Args:
        what: what the name is of, such as "loss".
        got: the name.
        allowed: the names that there are.
    """
    allowed = list(allowed)
    meant, listed = suggest(str(got), allowed), ", ".join(allowed) or "none"
    if len(allowed) > _SHORT:
        return f"Unknown {what} {got!r}.{meant} Available: {listed}."
    return f"Unknown {what} {got!r}. Available: {listed}.{meant}"


def choose(field: str, value: str, allowed: Iterable[str]) -> None:
    """Raises `ConfigError` unless the value of a field is one of those allowed."""
    if value not in allowed:
        raise ConfigError(unknown(field, value, allowed))


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"loss": {"name": "mse"}} -> {"loss.name": "mse"}."""
    out: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            out |= flat(value, f"{prefix}{name}.")
        else:
            out[prefix + name] = value
    return out
