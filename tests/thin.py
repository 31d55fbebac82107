"""Tables of cases of which a few are enough for every day."""

from collections.abc import Collection, Sequence
from typing import Any

import pytest


def thin(cases: Sequence[Any], keep: Collection[int]) -> list[Any]:
    """The cases at the places `keep`; the others are for the slow tests."""
    slow = pytest.mark.slow
    return [
        case
        if place in keep
        else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=slow)
        for place, case in enumerate(cases)
    ]
