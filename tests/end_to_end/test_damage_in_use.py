"""A store that is damaged while the agent runs: nobody has to come. What is whole goes on within seconds, the counters
tell the rest.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from agent.process import Agent, Line

from edge.gaps.gap import GapCause
from edge.outbox.reader import Reader


def spoil(store: Path) -> None:
    """Every page of the records, as they lie in the file."""
    with closing(sqlite3.connect(store, timeout=20)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        pages = [row[0] for row in connection.execute("SELECT pageno FROM dbstat WHERE name = 'record'")]
    with store.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * size)
            file.write(b"\xa5" * size)


async def test_it_is_mended_without_a_restart(tmp_path: Path) -> None:
    """Set aside, gone on with, all pieces counted once; the gap ledger has the time."""
    line = Line(tmp_path)
    await line.world.start()
    try:
        async with Agent(line) as agent:
            await agent.ready()
            line.world.go()
            await asyncio.sleep(4)
            await asyncio.to_thread(spoil, line.store)

            async def healthy() -> bool:
                health = await agent.health()
                return health is not None and health["healthy"]

            await agent.until(lambda: agent.said("store damaged"), "aware of the damage")
            await agent.until(lambda: list(tmp_path.glob("*.damaged-*")), "set aside")  # no health of before
            await agent.until(healthy, "healthy again")
            await asyncio.sleep(2)
            line.world.stop()
            await agent.settled()
            status, _ = await agent.end()
            assert status == 0
            assert line.stored == line.made
            with Reader(line.store) as reader:
                assert GapCause.DAMAGED in {gap.cause for gap in reader.gaps(0, 1 << 62, 100)}
    finally:
        await line.world.close()
