"""Balanced trees for the tests of closed forms."""

import pytest

from ncjax.hierarchy import balanced

BINARY = balanced((2, 2, 2))
TREES = {
    "binary": BINARY,
    "flat": balanced((5,)),
    "2x3": balanced((2, 3)),
    "3x2x2": balanced((3, 2, 2)),
    "chains": balanced((1, 3, 1, 2)),
}


@pytest.fixture(params=TREES)
def tree(request):
    return TREES[request.param]
