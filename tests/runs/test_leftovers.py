"""Only what Orbax leaves behind is not printed."""

import logging
import sys
import types
import warnings

import pytest
from orbax.checkpoint._src import asyncio_utils

from ncjax.runs.leftovers import drop_leftovers


@pytest.fixture
def printed(monkeypatch):
    """What is printed as a traceback."""
    found = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, _: found.append(error))
    monkeypatch.setattr(
        sys, "unraisablehook", lambda unraisable: found.append(unraisable.exc_value)
    )
    logger = logging.getLogger("asyncio")
    monkeypatch.setattr(logger, "filters", [])
    with warnings.catch_warnings():
        drop_leftovers()
        yield found


CLOSED, OTHER = RuntimeError("Event loop is closed"), RuntimeError("Another")


def test_a_closed_event_loop_is_not_printed(printed):
    for error in (CLOSED, OTHER, ValueError("Event loop is closed")):
        sys.excepthook(type(error), error, None)
    assert [str(x) for x in printed] == ["Another", "Event loop is closed"]


def test_coroutines_of_orbax_alone_end_unseen(printed):
    async def own():
        pass

    theirs, ours = asyncio_utils.cancellable(None), own()
    for ended in (theirs, ours, None):
        unraisable = types.SimpleNamespace(object=ended, exc_value=OTHER)
        sys.unraisablehook(unraisable)
    assert printed == [OTHER, OTHER]
    sys.unraisablehook(types.SimpleNamespace(object=None, exc_value=CLOSED))
    assert printed == [OTHER, OTHER]
    theirs.close()
    ours.close()


def test_tasks_of_orbax_are_not_logged(printed, caplog):
    logger = logging.getLogger("asyncio")
    logger.error("Task exception was never retrieved: coro=<mine()>")
    logger.error("Task exception was never retrieved: Error reading in OCDBT database")
    (record,) = caplog.records
    assert "mine" in record.getMessage()


def test_a_second_time_changes_nothing(printed):
    before = sys.excepthook, sys.unraisablehook
    drop_leftovers()
    assert (sys.excepthook, sys.unraisablehook) == before


def warn(name):
    never = f"coroutine '{name}' was never awaited"
    warnings.warn(never, RuntimeWarning, stacklevel=2)


def test_other_coroutines_that_nobody_waits_for_are_warned_of(printed):
    with pytest.warns(RuntimeWarning, match="'mine' was never awaited"):
        warn("mine")
    with warnings.catch_warnings(record=True) as seen:
        warn("Store._get_array_metadatas")
    assert seen == []
