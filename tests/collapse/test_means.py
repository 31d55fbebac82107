"""How many dimensions the class means span."""

import numpy as np

# Each metric of the module by its definition, for tests/collapse/test_measure.py.
REFERENCES = {
    "rank": lambda x: x.rank,
    "numerical_rank": lambda x: (
        np.linalg.norm(x.between_rows, "nuc") ** 2 / np.sum(x.between_rows**2)
    ),
}
