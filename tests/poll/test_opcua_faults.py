"""Promise: whatever breaks, the poller comes back by itself, loses nothing the server kept, and leaves one session.

One fault of each kind, all at the same time on one foreign server; `make faults` runs every one of them and writes
docs/faults_opcua.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from peers.opcua_fault_page import PAGES, read, render
from peers.opcua_faults import CASES, run_all

ONE_OF_EACH = (
    *("tcp", "cut-CreateSession", "cut-Read", "cut-CreateSubscription", "lost-publish", "down-3s", "half-open"),
    *("republish-none", "overflow", "mute", "renewal", "BadTooManyMonitoredItems-CreateMonitoredItems"),
    *("BadSubscriptionIdInvalid-Publish", "BadSessionIdInvalid-Publish", "BadTooManyPublishRequests-Publish"),
)


async def test_one_fault_of_each_kind(tmp_path: Path) -> None:
    """Values flow again, on exactly one session; only where the server kept nothing is a change lost."""
    cases = [case for case in CASES if case.name in ONE_OF_EACH]
    assert len(cases) == len(ONE_OF_EACH)
    for outcome in await run_all(tmp_path, cases):
        case = outcome.case
        told = f"{case.name}: {outcome}"
        assert outcome.flows, told
        assert outcome.sessions == 1, told
        if case.lost_max is not None:
            assert outcome.lost <= case.lost_max, told
        if case.name == "overflow":
            assert outcome.overflows > 0, told


def test_the_table_is_long_enough() -> None:
    """At least 25 faults, each with a name of its own and words in both languages."""
    assert len(CASES) >= 25
    assert len({case.name for case in CASES}) == len(CASES)
    assert all(case.zh and case.en and case.does_zh and case.does_en for case in CASES)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_is_what_the_run_gave(language: str) -> None:
    """docs/faults_opcua.md is made of the cases and of the last run; `make faults` makes it anew."""
    rows = read()
    assert set(rows) == {case.name for case in CASES}
    assert all(1 <= rows[case.name].sessions <= case.sessions_left for case in CASES)
    assert PAGES[language].read_text("utf-8") == render(CASES, rows, language)
