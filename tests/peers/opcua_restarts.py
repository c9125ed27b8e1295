"""A server restarted over and over, and what it leaves behind in the poller (`make restarts`: a thousand times).

The server is asyncua's, in this process and built once; a restart ends its sessions and subscriptions, resets every
connection and listens again. Pauses of the poller are a tenth of the usual ones. Measured after a warm-up and at the
end: resident memory, tasks, open files; on the server: sessions and subscriptions, of which there is one each.
"""

from __future__ import annotations

import asyncio
import gc
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from asyncua import ua
from fixtures.ports import free_port
from peers.asyncua_server import Plant, plant
from peers.opcua_rig import Rig, rig

from protocols.reading import Quality

WARM_UP = 20
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


@dataclass(frozen=True, slots=True)
class Held:
    """What this process holds."""

    rss_kib: int
    tasks: int
    files: int

    @classmethod
    def now(cls) -> Held:
        gc.collect()
        resident = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        return cls(resident * _PAGE_KIB, len(asyncio.all_tasks()), sum(1 for _ in Path("/proc/self/fd").iterdir()))


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of so many restarts."""

    before: Held  # after the warm-up
    after: Held
    sessions: int
    subscriptions: int
    most_sessions: int  # at any one look
    made: int  # sessions, over all


async def restart(server: Plant) -> None:
    """As a power cut: nobody is told."""
    inner = server.server.iserver
    await server.server.bserver.stop()
    clients = {session.session_id for session in inner._external_sessions.values()}
    theirs = [id_ for id_, one in inner.subscription_service.subscriptions.items() if one.session_id in clients]
    await inner.subscription_service.delete_subscriptions(theirs)
    for session in list(inner._external_sessions.values()):
        await session.close_session(True)
    inner._external_sessions.clear()
    await server.server.bserver.start()


async def run(times: int) -> Outcome:
    """So many restarts, each after the values flowed again."""
    patch = pytest.MonkeyPatch()
    patch.setattr("edge.poll.backoff.FIRST_PAUSE_S", 0.02)
    patch.setattr("edge.poll.backoff.PAUSE_CAP_S", 0.1)
    try:
        async with plant(patch, free_port()) as server:
            node = await server.add("Total", 0, ua.VariantType.UInt32)
            made = rig(server.url, [f"ns={server.ns};s=Total"], publishing_ns=20_000_000)
            async with made.running():
                return await _restarts(server, node, made, times)
    finally:
        patch.undo()


async def _restarts(server: Plant, node: object, made: Rig, times: int) -> Outcome:
    inner = server.server.iserver
    await made.seen.until(lambda: made.quality() == Quality.GOOD)
    before, most = Held.now(), 0
    for count in range(1, times + 1):
        await restart(server)
        await made.seen.until(lambda: made.quality() == Quality.COMM_LOST)
        await node.write_value(count, ua.VariantType.UInt32)  # type: ignore[attr-defined]
        await made.seen.until(lambda count=count: made.quality() == Quality.GOOD and made.image.i64[0] == count)
        most = max(most, len(inner._external_sessions))
        made.seen.frames.clear()
        made.seen.facts.clear()
        if count == min(WARM_UP, times // 2):
            before = Held.now()
    subscriptions = len(inner.subscription_service.subscriptions)
    return Outcome(before, Held.now(), len(inner._external_sessions), subscriptions, most, made.poller.sessions)
