"""Two groups of made-up runs."""

import pytest

from tests.comparison.folders import SOFT, row, write


@pytest.fixture
def runs(tmp_path):
    """Two groups: 4 seeds of cross-entropy, 3 of soft labels, seeds 0, 1, 2 common."""
    folder = tmp_path / "runs"
    errors = {"ce": [0.10, 0.12, 0.14, 0.2], "soft": [0.11, 0.15, 0.16]}
    nc1 = {"ce": [1e-3, 2e-3, 4e-3, 1e-2], "soft": [1e-2, 3e-2, 2e-2]}
    for kind, loss in (("ce", None), ("soft", SOFT)):
        for seed, (error, value) in enumerate(zip(errors[kind], nc1[kind])):
            end = row(30, test__error=error, nc__nc1=value)
            changes = {} if loss is None else {"loss": loss}
            write(folder / f"{kind}{seed}", [row(2), row(9), end], seed, **changes)
    return folder
