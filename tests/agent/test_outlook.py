"""The log says how long the store lasts: hourly, and in time when it fills; never twice the same warning."""

from __future__ import annotations

import logging

import pytest

from edge.clock import ManualClock
from edge.outbox.facts import Backlog, StoreStats
from edge.outlook import Outlook

HOUR_NS = 3_600_000_000_000


def stats(hours: float, *, unsent_ns: int | None = 1) -> StoreStats:
    return StoreStats(0, 0, 0, 0, None, None, "", (Backlog("central", 5, unsent_ns, 0),), autonomy_s=hours * 3600)


def test_each_limit_is_warned_of_once_and_again_after_there_was_room(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock(HOUR_NS)
    outlook = Outlook(clock)
    caplog.set_level(logging.WARNING)
    for hours in (100, 23, 22, 10, 5, 4, 5.5, 0.5, 0.4, 50, 20):
        outlook.look(stats(hours))
    warned = [getattr(record, "seamline_facts")["autonomy_h"] for record in caplog.records]  # noqa: B009
    assert warned == [23, 5, 0.5, 20]
    assert "central" in str(getattr(caplog.records[0], "seamline_facts")["detail"])  # noqa: B009


def test_a_store_that_delivers_is_no_reason_to_warn(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock(HOUR_NS)
    outlook = Outlook(clock)
    caplog.set_level(logging.WARNING)
    outlook.look(stats(0.5, unsent_ns=None))
    outlook.look(stats(0.5, unsent_ns=HOUR_NS - 1))
    assert caplog.records == []


def test_once_an_hour_in_plain_figures(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock(HOUR_NS)
    outlook = Outlook(clock)
    caplog.set_level(logging.INFO)
    for _ in range(7200 * 2 + 2):
        clock.advance(500_000_000)
        outlook.look(stats(99.0))
    assert [record.message for record in caplog.records] == ["store", "store"]
