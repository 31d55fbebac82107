"""A made-up run of three measured epochs."""

import pytest

from ncjax.runs.history import History
from tests.runs.rows import row


@pytest.fixture
def history():
    return History([row(1, 0.5, 10.0), row(7, 0.0, 0.1), row(20, 0.0, 1.23456e-5)])
