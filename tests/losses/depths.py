"""Trees whose classes all lie at one depth, or do not, for the hierarchical losses."""

from ncjax.hierarchy import BUILTIN, Hierarchy
from tests.thin import thin

CHAIN = Hierarchy(["r", "x", "y", *"abcd"], [-1, 0, 1, 2, 2, 1, 0])
TREES = {
    "five levels": BUILTIN["cifar100_5"](),
    "uneven": BUILTIN["digits"](),
    "chain": CHAIN,
}
NAMES = thin(list(TREES), keep={1, 2})
