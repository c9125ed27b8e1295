"""Promise: a server that is restarted over and over leaves nothing behind: no task, no socket, no second subscription.

`make restarts` does it a thousand times.
"""

from __future__ import annotations

import os

from peers.opcua_restarts import run

RESTARTS = int(os.environ.get("SEAMLINE_RESTARTS", "12"))
RSS_GROWTH_KIB = 4096 if RESTARTS >= 100 else 16_384  # the allocator's noise; a leak would be far more at a thousand


async def test_restarts_leave_nothing_behind() -> None:
    """Memory, tasks and files stay; one session and one subscription, always."""
    outcome = await run(RESTARTS)
    print(outcome)
    assert (outcome.sessions, outcome.subscriptions, outcome.most_sessions) == (1, 1, 1)
    assert outcome.made == RESTARTS + 1
    assert outcome.after.tasks <= outcome.before.tasks + 2
    assert outcome.after.files <= outcome.before.files + 2
    assert outcome.after.rss_kib - outcome.before.rss_kib < RSS_GROWTH_KIB
